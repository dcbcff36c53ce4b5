//! Messages in a stream: in pieces of any size, and streams of anything.
#![cfg(not(loom))]

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;

use proptest::prelude::*;
use tress_core::processes::frames::{Body, Broken, Length, Outgoing, Source};

/// Gives out bytes in pieces, and between any two of them says that there is nothing at the moment.
struct Pieces<'a> {
    left: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    dry: bool,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], sizes: &'a [usize]) -> Self {
        Self { left: bytes, sizes: sizes.iter().cycle(), dry: false }
    }
}

impl Source for Pieces<'_> {
    fn read(&mut self, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        self.dry = !self.dry;
        if self.dry && !self.left.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let size = self.sizes.next().copied().unwrap_or(1).min(into.len()).min(self.left.len());
        let (now, later) = self.left.split_at(size);
        for (to, from) in into.iter_mut().zip(now) {
            to.write(*from);
        }
        self.left = later;
        Ok(size)
    }
}

fn until_it_ends<T>(mut attempt: impl FnMut() -> Result<T, Broken>) -> Result<T, Broken> {
    loop {
        match attempt() {
            Err(broken) if broken.is_for_now() => {}
            ended => return ended,
        }
    }
}

fn receive(source: &mut Pieces<'_>) -> Result<Vec<u8>, Broken> {
    let mut length = Length::new();
    let len = until_it_ends(|| length.read(source))?;
    // A length alone reserves nothing here: what there is, is all that there can be.
    let room = len.min(source.left.len() + 1);
    let mut into = vec![MaybeUninit::new(0xee); room];
    let mut body = Body::new();
    until_it_ends(|| body.read(source, &mut into))?;
    // SAFETY: every one was initialised when it was made.
    Ok(into.iter().map(|byte| unsafe { byte.assume_init() }).collect())
}

fn written(message: &[u8], mut room: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut outgoing = Outgoing::new(message);
    let mut write = |parts: &[IoSlice<'_>]| {
        assert!(parts.iter().all(|part| !part.is_empty()));
        let mut left = room.next().unwrap();
        if left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let before = bytes.len();
        for part in parts {
            let now = left.min(part.len());
            bytes.extend(&part[..now]);
            left -= now;
        }
        Ok(bytes.len() - before)
    };
    while let Err(error) = outgoing.write(&mut write) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    bytes
}

#[test]
fn a_message_is_its_length_and_its_bytes() {
    assert_eq!(written(b"", [100].into_iter()), [0, 0, 0, 0]);
    assert_eq!(written(b"abc", [100].into_iter()), *b"\0\0\0\x03abc");
}

#[test]
fn a_long_length_stands_apart() {
    // Never touched: the system has nothing of it.
    let long = vec![0; i32::MAX as usize + 1];
    let mut outgoing = Outgoing::new(&long);
    let mut head = Vec::new();
    let refused = outgoing.write(|parts| {
        assert_eq!(parts[1].len(), long.len());
        head.extend(&*parts[0]);
        Err(ErrorKind::BrokenPipe.into())
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(head, *b"\xff\xff\xff\xff\0\0\0\0\x80\0\0\0");
    let (mut length, mut source) = (Length::new(), Pieces::new(&head, &[100]));
    assert_eq!(until_it_ends(|| length.read(&mut source)).unwrap(), long.len());
}

#[test]
fn the_longest_that_is_short_is_short() {
    let long = vec![0; i32::MAX as usize];
    let mut outgoing = Outgoing::new(&long);
    let refused = outgoing.write(|parts| {
        assert_eq!(*parts[0], *b"\x7f\xff\xff\xff");
        Err(ErrorKind::BrokenPipe.into())
    });
    assert!(refused.is_err());
}

#[test]
fn lengths_that_no_message_has_are_refused() {
    for head in [&b"\xff\xff\xff\xfe"[..], b"\x80\0\0\0", b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"] {
        assert!(matches!(receive(&mut Pieces::new(head, &[3])), Err(Broken::BadLength)), "{head:?}");
    }
}

#[test]
fn the_end_of_a_stream_is_told_from_a_torn_message() {
    let ends = |bytes: &[u8]| matches!(receive(&mut Pieces::new(bytes, &[1])), Err(Broken::Ended));
    let tears = |bytes: &[u8]| matches!(receive(&mut Pieces::new(bytes, &[1])), Err(Broken::Torn));
    assert!(ends(b""));
    assert!(ends(b"\0\0\0\x02"));
    assert!(ends(b"\xff\xff\xff\xff"));
    assert!(tears(b"\0\0"));
    assert!(tears(b"\0\0\0\x02a"));
    assert!(tears(b"\xff\xff\xff\xff\0"));
}

proptest! {
    #[test]
    fn messages_come_as_they_went(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        room in prop::collection::vec(0usize..70, 1..9),
        sizes in prop::collection::vec(1usize..70, 1..9),
    ) {
        // At least one room that is not none, or nothing would ever go.
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| written(message, room.iter().copied().chain([1]).cycle()))
            .collect();
        let mut source = Pieces::new(&stream, &sizes);
        for message in &messages {
            prop_assert_eq!(&receive(&mut source).unwrap(), message);
        }
        prop_assert!(matches!(receive(&mut source), Err(Broken::Ended)));
    }

    #[test]
    fn a_stream_of_anything_ends(
        stream in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 0..300),
        sizes in prop::collection::vec(1usize..70, 1..9),
    ) {
        let mut source = Pieces::new(&stream, &sizes);
        let mut most = stream.len() / 4 + 1;
        while let Ok(message) = receive(&mut source) {
            prop_assert!(message.len() <= stream.len());
            most -= 1;
            prop_assert!(most > 0, "a message is four bytes at least");
        }
    }
}

/// What comes of each of the frames of a stream.
fn outcomes(stream: &[u8], sizes: &[usize]) -> Vec<&'static str> {
    let mut source = Pieces::new(stream, sizes);
    let mut found = Vec::new();
    loop {
        match receive(&mut source) {
            Ok(_) => found.push("message"),
            // The end between two messages is none of a corpus's business, unless there is nothing else.
            Err(Broken::Ended) if !found.is_empty() => return found,
            Err(Broken::Ended) => return vec!["end"],
            Err(Broken::Torn) => found.push("torn"),
            Err(Broken::BadLength) => found.push("refused"),
            Err(Broken::Io(error)) => panic!("{error}"),
        }
        if found.last() != Some(&"message") {
            return found;
        }
    }
}

#[test]
fn the_corpus_is_read_as_it_says() {
    let corpus = include_str!("corpus/frames.txt");
    let mut streams = 0;
    for line in corpus.lines().filter(|line| !line.starts_with('#')) {
        let (hex, said): (Vec<_>, Vec<_>) =
            line.split_whitespace().partition(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let hex = hex.concat();
        let stream: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        for sizes in [&[1][..], &[3], &[5, 2], &[64]] {
            assert_eq!(outcomes(&stream, sizes), said, "{line}");
        }
        streams += 1;
    }
    assert_eq!(streams, 25);
}
