//! A line: what comes is what went, whichever way it goes, and whatever the other side writes.
#![cfg(not(loom))]

use std::mem::MaybeUninit;

use proptest::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::processes::letter::Whom;
use tress_core::processes::line::{LEN, Line, Look, Place, ROOM, Side};
use tress_core::processes::segment::Segment;
use tress_core::processes::word::Slept;

fn ends() -> (Line, Line) {
    let asking = Line::create().unwrap();
    let answering = Line::open(asking.fd().try_clone_to_owned().unwrap(), Side::Answering).unwrap();
    (asking, answering)
}

fn take(line: &Line) -> Vec<u8> {
    let Some(Place::Here(len)) = line.place_of_message() else { panic!("not here") };
    let mut into = vec![MaybeUninit::new(0); len];
    line.take(&mut into);
    // SAFETY: every one was initialised when it was made.
    into.iter().map(|byte| unsafe { byte.assume_init() }).collect()
}

#[test]
fn a_message_waits_for_a_reader_that_looks() {
    let (asking, answering) = ends();
    assert!(!answering.is_there());
    assert_eq!(asking.post(b"question"), Some((Whom::Nobody, Place::Here(8))));
    assert!(answering.is_there() && !asking.is_there());
    assert_eq!(asking.post(b"another"), None);
    assert_eq!(answering.look(None), Look::There);
    assert_eq!(take(&answering), b"question");
    assert!(!answering.is_there());
    assert_eq!(answering.post(b"answer"), Some((Whom::Nobody, Place::Here(6))));
    assert_eq!(take(&asking), b"answer");
    assert!(asking.post(b"another").is_some());
}

#[test]
fn a_reader_sleeps_and_then_watches() {
    let (asking, answering) = ends();
    assert_eq!(answering.look(Some(Deadline::at_ns(0))), Look::Not(Slept::TimedOut));
    assert_eq!(answering.look(None), Look::Watch);
    assert_eq!(asking.post(b"x"), Some((Whom::Watcher, Place::Here(1))));
    assert_eq!(take(&answering), b"x");
    assert_eq!(answering.look(Some(Deadline::at_ns(0))), Look::Not(Slept::TimedOut));
}

#[test]
fn a_sleeper_is_woken() {
    let (asking, answering) = ends();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while answering.look(Some(Deadline::after_ns(1_000_000))) != Look::There {}
            take(&answering)
        });
        let (whom, _) = asking.post(b"x").unwrap();
        if whom == Whom::Sleeper {
            asking.wake();
        }
        assert_eq!(reader.join().unwrap(), b"x");
    });
}

#[test]
fn what_is_long_is_in_the_stream() {
    let (asking, answering) = ends();
    assert_eq!(asking.post(&[1; ROOM]), Some((Whom::Nobody, Place::Here(ROOM))));
    assert_eq!(take(&answering), [1; ROOM]);
    assert_eq!(asking.post(&[1; ROOM + 1]), Some((Whom::Nobody, Place::Stream)));
    assert!(answering.is_there());
    assert_eq!(answering.place_of_message(), Some(Place::Stream));
    answering.taken();
    assert!(!answering.is_there());
}

#[test]
fn other_memory_is_refused() {
    let segment = Segment::create(LEN + 1).unwrap();
    assert!(Line::open(segment.fd().try_clone_to_owned().unwrap(), Side::Answering).is_err());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Line::open(file.into(), Side::Answering).is_err());
}

proptest! {
    #[test]
    fn a_peer_that_writes_anything_gets_an_error_at_most(words in prop::collection::vec(prop_oneof![
        Just(0u64), Just(1), Just(2), Just(3), Just(ROOM as u64), Just(ROOM as u64 + 1), Just(u64::MAX), any::<u64>(),
    ], 4)) {
        let line = Line::create().unwrap();
        let evil = Segment::open(line.fd().try_clone_to_owned().unwrap(), LEN).unwrap();
        for (at, word) in [0, 8, 128, 136].into_iter().zip(words) {
            evil.double_word(at).store(word, std::sync::atomic::Ordering::Relaxed);
        }
        let _ = line.look(Some(Deadline::at_ns(0)));
        if let Some(Place::Here(len)) = line.place_of_message() {
            prop_assert!((1..=ROOM).contains(&len));
            line.take(&mut vec![MaybeUninit::new(0); len]);
        }
        let _ = line.post(b"x");
    }
}
