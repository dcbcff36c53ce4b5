//! What an event loop calls later: soonest first, on the loop's own clock.
//!
//! Times are seconds, as `loop.time()` gives them: a program may put another clock in place of the monotonic one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Below so many, cancelled entries are left where they are.
const FEW: usize = 64;

/// What can be called later. It keeps the number that it is given, by which those of equal times stay in order: a word more in each
/// entry would be a third of it, and hardly any two times are equal.
pub trait Numbered {
    /// The number that it was given last.
    fn number(&self) -> u64;

    /// Gives it a number, below 2**48.
    fn set_number(&mut self, number: u64);
}

#[derive(Debug)]
struct Entry<T> {
    when: f64,
    value: T,
}

impl<T: Numbered> Ord for Entry<T> {
    /// The greatest is the one that is due first; of equal times, the one added first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = other.when.total_cmp(&self.when);
        by_time.then_with(|| other.value.number().cmp(&self.value.number()))
    }
}

impl<T: Numbered> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Numbered> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Numbered> Eq for Entry<T> {}

/// Values and their times; equal times in the order of adding.
///
/// What is cancelled stays until it comes up, or until it is more than half of all: then [`Timers::sweep`] takes it out.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
    cancelled: usize,
}

impl<T: Numbered> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Numbered> Timers<T> {
    /// None.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), added: 0, cancelled: 0 }
    }

    /// Adds one.
    #[inline]
    pub fn add(&mut self, when: f64, mut value: T) {
        self.added += 1;
        value.set_number(self.added);
        self.heap.push(Entry { when, value });
    }

    /// When the first is due, and what it is.
    #[inline]
    pub fn first(&self) -> Option<(f64, &T)> {
        self.heap.peek().map(|entry| (entry.when, &entry.value))
    }

    /// Takes out the first if it is due before `end`.
    #[inline]
    pub fn pop_before(&mut self, end: f64) -> Option<T> {
        if self.heap.peek()?.when >= end {
            return None;
        }
        self.pop()
    }

    /// Takes out the first.
    pub fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.value)
    }

    /// Notes that one of them has been cancelled; whether it is time for [`Timers::sweep`].
    pub fn note_cancelled(&mut self) -> bool {
        self.cancelled += 1;
        self.heap.len() > FEW && self.cancelled * 2 > self.heap.len()
    }

    /// Notes that one that was cancelled has been taken out.
    pub fn note_taken(&mut self) {
        self.cancelled = self.cancelled.saturating_sub(1);
    }

    /// Takes out all that `is_cancelled`.
    pub fn sweep(&mut self, is_cancelled: impl Fn(&T) -> bool) -> Vec<T> {
        self.cancelled = 0;
        let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.heap)
            .into_vec()
            .into_iter()
            .partition(|entry| is_cancelled(&entry.value));
        self.heap = kept.into();
        out.into_iter().map(|entry| entry.value).collect()
    }

    /// How many there are, cancelled ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// All and when they are due, in no order.
    pub fn all(&self) -> impl Iterator<Item = (f64, &T)> {
        self.heap.iter().map(|entry| (entry.when, &entry.value))
    }

    /// All, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.all().map(|(_, value)| value)
    }

    /// Takes out all.
    pub fn take(&mut self) -> Vec<T> {
        self.sweep(|_| true)
    }
}
