//! One wait of one thread or one task, and the one atomic transition that decides how it ends.
//!
//! | state     | meaning                                   | may become                                  |
//! |-----------|-------------------------------------------|---------------------------------------------|
//! | WAITING   | enrolled, awake (about to park, spinning) | PARKED, any final state                     |
//! | PARKED    | asleep in the kernel, or nearly           | WAITING (woke by itself), any final state   |
//! | HANDED    | final: it has what it waited for          |                                             |
//! | RETRY     | final: worth trying again                 |                                             |
//! | CLOSED    | final: what it waited on was shut down    |                                             |
//! | BROKEN    | final: what it waited on cannot come      |                                             |
//! | CANCELLED | final: it gave up (timeout, signal)       |                                             |
//!
//! The waker moves WAITING or PARKED to HANDED, RETRY, CLOSED or BROKEN by [`Waiter::grant`]; the waiter moves WAITING to
//! CANCELLED by [`Waiter::cancel`]. Both are one compare-and-swap on the same word, so exactly one of them wins: a value is
//! either delivered or still the giver's, never both and never neither. `tests/loom_waiter.rs` owns the proof.
//!
//! A task, such as a coroutine of an event loop, does not park. Its wait is PARKED from the start and never leaves that state but
//! for a final one; instead of a sleeping thread, [`Waiter::wake`] wakes its [`Waker`], once, and whoever runs the task then looks
//! at [`Waiter::granted`]. So the lists in which waiters stand need not know which of the two a waiter is.

use std::task::Waker;

use super::deadline::Deadline;
use super::fork;
use super::futex::{Bed, Slept};
use super::sync::atomic::{AtomicU32, Ordering};
use super::thread_id::{self, ThreadId};

const WAITING: u32 = 0;
const PARKED: u32 = 1;
const HANDED: u32 = 2;
const RETRY: u32 = 3;
const CLOSED: u32 = 4;
const BROKEN: u32 = 5;
const CANCELLED: u32 = 6;

/// How a waker ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The waiter has what it waited for.
    Handed,
    /// What it waited for may be had now; it must try again.
    Retry,
    /// The object was shut down.
    Closed,
    /// What it waited for cannot come any more: the owner or a peer is gone.
    Broken,
}

/// What became of a [`Waiter::grant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Grant {
    /// Taken by a thread that is awake and will see it: no wake-up needed.
    Awake,
    /// Taken by a thread that sleeps, or by a task: [`Waiter::wake`] it, after releasing the lock.
    Asleep,
    /// The waiter had given up, or was left behind by a fork: give to somebody else.
    Gone,
}

/// What became of a [`Waiter::cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Cancel {
    /// The wait ended empty-handed.
    Cancelled,
    /// Too late: it was granted before, and whoever cancels owns what was granted.
    Granted(Signal),
}

/// How a [`Waiter::park`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A waker ended the wait.
    Granted(Signal),
    /// The deadline passed. The waiter is still enrolled: cancel it.
    TimedOut,
    /// A signal arrived. The waiter is still enrolled: look at the signal, then park again or cancel.
    Interrupted,
}

/// Who waits.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The calling thread.
    Thread,
    /// A task: what wakes it, and under which number it holds a lock ([`thread_id::of_task`]).
    ///
    /// The waker is called at most once, with no lock of core held, by the thread that ends the wait. It is dropped by any
    /// thread, maybe under a lock of core: neither may run code that waits, or that uses the same primitive.
    Task(&'a Waker, ThreadId),
}

impl Who<'_> {
    /// The number under which it holds a lock.
    #[inline]
    pub fn id(self) -> ThreadId {
        match self {
            Self::Thread => thread_id::current(),
            Self::Task(_, id) => id,
        }
    }
}

