//! The one door out of the interpreter: every wait of every primitive leaves and comes back here.
//!
//! The contract: the caller has tried and enrolled while attached. Here the thread detaches, spins or parks to an absolute
//! deadline, and re-attaches. A signal re-attaches early and runs its handler; if that raises, the wait ends with the
//! exception, and the caller cancels the enrolment (which tells whether something was granted in the last moment and has to
//! be given back). Otherwise the thread parks again with the same deadline.
//!
//! No lock of core is held on either way through the door.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::thread_id;
use tress_core::base::waiter::{Outcome, Waiter};
use tress_core::base::waitlist::{Node, Wakes};
use tress_core::base::waits::{self, What};
use tress_core::processes::word::Slept;

/// Counts the times that a thread has gone out through the door: a waiter that was granted while it span looks here for
/// its waker to let go of the interpreter, as asking for the interpreter before that means a sleep in the kernel.
static DEPARTURES: AtomicU32 = AtomicU32::new(0);

/// Threads that are waking others after they have let go of the interpreter.
static WAKING_DEPARTED: AtomicU32 = AtomicU32::new(0);

/// How long a granted spinner looks for its waker's departure, in nanoseconds.
const DEPARTURE_NS: u64 = 5_000;

/// Waits until `waiter` is granted or `deadline` passes; the wait can be seen in `tress.waits()` as `what`.
///
/// # Errors
/// What a signal handler raised. The waiter is still enrolled, then and after a timeout.
pub fn wait(py: Python<'_>, waiter: &Waiter, deadline: Option<Deadline>, what: What) -> PyResult<Outcome> {
    wait_entered(py, || (), waiter, deadline, || waits::enter(what, deadline))
}

/// As [`wait`], for one that has something to do first, detached (waking whoever needs the interpreter to go on), and
/// that is entered into the registry of waits otherwise: by `enter` once it does not merely spin, or by its caller before.
pub fn wait_entered<E: Send>(
    py: Python<'_>,
    first: impl FnOnce() + Send,
    waiter: &Waiter,
    deadline: Option<Deadline>,
    enter: impl FnOnce() -> E + Send,
) -> PyResult<Outcome> {
    let mut enter = Some((first, enter));
    let mut entry = None;
    let mut naps = Naps::new();
    loop {
        let outcome = py.detach(|| {
            if let Some((first, enter)) = enter.take() {
                wake_departed(first);
                if let Some(outcome) = spin(waiter) {
                    return outcome;
                }
                entry = Some(enter());
            }
            let outcome = naps.park(waiter, deadline);
            if matches!(outcome, Outcome::Granted(_)) {
                let_waker_depart();
            }
            outcome
        });
        match outcome {
            Outcome::Interrupted => py.check_signals()?,
            ended => return Ok(ended),
        }
    }
}

/// How a thread sleeps through a wait: at one go, but for the process's first thread, in which signal handlers run.
///
/// A signal that arrives when the thread has looked for signals and is not yet asleep in the kernel does not wake it. So the
/// first thread looks again after a moment, and then less and less often: the moment in which it falls asleep again is the only
/// one in which another signal could escape it.
struct Naps {
    next_ns: Option<u64>,
}

const FIRST_NAP_NS: u64 = 25_000_000;
const LONGEST_NAP_NS: u64 = 1_000_000_000;

impl Naps {
    fn new() -> Self {
        Self { next_ns: thread_id::leads_process().then_some(FIRST_NAP_NS) }
    }

    /// As [`Waiter::park`]; the end of a nap is an interruption.
    fn park(&mut self, waiter: &Waiter, deadline: Option<Deadline>) -> Outcome {
        let (until, is_nap) = self.until(deadline);
        let outcome = waiter.park(until);
        if self.ended(is_nap, outcome == Outcome::TimedOut) { Outcome::Interrupted } else { outcome }
    }

    /// When to wake up next, and whether that is the end of a nap rather than the deadline.
    fn until(&self, deadline: Option<Deadline>) -> (Option<Deadline>, bool) {
        let Some(nap_ns) = self.next_ns else { return (deadline, false) };
        let nap = Deadline::after_ns(nap_ns);
        if deadline.is_some_and(|deadline| deadline <= nap) { (deadline, false) } else { (Some(nap), true) }
    }

    /// Notes how a sleep ended; true if only the nap is over.
    fn ended(&mut self, is_nap: bool, timed_out: bool) -> bool {
        if let (true, Some(nap_ns)) = (is_nap, self.next_ns) {
            self.next_ns = Some(if timed_out { LONGEST_NAP_NS.min(nap_ns * 2) } else { FIRST_NAP_NS });
        }
        is_nap && timed_out
    }
}

