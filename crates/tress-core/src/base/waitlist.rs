//! Who waits, oldest first.

use std::collections::VecDeque;

use super::sync::Arc;
use super::waiter::{Grant, Signal, Waiter};

/// Something enrolled in a [`WaitList`]: a waiter, and what a primitive keeps beside it.
pub trait Node {
    /// Its wait.
    fn waiter(&self) -> &Waiter;
}

impl Node for Waiter {
    fn waiter(&self) -> &Waiter {
        self
    }
}

/// Waiters to wake once the lock is released. Dropping it without [`Wakes::wake`] would lose wake-ups.
#[derive(Debug)]
#[must_use = "call wake() after the lock is released"]
pub struct Wakes<N: Node = Waiter> {
    first: Option<Arc<N>>,
    rest: Vec<Arc<N>>,
}

impl<N: Node> Default for Wakes<N> {
    fn default() -> Self {
        Self::none()
    }
}

impl<N: Node> Wakes<N> {
    /// Nobody to wake.
    pub const fn none() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    /// Adds one: the first costs no allocation.
    pub fn push(&mut self, node: Arc<N>) {
        if self.first.is_none() {
            self.first = Some(node);
        } else {
            self.rest.push(node);
        }
    }

    /// Whether nobody is to be woken.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Wakes them, oldest first.
    #[inline]
    pub fn wake(self) {
        if self.first.is_some() {
            self.wake_all();
        }
    }

    /// Apart, so that whoever has nobody to wake pays for a look alone.
    #[cold]
    #[inline(never)]
    fn wake_all(self) {
        for node in self.first.into_iter().chain(self.rest) {
            node.waiter().wake();
        }
    }
}

/// A first-in first-out list of waits. Guarded by its owner's lock.
///
/// A wait that is cancelled stays in the list until it comes up or until half of the list is dead, so that a timeout costs
/// amortised constant time however many wait beside it.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use tress_core::base::waiter::{Cancel, Signal, Waiter};
/// use tress_core::base::waitlist::{WaitList, Wakes};
///
/// let list = Mutex::new(WaitList::new());
/// let waiters = [0, 1].map(|_| Arc::new(Waiter::new()));
/// for waiter in &waiters {
///     list.lock().unwrap().push(waiter.clone());
/// }
/// // The first gives up: the owner of the list is told.
/// if waiters[0].cancel() == Cancel::Cancelled {
///     list.lock().unwrap().note_cancelled();
/// }
/// let mut wakes = Wakes::none();
/// assert!(list.lock().unwrap().grant_one(Signal::Handed, &mut wakes));
/// // Only once the list is free again.
/// wakes.wake();
/// assert_eq!(waiters[1].granted(), Some(Signal::Handed));
/// ```
#[derive(Debug)]
pub struct WaitList<N: Node = Waiter> {
    nodes: VecDeque<Arc<N>>,
    dead: usize,
}

impl<N: Node> Default for WaitList<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Node> WaitList<N> {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self { nodes: VecDeque::new(), dead: 0 }
    }

    /// Enrols a wait as the youngest.
    pub fn push(&mut self, node: Arc<N>) {
        self.nodes.push_back(node);
    }

    /// Enrols a wait as the oldest: one that was told to retry and came too late keeps its turn.
    pub fn push_front(&mut self, node: Arc<N>) {
        self.nodes.push_front(node);
    }

    /// Whether nobody is in the list, dead or alive.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.nodes.iter().filter(|node| node.waiter().is_waiting()).count()
    }

    /// The oldest entry, dead or alive.
    pub fn front(&self) -> Option<&Arc<N>> {
        self.nodes.front()
    }

    /// The oldest entry, dead or alive, taken out.
    pub fn pop(&mut self) -> Option<Arc<N>> {
        let node = self.nodes.pop_front();
        if self.nodes.is_empty() {
            self.dead = 0;
        }
        node
    }

    /// Ends the wait of the oldest that still waits; whether there was one. Those passed over are dropped.
    pub fn grant_one(&mut self, signal: Signal, wakes: &mut Wakes<N>) -> bool {
        while let Some(node) = self.pop() {
            match node.waiter().grant(signal) {
                Grant::Awake => return true,
                Grant::Asleep => {
                    wakes.push(node);
                    return true;
                }
                Grant::Gone => {}
            }
        }
        false
    }

    /// The oldest that still waits, taken out. Those passed over are dropped.
    pub fn pop_waiting(&mut self) -> Option<Arc<N>> {
        while let Some(node) = self.pop() {
            if node.waiter().is_waiting() {
                return Some(node);
            }
        }
        None
    }

    /// Ends every wait in the list; how many there were.
    pub fn grant_all(&mut self, signal: Signal, wakes: &mut Wakes<N>) -> usize {
        let mut granted = 0;
        while self.grant_one(signal, wakes) {
            granted += 1;
        }
        granted
    }

    /// Notes that one entry of the list was cancelled.
    pub fn note_cancelled(&mut self) {
        self.dead += 1;
        if self.dead * 2 > self.nodes.len() {
            self.nodes.retain(|node| node.waiter().is_waiting());
            self.dead = 0;
            if self.nodes.is_empty() {
                self.nodes = VecDeque::new();
            }
        }
    }
}
