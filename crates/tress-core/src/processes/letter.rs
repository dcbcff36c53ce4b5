//! A place for one message at a time, from one process to another, beside a stream between the two.
//!
//! One word says whether there is a message, and where its reader is:
//!
//! | the word | meaning                                             | may become                                          |
//! |----------|-----------------------------------------------------|-----------------------------------------------------|
//! | EMPTY    | no message; the reader is awake, or not reading     | FULL (by the writer), ASLEEP, WATCHING (by the reader) |
//! | ASLEEP   | no message; the reader sleeps on the word, or is about to | FULL (by the writer, who wakes it), EMPTY (by the reader) |
//! | WATCHING | no message; the reader waits for the stream         | FULL (by the writer, who writes into the stream)    |
//! | FULL     | a message; it is the reader's alone                 | EMPTY (by the reader, when it has copied the message) |
//!
//! A reader sleeps for a moment only, and then watches the stream: so one that waits for long is never woken for nothing, and
//! hears of the other side's death from the kernel. A writer that is killed before it wakes a sleeper is noticed in the same way. Once the
//! reader watches, exactly one message of the stream, which says nothing, comes with the next letter.
//!
//! The writer writes into the place only when there is no message in it, which it knows from having been answered.

use crate::base::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const FULL: u32 = 1;
/// What the word is while its reader sleeps on it.
pub const ASLEEP: u32 = 2;
const WATCHING: u32 = 3;

/// The word.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    word: &'a AtomicU32,
}

/// Who is to be told that there is a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Whom {
    /// The reader looks by itself.
    Nobody,
    /// The reader sleeps on the word.
    Sleeper,
    /// The reader waits for the stream.
    Watcher,
}

impl<'a> Letter<'a> {
    /// Over a word that is 0 when new.
    pub fn new(word: &'a AtomicU32) -> Self {
        Self { word }
    }

    fn change(self, from: u32, to: u32) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether there is a message. If so, the caller, who is the reader, may read what was written before it was posted.
    pub fn is_there(self) -> bool {
        self.word.load(Ordering::Acquire) == FULL
    }

    /// For the writer: what it has written is a message.
    pub fn post(self) -> Whom {
        match self.word.swap(FULL, Ordering::AcqRel) {
            ASLEEP => Whom::Sleeper,
            WATCHING => Whom::Watcher,
            _ => Whom::Nobody,
        }
    }

    /// For the reader: it has copied the message, and the place is the writer's.
    pub fn taken(self) {
        self.word.store(EMPTY, Ordering::Release);
    }

    /// For the reader, before it sleeps; false if there is a message.
    pub fn before_sleep(self) -> bool {
        self.change(EMPTY, ASLEEP)
    }

    /// For the reader, when it has slept.
    pub fn after_sleep(self) {
        self.change(ASLEEP, EMPTY);
    }

    /// For the reader, before it waits for the stream; false if there is a message.
    pub fn before_watch(self) -> bool {
        self.change(EMPTY, WATCHING)
    }
}