/// Wakes threads that need nothing but the interpreter to go on, after letting go of it: on the CPU of its waker a woken
/// thread runs at once, and would sleep again for the interpreter.
///
/// Not for locks, permits and queues: whoever releases one is about to want the next, and handing over the interpreter at
/// each release would cost two switches where now one side runs for a while and then the other.
pub fn wake<N: Node + Send + Sync>(py: Python<'_>, wakes: Wakes<N>) {
    if !wakes.is_empty() {
        py.detach(|| wake_departed(|| wakes.wake()));
    }
}

/// Runs `wake` as what a detached thread does for others: they find the interpreter free.
fn wake_departed(wake: impl FnOnce()) {
    DEPARTURES.fetch_add(1, Ordering::Release);
    WAKING_DEPARTED.fetch_add(1, Ordering::Relaxed);
    wake();
    WAKING_DEPARTED.fetch_sub(1, Ordering::Relaxed);
}

/// On a single CPU a woken thread runs before its waker has let go of the interpreter: letting it go on for a moment costs
/// less than asking for the interpreter, which is two more sleeps.
fn let_waker_depart() {
    if !tress_core::base::spin::pays() && WAKING_DEPARTED.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
}

fn spin(waiter: &Waiter) -> Option<Outcome> {
    let departures = Cell::new(0);
    let met = tress_core::base::spin::until(|| {
        let before = DEPARTURES.load(Ordering::Acquire);
        if waiter.granted().is_some() {
            return true;
        }
        departures.set(before);
        false
    });
    let signal = waiter.granted()?;
    if met {
        let end = now_ns() + DEPARTURE_NS;
        while DEPARTURES.load(Ordering::Acquire) == departures.get() && now_ns() < end {
            std::hint::spin_loop();
        }
    }
    Some(Outcome::Granted(signal))
}

/// Looks for a grant of `waiter` for at most `limit_ns` nanoseconds; whether it came.
pub fn look(py: Python<'_>, waiter: &Waiter, limit_ns: u64) -> bool {
    py.detach(|| {
        DEPARTURES.fetch_add(1, Ordering::Release);
        tress_core::base::spin::look(limit_ns, || waiter.granted().is_some())
    })
}

/// As [`wait`], for a wait that is the engine's own and that nobody asks about.
pub fn wait_unseen(py: Python<'_>, waiter: &Waiter, deadline: Option<Deadline>) -> PyResult<Outcome> {
    let mut naps = Naps::new();
    loop {
        let outcome = py.detach(|| {
            DEPARTURES.fetch_add(1, Ordering::Release);
            naps.park(waiter, deadline)
        });
        match outcome {
            Outcome::Interrupted => py.check_signals()?,
            ended => return Ok(ended),
        }
    }
}

/// Waits for what other processes do: `attempt` looks whether it has happened, or sleeps on a word in shared memory until the
/// time it is given. None when `deadline` passes.
///
/// # Errors
/// What a signal handler raised.
pub fn wait_shared<T: Send>(
    py: Python<'_>,
    deadline: Option<Deadline>,
    mut attempt: impl FnMut(Option<Deadline>) -> Result<T, Slept> + Send,
) -> PyResult<Option<T>> {
    let mut naps = Naps::new();
    loop {
        let (until, is_nap) = naps.until(deadline);
        let slept = py.detach(|| {
            DEPARTURES.fetch_add(1, Ordering::Release);
            loop {
                match attempt(until) {
                    Err(Slept::Woken) => {}
                    ended => return ended,
                }
            }
        });
        let nap_is_over = naps.ended(is_nap, matches!(slept, Err(Slept::TimedOut)));
        match slept {
            Ok(value) => return Ok(Some(value)),
            Err(Slept::TimedOut) if !nap_is_over => return Ok(None),
            Err(_) => py.check_signals()?,
        }
    }
}

/// Lets a thread that asks for the interpreter have it.
pub fn give_way(py: Python<'_>) {
    py.detach(|| DEPARTURES.fetch_add(1, Ordering::Release));
}

/// How long a thread that asks for the interpreter waits before its holder is to let go of it: `sys.getswitchinterval()`.
pub fn switch_interval_ns(py: Python<'_>) -> PyResult<u64> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let seconds: f64 = GET.import(py, "sys", "getswitchinterval")?.call0()?.extract()?;
    Ok((seconds * 1e9) as u64)
}
