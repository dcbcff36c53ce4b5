//! Who reads what workers have written, and whom a worker wakes for it.
//!
//! Two may read: the *leader*, a thread that waits for an answer and reads all of them meanwhile, and the *collector*, a thread that
//! reads while nobody leads. Both may be awake at a time, and reading twice does no harm; they must not both sleep while something
//! is unread. One word says who is to be woken:
//!
//! | the word  | meaning                                              | may become                                           |
//! |-----------|------------------------------------------------------|------------------------------------------------------|
//! | NOBODY    | nobody leads; the collector is awake, or being woken | COLLECTOR (by the collector, before it sleeps)       |
//! | COLLECTOR | nobody leads; the collector sleeps, or may           | NOBODY (by whoever wakes it, or itself), LEADING (by a thread that becomes the leader) |
//! | LEADING   | the leader is awake, or being woken                  | LEADER, COLLECTOR (by the leader)                    |
//! | LEADER    | the leader sleeps, or is about to                    | LEADING (by whoever wakes it, or itself)             |
//!
//! A worker enters `posted` and then looks at the word; whoever is about to sleep writes the word and then looks at `posted`. A fence
//! stands between the two steps of each, so either the worker sees the sleeper or the sleeper sees the worker.
//!
//! A worker that dies may have written the word and woken nobody. Whoever finds it dead wakes them in its place.

use super::idle::Idle;
use crate::base::sync::atomic::{AtomicU32, Ordering, fence};

const NOBODY: u32 = 0;
const COLLECTOR: u32 = 1;
const LEADING: u32 = 2;
const LEADER: u32 = 3;

/// The word, and the workers that have written something that nobody has looked at.
#[derive(Clone, Copy, Debug)]
pub struct Listening<'a> {
    word: &'a AtomicU32,
    posted: Idle<'a>,
}

/// Who is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Whom {
    /// Whoever reads next sees it anyway.
    Nobody,
    /// The collector.
    Collector,
    /// The leader.
    Leader,
}

impl<'a> Listening<'a> {
    /// Over a word that is 0 when new.
    pub fn new(word: &'a AtomicU32, posted: Idle<'a>) -> Self {
        Self { word, posted }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.word.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// `worker` has written something.
    pub fn post(&self, worker: u32) -> Whom {
        self.posted.enter(worker);
        match self.word.load(Ordering::SeqCst) {
            COLLECTOR if self.change(COLLECTOR, NOBODY) => Whom::Collector,
            LEADER if self.change(LEADER, LEADING) => Whom::Leader,
            // Whoever changed it in between looks at `posted` afterwards, or has woken one who does.
            _ => Whom::Nobody,
        }
    }

    /// Whether there is something that nobody has looked at.
    pub fn has_posted(&self) -> bool {
        !self.posted.is_empty()
    }

    /// Makes the caller the leader, if the collector sleeps and nobody else leads. It looks afterwards whether what it waits for
    /// has happened.
    pub fn lead(&self) -> bool {
        let leads = self.change(COLLECTOR, LEADING);
        fence(Ordering::SeqCst);
        leads
    }

    /// Whether there is a leader that is to be told of what has just happened.
    pub fn is_led(&self) -> bool {
        fence(Ordering::SeqCst);
        self.word.load(Ordering::SeqCst) >= LEADING
    }

    /// For the leader, before it sleeps; false if there is something to read.
    pub fn before_leader_sleeps(&self) -> bool {
        self.change(LEADING, LEADER);
        fence(Ordering::SeqCst);
        self.posted.is_empty()
    }

    /// For the leader, when it has slept or was not to.
    pub fn after_leader_slept(&self) {
        self.change(LEADER, LEADING);
    }

    /// The leader leads no more.
    pub fn stop_leading(&self) -> Whom {
        self.change(LEADING, COLLECTOR);
        self.missed()
    }

    /// For the collector, before it sleeps.
    pub fn before_collector_sleeps(&self) -> Whom {
        if self.change(NOBODY, COLLECTOR) { self.missed() } else { Whom::Nobody }
    }

    fn missed(&self) -> Whom {
        fence(Ordering::SeqCst);
        let missed = !self.posted.is_empty() && self.change(COLLECTOR, NOBODY);
        if missed { Whom::Collector } else { Whom::Nobody }
    }

    /// For the collector, when it has slept: until it sleeps again nobody needs to wake it.
    pub fn after_collector_slept(&self) {
        self.change(COLLECTOR, NOBODY);
    }
}