/// One wait. Made for it, used once.
///
/// ```
/// use std::sync::Arc;
/// use tress_core::base::deadline::Deadline;
/// use tress_core::base::waiter::{Cancel, Grant, Outcome, Signal, Waiter};
///
/// let waiter = Arc::new(Waiter::new());
/// assert_eq!(waiter.park(Some(Deadline::after_ns(1_000))), Outcome::TimedOut);
/// // It could be cancelled now; this one parks again instead.
/// let waker = waiter.clone();
/// let thread = std::thread::spawn(move || match waker.grant(Signal::Handed) {
///     Grant::Asleep => waker.wake(),
///     Grant::Awake => {}
///     Grant::Gone => unreachable!("nobody cancelled"),
/// });
/// assert_eq!(waiter.park(None), Outcome::Granted(Signal::Handed));
/// assert_eq!(waiter.cancel(), Cancel::Granted(Signal::Handed), "too late");
/// thread.join().unwrap();
/// ```
#[derive(Debug)]
pub struct Waiter {
    state: AtomicU32,
    thread: ThreadId,
    /// The fork generation; of this process alone, so not the model checker's.
    generation: std::sync::atomic::AtomicU32,
    bed: Bed,
    /// Of a task.
    waker: Option<Waker>,
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Waiter {
    /// A waiter of the calling thread, not yet enrolled anywhere.
    pub fn new() -> Self {
        Self {
            state: AtomicU32::new(WAITING),
            thread: thread_id::current(),
            generation: fork::generation().into(),
            bed: Bed::new(),
            waker: None,
        }
    }

    /// A waiter of `who`, not yet enrolled anywhere.
    pub fn of(who: Who<'_>) -> Self {
        let waiter = Self::new();
        match who {
            Who::Thread => waiter,
            Who::Task(waker, _) => {
                Self { state: AtomicU32::new(PARKED), waker: Some(waker.clone()), ..waiter }
            }
        }
    }

    /// Whether it is a task's.
    #[inline]
    pub fn is_task(&self) -> bool {
        self.waker.is_some()
    }

    /// Whether its thread is one of this process. A fork leaves every task behind: its loop belongs to the parent.
    #[inline]
    fn is_here(&self) -> bool {
        let generation = self.generation.load(Ordering::Relaxed);
        generation == fork::generation() || (!self.is_task() && fork::survived(generation, self.thread))
    }

    /// Ends the wait with `signal`, if it has not ended yet.
    pub fn grant(&self, signal: Signal) -> Grant {
        if !self.is_here() {
            return Grant::Gone;
        }
        let target = match signal {
            Signal::Handed => HANDED,
            Signal::Retry => RETRY,
            Signal::Closed => CLOSED,
            Signal::Broken => BROKEN,
        };
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            if seen > PARKED {
                return Grant::Gone;
            }
            match self.state.compare_exchange_weak(seen, target, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(PARKED) => return Grant::Asleep,
                Ok(_) => return Grant::Awake,
                Err(now) => seen = now,
            }
        }
    }

    /// Gives up. Only the waiting thread calls it, while it is not parked, or whoever acts for the task.
    pub fn cancel(&self) -> Cancel {
        let open = if self.is_task() { PARKED } else { WAITING };
        match self.state.compare_exchange(open, CANCELLED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Cancel::Cancelled,
            Err(seen) => match granted(seen) {
                Some(signal) => Cancel::Granted(signal),
                None => Cancel::Cancelled,
            },
        }
    }

    /// Whether the wait is still open: neither granted nor cancelled, and of this process.
    pub fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Relaxed) <= PARKED && self.is_here()
    }

    /// The signal it was granted, if it was.
    #[inline]
    pub fn granted(&self) -> Option<Signal> {
        granted(self.state.load(Ordering::Acquire))
    }

    /// Wakes the thread, or the task, of a waiter whose grant said [`Grant::Asleep`].
    pub fn wake(&self) {
        match &self.waker {
            None => self.bed.wake(&self.state),
            Some(waker) => waker.wake_by_ref(),
        }
    }

    /// Spins as long as that is likely to pay; true when the wait was granted meanwhile.
    #[cfg(not(loom))]
    pub fn spin(&self) -> bool {
        super::spin::until(|| self.state.load(Ordering::Relaxed) > PARKED)
    }

    /// Sleeps until the wait is granted, the deadline passes or a signal handler ran in this thread.
    ///
    /// A timeout or signal takes nothing and loses nothing: the waiter stays enrolled until it is cancelled. A task does not park.
    pub fn park(&self, deadline: Option<Deadline>) -> Outcome {
        debug_assert!(!self.is_task(), "a task that parks would put a thread to sleep");
        // The thread is here; if it has made a fork since, so is the wait.
        self.generation.store(fork::generation(), Ordering::Relaxed);
        loop {
            if let Err(seen) =
                self.state.compare_exchange(WAITING, PARKED, Ordering::AcqRel, Ordering::Acquire)
            {
                if let Some(signal) = granted(seen) {
                    return Outcome::Granted(signal);
                }
            }
            let slept = self.bed.sleep(&self.state, PARKED, deadline);
            // Awake again: from here on a waker need not make a system call.
            if let Err(seen) =
                self.state.compare_exchange(PARKED, WAITING, Ordering::AcqRel, Ordering::Acquire)
            {
                if let Some(signal) = granted(seen) {
                    return Outcome::Granted(signal);
                }
            }
            match slept {
                Slept::TimedOut => return Outcome::TimedOut,
                Slept::Interrupted => return Outcome::Interrupted,
                Slept::Woken => {}
            }
        }
    }
}

fn granted(state: u32) -> Option<Signal> {
    match state {
        HANDED => Some(Signal::Handed),
        RETRY => Some(Signal::Retry),
        CLOSED => Some(Signal::Closed),
        BROKEN => Some(Signal::Broken),
        _ => None,
    }
}
