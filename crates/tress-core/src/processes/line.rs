//! Two places for letters in shared memory, one each way, between the two ends of a stream.
//!
//! One side asks and the other answers: neither writes a message before the other has taken the one before. What is too long for its
//! place goes through the stream, and the place says so.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::letter::{ASLEEP, Letter, Whom};
use super::segment::Segment;
use super::word::{self, Slept};
use crate::base::deadline::Deadline;

/// The longest message that has room.
pub const ROOM: usize = 12 * 1024;

const PAGE: usize = 4096;
/// Between the words of the two places: a cache line, and the next, which is fetched along with it.
const APART: usize = 128;
const LEN_AT: usize = 8;
/// The whole memory, in bytes.
pub const LEN: usize = PAGE + 2 * ROOM;

/// In place of a length: the message is in the stream.
const IN_STREAM: u64 = u64::MAX;

/// How long a reader sleeps before it watches the stream instead.
const NAP_NS: u64 = 2_000_000;

/// Which of the two sides this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that made the memory, and asks.
    Asking,
    /// The other.
    Answering,
}

/// One end of the line.
#[derive(Debug)]
pub struct Line {
    segment: Segment,
    side: Side,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the memory, of so many bytes.
    Here(usize),
    /// In the stream.
    Stream,
}

/// How a wait for a message has come to its end, or to a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is one.
    There,
    /// It is time to wait for the stream, in which one that says nothing will announce it.
    Watch,
    /// Neither, for this reason.
    Not(Slept),
}

impl Line {
    /// A new line's asking side.
    ///
    /// # Errors
    /// The kernel's: no memory or no descriptor left.
    pub fn create() -> io::Result<Self> {
        let segment = Segment::create(LEN)?;
        segment.commit(0, LEN)?;
        Ok(Self { segment, side: Side::Asking })
    }

    /// A side of the line behind `fd`.
    ///
    /// # Errors
    /// `InvalidData` if there is none.
    pub fn open(fd: OwnedFd, side: Side) -> io::Result<Self> {
        Ok(Self { segment: Segment::open(fd, LEN)?, side })
    }

    /// What to pass to the other process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.segment.fd()
    }

    /// The number of the place that this side writes into, or of the other.
    fn place(&self, outgoing: bool) -> usize {
        usize::from((self.side == Side::Asking) != outgoing)
    }

    fn letter(&self, place: usize) -> Letter<'_> {
        Letter::new(self.segment.word(place * APART))
    }

    /// Writes `message`, which is not empty, if there is room for it, else that it is in the stream, and posts it. The caller then tells whom it is to,
    /// and only then writes what is in the stream. None if the other side has not taken the message before.
    pub fn post(&self, message: &[u8]) -> Option<(Whom, Place)> {
        let place = self.place(true);
        if self.letter(place).is_there() {
            return None;
        }
        let (len, written) = if message.len() <= ROOM {
            // SAFETY: without a message there the place is the writer's, and that is this side alone.
            unsafe { self.segment.fill(PAGE + place * ROOM, &[message]) };
            (message.len() as u64, Place::Here(message.len()))
        } else {
            (IN_STREAM, Place::Stream)
        };
        let len_at = self.segment.double_word(place * APART + LEN_AT);
        len_at.store(len, std::sync::atomic::Ordering::Relaxed);
        Some((self.letter(place).post(), written))
    }

    /// Wakes the other side, which sleeps.
    pub fn wake(&self) {
        word::wake(self.segment.word(self.place(true) * APART), 1, word::ALL);
    }

    /// Whether there is a message from the other side.
    pub fn is_there(&self) -> bool {
        self.letter(self.place(false)).is_there()
    }

    /// Waits for a message for a moment, or until `until`.
    pub fn look(&self, until: Option<Deadline>) -> Look {
        let place = self.place(false);
        let letter = self.letter(place);
        if !letter.before_sleep() {
            return if letter.is_there() { Look::There } else { Look::Watch };
        }
        let nap = Deadline::after_ns(NAP_NS);
        let end = until.map_or(nap, |until| until.min(nap));
        let slept = word::sleep(self.segment.word(place * APART), ASLEEP, Some(end), word::ALL);
        letter.after_sleep();
        match slept {
            _ if letter.is_there() => Look::There,
            Slept::TimedOut if end == nap => {
                if letter.before_watch() {
                    Look::Watch
                } else {
                    Look::There
                }
            }
            slept => Look::Not(slept),
        }
    }

    /// Where the message is that there is. None if it makes no sense.
    pub fn place_of_message(&self) -> Option<Place> {
        let len_at = self.segment.double_word(self.place(false) * APART + LEN_AT);
        match len_at.load(std::sync::atomic::Ordering::Relaxed) {
            IN_STREAM => Some(Place::Stream),
            len => usize::try_from(len).ok().filter(|len| (1..=ROOM).contains(len)).map(Place::Here),
        }
    }

    /// Copies the message that there is, of `into.len()` bytes, and gives its place back.
    ///
    /// # Panics
    /// If `into` is longer than [`ROOM`].
    pub fn take(&self, into: &mut [std::mem::MaybeUninit<u8>]) {
        let place = self.place(false);
        assert!(into.len() <= ROOM, "longer than any message here");
        let from = self.segment.at(PAGE + place * ROOM, into.len());
        // SAFETY:
        // - so many bytes are inside, as `at` has checked, and another object's;
        // - while there is a message the place is this side's: a peer that has the memory and writes there all the same can make
        //   the copy a mixture of bytes, which are then read as any peer's are.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
        self.letter(place).taken();
    }

    /// Gives the place back of a message that was in the stream.
    pub fn taken(&self) {
        self.letter(self.place(false)).taken();
    }
}
