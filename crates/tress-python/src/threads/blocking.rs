//! The waits that several classes share: for a lock, and for a permit.

use pyo3::prelude::*;
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::base::waits::{self, What};
use tress_core::threads::lock::Lock;

use crate::attach;
use crate::base::deadlock::{self, Mode};

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
    let since_ns = now_ns();
    let mut again = false;
    loop {
        let Some(node) = lock.enrol(since_ns, again) else { return Ok(true) };
        let entry = if deadline.is_some() || deadlock::mode() == Mode::Off {
            waits::enter_lock_unchecked(what, deadline, lock)
        } else {
            match waits::enter_lock(what, lock) {
                Ok(entry) => entry,
                Err(cycle) => {
                    if let Err(error) = deadlock::report(py, &cycle, may_raise) {
                        if lock.cancel(&node) {
                            release_lock(lock);
                        }
                        return Err(error);
                    }
                    waits::enter_lock_unchecked(what, deadline, lock)
                }
            }
        };
        match attach::wait_entered(py, node.waiter(), deadline, move || entry) {
            Ok(Outcome::Granted(Signal::Handed)) => return Ok(true),
            Ok(Outcome::Granted(_)) => {
                if lock.try_acquire() {
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
