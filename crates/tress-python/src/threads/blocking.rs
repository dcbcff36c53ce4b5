//! The waits that several classes share: for a lock, and for a permit.

use pyo3::prelude::*;
#[cfg(Py_3_13)]
use pyo3::{sync::PyOnceLock, types::PyType};
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::base::waits::{self, What};
use tress_core::threads::lock::Lock;
use tress_core::threads::semaphore::{Enrol, Semaphore, Take};

use crate::attach;
use crate::base::deadlock::{self, Mode};
use crate::base::waits::what;

use super::rlock::RLock;

/// Waits for `lock`; false when the deadline passed first. The caller has tried before.
///
/// # Errors
/// What a signal handler raised, or a `DeadlockError` (where `may_raise`). The lock is not taken then.
pub fn acquire_lock(
    py: Python<'_>,
    lock: &Lock,
    deadline: Option<Deadline>,
    what: What,
    may_raise: bool,
) -> PyResult<bool> {
    refuse_at_finalization(py, deadline)?;
    let since_ns = now_ns();
    let mut again = false;
    loop {
        let Some(node) = lock.enrol(since_ns, again) else { return Ok(true) };
        let outcome = waits::scope(|scope| {
            if deadline.is_some() || deadlock::mode() == Mode::Off {
                scope.enter_lock_unchecked(what, deadline, lock);
            } else if let Err(cycle) = scope.enter_lock(what, lock) {
                deadlock::report(py, &cycle, may_raise)?;
                scope.enter_lock_unchecked(what, deadline, lock);
            }
            attach::wait_entered(py, || (), node.waiter(), deadline, || ())
        });
        match outcome {
            Ok(Outcome::Granted(signal)) => {
                if lock.settle(signal) {
                    return Ok(true);
                }
                again = true;
            }
            Ok(_) => return Ok(lock.cancel(&node)),
            Err(error) => {
                if lock.cancel(&node) {
                    release_lock(lock);
                }
                return Err(error);
            }
        }
    }
}

/// Releases a lock that the calling thread holds.
fn release_lock(lock: &Lock) {
    if let Ok(wakes) = lock.release() {
        wakes.wake();
    }
}

/// Takes `lock` again after a wait in which it was released, whatever happens: a signal handler's exception is kept until
/// the lock is held, as the caller's `with` block is about to release it.
pub fn reacquire_lock(py: Python<'_>, lock: &Lock, what: What) -> PyResult<()> {
    if lock.try_acquire() {
        return Ok(());
    }
    let mut raised: Option<PyErr> = None;
    loop {
        match acquire_lock(py, lock, None, what, false) {
            Ok(_) => return raised.map_or(Ok(()), Err),
            Err(error) => {
                if let Some(earlier) = raised.take() {
                    error.set_context(py, Some(earlier));
                }
                raised = Some(error);
            }
        }
    }
}

/// Takes an RLock again, `count` times, as [`reacquire_lock`] does.
pub fn restore_rlock(rlock: &Bound<'_, RLock>, count: usize) -> PyResult<()> {
    let core = rlock.get().core();
    let outcome = reacquire_lock(rlock.py(), core.lock(), what("RLock.acquire", rlock));
    core.taken(count);
    outcome
}

/// Waits for a permit of `semaphore`; what became of it is [`Take::Empty`] when the deadline passed.
///
/// # Errors
/// What a signal handler raised. No permit is taken then.
pub fn acquire_permit(
    py: Python<'_>,
    semaphore: &Semaphore,
    deadline: Option<Deadline>,
    what: What,
) -> PyResult<Take> {
    let since_ns = now_ns();
    let mut again = false;
    loop {
        let node = match semaphore.enrol(since_ns, again) {
            Enrol::Taken => return Ok(Take::Taken),
            Enrol::Closed => return Ok(Take::Closed),
            Enrol::Waiting(node) => node,
        };
        match attach::wait(py, node.waiter(), deadline, what) {
            Ok(Outcome::Granted(Signal::Handed)) => return Ok(Take::Taken),
            Ok(Outcome::Granted(_)) => match semaphore.try_acquire() {
                Take::Empty => again = true,
                settled => return Ok(settled),
            },
            Ok(_) => return Ok(if semaphore.cancel(&node) { Take::Taken } else { Take::Empty }),
            Err(error) => {
                if semaphore.cancel(&node) {
                    // Without a bound a release cannot fail.
                    if let Ok(wakes) = semaphore.release(1, None) {
                        wakes.wake();
                    }
                }
                return Err(error);
            }
        }
    }
}

/// While the interpreter finalizes no other thread runs any more: a wait without a deadline would be one for ever.
#[cfg(Py_3_13)]
fn refuse_at_finalization(py: Python<'_>, deadline: Option<Deadline>) -> PyResult<()> {
    static ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    // SAFETY: it reads a flag, and may be called at any time.
    if deadline.is_some() || unsafe { pyo3::ffi::Py_IsFinalizing() } == 0 {
        return Ok(());
    }
    let error = ERROR.import(py, "builtins", "PythonFinalizationError")?;
    Err(PyErr::from_type(error.clone(), "cannot acquire lock at interpreter finalization"))
}

/// Before 3.13 nothing tells that the interpreter finalizes.
#[cfg(not(Py_3_13))]
fn refuse_at_finalization(_py: Python<'_>, _deadline: Option<Deadline>) -> PyResult<()> {
    Ok(())
}
