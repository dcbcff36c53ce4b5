//! Timers: what is due when, soonest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::deadline::{Deadline, now_ns};

/// A pending timer, for [`Timers::cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(u64);

impl TimerId {
    /// The number behind it.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The timer that has this number, if any has.
    pub const fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// Values and the times at which they are due; equal times in the order of their adding.
///
/// Adding costs O(log n), cancelling O(1): the heap forgets a cancelled timer when it comes up, or when more than half of the
/// heap is cancelled.
///
/// ```
/// use tress_core::base::deadline::Deadline;
/// use tress_core::base::timer::Timers;
///
/// let mut timers = Timers::new();
/// let (late, _) = timers.add(Deadline::after_ns(3_600_000_000_000), "in an hour");
/// let (_, look_again) = timers.add(Deadline::after_ns(0), "now");
/// assert!(look_again, "whoever sleeps for an hour");
/// assert_eq!(timers.pop_due(), Some("now"));
/// assert_eq!(timers.pop_due(), None);
/// assert_eq!(timers.cancel(late), Some("in an hour"));
/// assert!(timers.is_empty());
/// ```
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<(Deadline, TimerId)>>,
    pending: HashMap<TimerId, T>,
    made: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Timers<T> {
    /// No timers.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), pending: HashMap::new(), made: 0 }
    }

    /// Adds one; the flag says that whoever sleeps until the soonest would sleep too long now and must look again.
    ///
    /// A timer that was cancelled and is still in the heap counts for that: its sleeper has not been told either. So timers
    /// that are added and cancelled in turn wake nobody.
    pub fn add(&mut self, due: Deadline, value: T) -> (TimerId, bool) {
        self.made += 1;
        let id = TimerId(self.made);
        let soonest = self.heap.peek().is_none_or(|Reverse((first, _))| due < *first);
        self.heap.push(Reverse((due, id)));
        self.pending.insert(id, value);
        (id, soonest)
    }

    /// Takes one out before it is due; `None` when it has come up or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let value = self.pending.remove(&id);
        if self.heap.len() > 64 && self.heap.len() > self.pending.len() * 2 {
            let pending = &self.pending;
            self.heap.retain(|Reverse((_, id))| pending.contains_key(id));
        }
        value
    }

    /// Takes out the soonest one that is due now.
    pub fn pop_due(&mut self) -> Option<T> {
        let soonest = self.soonest()?;
        if soonest.as_ns() > now_ns() {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop()?;
        self.pending.remove(&id)
    }

    /// When the soonest one is due.
    pub fn soonest(&mut self) -> Option<Deadline> {
        while let Some(Reverse((due, id))) = self.heap.peek() {
            if self.pending.contains_key(id) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The pending values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.pending.values()
    }

    /// Takes out all.
    pub fn take_all(&mut self) -> Vec<T> {
        self.heap.clear();
        self.pending.drain().map(|(_, value)| value).collect()
    }
}
