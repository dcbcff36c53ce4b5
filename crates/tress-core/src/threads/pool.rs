//! The queue of a pool of workers, and who of them is idle.
//!
//! The contract:
//! - [`Pool::push`] wakes at most one idle worker, and none while one that was woken is still on its way; it says whether
//!   work is left that no worker will come for, so that the embedder can start another worker.
//! - [`Pool::next`] is a worker's turn: work; or, the queue being empty, an enrolment as idle; or the end. A worker that takes
//!   work while more is left wakes another idle one (if none is on its way) before it runs what it took. So wake-ups spread as
//!   fast as workers arrive, and a burst of pushes costs one.
//! - The worker that went idle last is woken first: its stack is warm, and it may still be looking before it sleeps.
//! - After [`Pool::close`] nothing can be pushed; what is queued is still given out; then `next` says so.
//!
//! `tests/loom_pool.rs` owns the proof that no work is left while a worker sleeps.

use std::collections::VecDeque;

use crate::base::fork;
use crate::base::sync::{Arc, Mutex};
use crate::base::waiter::{Grant, Signal, Waiter};
use crate::base::waitlist::Wakes;

/// How a worker comes to its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// For the first time.
    New,
    /// It was idle and has been woken.
    Woken,
    /// It has run what it took.
    Done,
    /// It found that what it took had been given up.
    Skipped,
}

/// A worker's turn.
#[derive(Debug)]
#[must_use]
pub enum Next<W> {
    /// Run this; before it, wake the others.
    Work(W, Wakes),
    /// Nothing to do: wait, then come again as [`Arrival::Woken`].
    Idle(Arc<Waiter>),
    /// Nothing to do, for good.
    Closed,
}

/// Work was queued.
#[derive(Debug)]
#[must_use = "call wakes.wake()"]
pub struct Pushed {
    /// Who is to be woken.
    pub wakes: Wakes,
    /// There is work for which no worker will come that is idle or being started.
    pub short: bool,
}

/// The numbers of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Work that no worker has taken yet.
    pub queued: usize,
    /// The most that was ever queued.
    pub high_water: usize,
    /// Workers that wait for work.
    pub idle: usize,
    /// What was ever pushed.
    pub pushed: u64,
    /// What was taken and run to its end, as far as its worker has been back since.
    pub done: u64,
    /// What was taken and found to be given up.
    pub skipped: u64,
}

#[derive(Debug)]
struct Inner<W> {
    queue: VecDeque<W>,
    idle: Vec<Arc<Waiter>>,
    /// Workers that were woken and have not had their turn since.
    coming: usize,
    /// Workers that are being started and have not had their first turn.
    starting: usize,
    closed: bool,
    generation: u32,
    numbers: Numbers,
}

impl<W> Inner<W> {
    fn is_short(&self) -> bool {
        self.queue.len() > self.idle.len() + self.coming + self.starting
    }

    /// Wakes an idle worker, if there is work for it and nobody is on the way.
    fn call_one(&mut self, wakes: &mut Wakes) {
        while self.coming == 0 && !self.queue.is_empty() {
            let Some(worker) = self.idle.pop() else { return };
            match worker.grant(Signal::Retry) {
                Grant::Gone => continue,
                Grant::Asleep => wakes.push(worker),
                Grant::Awake => {}
            }
            self.coming += 1;
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Pool<W> {
    inner: Mutex<Inner<W>>,
}

impl<W> Default for Pool<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> Pool<W> {
    /// An open pool with no worker and no work.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                idle: Vec::new(),
                coming: 0,
                starting: 0,
                closed: false,
                generation: fork::generation(),
                numbers: Numbers::default(),
            }),
        }
    }

    /// Queues work.
    ///
    /// # Errors
    /// The work, when the pool is closed.
    #[inline]
    pub fn push(&self, work: W) -> Result<Pushed, W> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(work);
        }
        inner.queue.push_back(work);
        inner.numbers.pushed += 1;
        inner.numbers.high_water = inner.numbers.high_water.max(inner.queue.len());
        let mut wakes = Wakes::none();
        inner.call_one(&mut wakes);
        Ok(Pushed { wakes, short: inner.is_short() })
    }

    /// A worker's turn.
    #[inline]
    pub fn next(&self, arrival: Arrival) -> Next<W> {
        let mut inner = self.inner.lock();
        match arrival {
            Arrival::New => inner.starting = inner.starting.saturating_sub(1),
            Arrival::Woken => inner.coming = inner.coming.saturating_sub(1),
            Arrival::Done => inner.numbers.done += 1,
            Arrival::Skipped => inner.numbers.skipped += 1,
        }
        if let Some(work) = inner.queue.pop_front() {
            let mut wakes = Wakes::none();
            inner.call_one(&mut wakes);
            return Next::Work(work, wakes);
        }
        if inner.closed {
            return Next::Closed;
        }
        let waiter = Arc::new(Waiter::new());
        inner.idle.push(waiter.clone());
        Next::Idle(waiter)
    }

    /// Takes work out of the queue, the oldest first, for one who is not a worker.
    pub fn take(&self) -> Option<W> {
        self.inner.lock().queue.pop_front()
    }

    /// Whether work is queued for which no worker will come that is idle or being started.
    pub fn is_short(&self) -> bool {
        self.inner.lock().is_short()
    }

    /// A worker is being started: the oldest work that nobody has claimed is its own.
    pub fn expect_worker(&self) {
        self.inner.lock().starting += 1;
    }

    /// A worker that was expected will not come.
    pub fn expect_worker_no_more(&self) {
        let mut inner = self.inner.lock();
        inner.starting = inner.starting.saturating_sub(1);
    }

    /// Takes all work out of the queue; with `unclaimed_only` all but what workers that are being started will begin with.
    pub fn drain(&self, unclaimed_only: bool) -> VecDeque<W> {
        let mut inner = self.inner.lock();
        let claimed = if unclaimed_only { inner.starting.min(inner.queue.len()) } else { 0 };
        inner.queue.split_off(claimed)
    }

    /// Nothing can be pushed any more, and workers end when the queue is empty.
    pub fn close(&self) -> Wakes {
        let mut wakes = Wakes::none();
        let mut inner = self.inner.lock();
        inner.closed = true;
        for worker in std::mem::take(&mut inner.idle) {
            match worker.grant(Signal::Closed) {
                Grant::Asleep => wakes.push(worker),
                Grant::Awake => {}
                Grant::Gone => continue,
            }
            inner.coming += 1;
        }
        wakes
    }

    /// Its numbers.
    pub fn numbers(&self) -> Numbers {
        let inner = self.inner.lock();
        Numbers { queued: inner.queue.len(), idle: inner.idle.len(), ..inner.numbers }
    }

    /// How much is queued.
    pub fn len(&self) -> usize {
        self.inner.lock().queue.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the pool is of an ancestor of this process, whose workers do not exist here.
    #[inline]
    pub fn is_of_ancestor(&self) -> bool {
        self.inner.lock().generation != fork::generation()
    }

    /// Begins anew in the child of a fork: without workers, and without the work of the parent's, which is returned.
    pub fn reset_after_fork(&self) -> VecDeque<W> {
        let mut inner = self.inner.lock();
        inner.generation = fork::generation();
        inner.idle = Vec::new();
        inner.coming = 0;
        inner.starting = 0;
        inner.numbers = Numbers::default();
        std::mem::take(&mut inner.queue)
    }
}
