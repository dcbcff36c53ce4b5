//! `Condition`.

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit, intern};
use tress_core::base::waiter::Outcome;
use tress_core::base::waitlist::{Node, Wakes};
use tress_core::base::waits;
use tress_core::threads::condition::{self as core, GaveUp};
use tress_core::threads::lock::LockWait;

use crate::attach;
use crate::base::argument::{Count, Timeout};
use crate::base::calls;
use crate::base::held::Held;
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine};
use crate::error::Error;

use super::awaiting::{Either, Operation};
use super::blocking;
use super::lock::Lock;
use super::rlock::RLock;

/// The lock of a condition: ours, reached without Python, or anybody's.
enum AnyLock {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
    Other(Held),
}

/// What a lock needs to be taken again after a wait.
enum Saved {
    Once,
    Times(usize),
    Other(Py<PyAny>),
}

/// A condition, as `threading.Condition`: threads wait until another one notifies them.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Condition {
    condition: core::Condition,
    lock: OnceLock<AnyLock>,
}

impl Condition {
    pub fn core(&self) -> &core::Condition {
        &self.condition
    }

    /// The lock, if it is ours.
    pub fn either_lock(&self, py: Python<'_>) -> PyResult<Option<Either>> {
        Ok(match self.lock()? {
            AnyLock::Lock(lock) => Some(Either::Lock(lock.clone_ref(py))),
            AnyLock::RLock(lock) => Some(Either::RLock(lock.clone_ref(py))),
            AnyLock::Other(_) => None,
        })
    }

    fn lock(&self) -> PyResult<&AnyLock> {
        self.lock.get().ok_or_else(|| PyRuntimeError::new_err("Condition.__init__() not called"))
    }

    fn is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        match self.lock()? {
            // A plain lock belongs to whoever says so: that it is held is all that can be asked.
            AnyLock::Lock(lock) => Ok(lock.get().core().is_locked()),
            AnyLock::RLock(lock) => lock.get().is_owned_here(py),
            AnyLock::Other(lock) => {
                let lock = lock.get(py)?;
                if let Some(owned) = lock.getattr_opt(intern!(py, "_is_owned"))? {
                    return calls::call(&owned, &PyTuple::empty(py))?.is_truthy();
                }
                if calls::method(
                    &lock,
                    intern!(py, "acquire"),
                    Some(PyBool::new(py, false).as_any().as_borrowed()),
                )?
                .is_truthy()?
                {
                    calls::method(&lock, intern!(py, "release"), None)?;
                    return Ok(false);
                }
                Ok(true)
            }
        }
    }

    /// Notifies `count` threads, for a caller that holds the lock.
    pub fn notify_held(&self, count: usize) {
        let (_, wakes) = self.condition.notify(count, self.native_lock());
        wakes.wake();
    }

    /// The lock as core knows it, if it is ours.
    fn native_lock(&self) -> Option<&tress_core::threads::lock::Lock> {
        match self.lock.get()? {
            AnyLock::Lock(lock) => Some(lock.get().core()),
            AnyLock::RLock(lock) => Some(lock.get().core().lock()),
            AnyLock::Other(_) => None,
        }
    }

    /// Releases the lock altogether; whoever is to be woken for that is still asleep.
    fn release_save(&self, py: Python<'_>) -> PyResult<(Saved, Wakes<LockWait>)> {
        match self.lock()? {
            AnyLock::Lock(lock) => Ok((Saved::Once, lock.get().core().release().map_err(Error::from)?)),
            AnyLock::RLock(lock) => {
                let (count, wakes) = lock.get().core().release_all().map_err(Error::from)?;
                Ok((Saved::Times(count), wakes))
            }
            AnyLock::Other(lock) => {
                let lock = lock.get(py)?;
                if let Some(save) = lock.getattr_opt(intern!(py, "_release_save"))? {
                    return Ok((
                        Saved::Other(calls::call(&save, &PyTuple::empty(py))?.unbind()),
                        Wakes::none(),
                    ));
                }
                calls::method(&lock, intern!(py, "release"), None)?;
                Ok((Saved::Once, Wakes::none()))
            }
        }
    }

    fn acquire_restore(&self, py: Python<'_>, saved: Saved, owned: bool) -> PyResult<()> {
        match (self.lock()?, saved) {
            (AnyLock::Lock(_), _) if owned => Ok(()),
            (AnyLock::RLock(lock), saved) if owned => {
                lock.get().core().taken(if let Saved::Times(count) = saved { count } else { 1 });
                Ok(())
            }
            (AnyLock::Lock(lock), _) => {
                blocking::reacquire_lock(py, lock.get().core(), what("Lock.acquire", lock.bind(py)))
            }
            (AnyLock::RLock(lock), Saved::Times(count)) => blocking::restore_rlock(lock.bind(py), count),
            (AnyLock::Other(lock), Saved::Other(state)) => calls::method(
                &lock.get(py)?,
                intern!(py, "_acquire_restore"),
                Some(state.bind(py).as_borrowed()),
            )
            .map(drop),
            (AnyLock::Other(lock), _) => reacquire_other(&lock.get(py)?),
            (AnyLock::RLock(lock), _) => blocking::restore_rlock(lock.bind(py), 1),
        }
    }

    fn lock_method<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, pyo3::types::PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.lock()? {
            AnyLock::Lock(lock) => lock.bind(py).getattr(name),
            AnyLock::RLock(lock) => lock.bind(py).getattr(name),
            AnyLock::Other(lock) => lock.get(py)?.getattr(name),
        }
    }
}

/// Takes a lock that is not ours again after a wait. An exception of the standard lock is a signal handler's, and is kept
/// until the lock is held: the caller's `with` block is about to release it.
fn reacquire_other(lock: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = lock.py();
    let is_standard = lock.get_type().is(standard_lock(py)?);
    let mut raised = Ok(());
    loop {
        match calls::method(lock, intern!(py, "acquire"), None) {
            Ok(_) => return raised,
            Err(error) if is_standard => raised = Err(error),
            Err(error) => return Err(error),
        }
    }
}

fn standard_lock(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "_thread", "LockType")
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(lock=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { condition: core::Condition::new(), lock: OnceLock::new() }
    }

    #[pyo3(signature = (lock=None))]
    fn __init__(slf: &Bound<'_, Self>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let lock = match lock.filter(|lock| !lock.is_none()) {
            None => AnyLock::RLock(Py::new(py, RLock::free())?),
            Some(lock) => match (lock.cast_exact::<Lock>(), lock.cast_exact::<RLock>()) {
                (Ok(lock), _) => AnyLock::Lock(lock.clone().unbind()),
                (_, Ok(lock)) => AnyLock::RLock(lock.clone().unbind()),
                _ => {
                    for needed in [intern!(py, "acquire"), intern!(py, "release")] {
                        lock.getattr(needed)?;
                    }
                    AnyLock::Other(Held::new(lock.clone().unbind()))
                }
            },
        };
        let _ = slf.get().lock.set(lock);
        Ok(())
    }

    /// The lock.
    #[getter(_lock)]
    fn get_lock(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.lock()? {
            AnyLock::Lock(lock) => lock.clone_ref(py).into_any(),
            AnyLock::RLock(lock) => lock.clone_ref(py).into_any(),
            AnyLock::Other(lock) => lock.get(py)?.unbind(),
        })
    }

    /// The lock's own `acquire`.
    #[getter]
    fn acquire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lock_method(py, intern!(py, "acquire"))
    }

    /// The lock's own `release`.
    #[getter]
    fn release<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lock_method(py, intern!(py, "release"))
    }

    /// The lock's own `locked`.
    #[cfg(Py_3_14)]
    #[getter]
    fn locked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lock_method(py, intern!(py, "locked"))
    }

    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.lock()? {
            AnyLock::RLock(lock) => {
                RLock::enter(lock.bind(py))?;
            }
            AnyLock::Lock(lock) => {
                Lock::enter(lock.bind(py))?;
            }
            AnyLock::Other(lock) => return calls::method(&lock.get(py)?, intern!(py, "__enter__"), None),
        }
        Ok(pyo3::types::PyBool::new(py, true).to_owned().into_any())
    }

    #[pyo3(signature = (exc_type=None, exc_value=None, traceback=None))]
    fn __exit__<'py>(
        &self,
        py: Python<'py>,
        exc_type: Option<&Bound<'py, PyAny>>,
        exc_value: Option<&Bound<'py, PyAny>>,
        traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.lock()? {
            AnyLock::RLock(lock) => lock.get().release().map(|()| None),
            AnyLock::Lock(lock) => lock.get().release().map(|()| None),
            AnyLock::Other(lock) => {
                let exit = lock.get(py)?.getattr(intern!(py, "__exit__"))?;
                calls::call(&exit, &(exc_type, exc_value, traceback).into_pyobject(py)?).map(Some)
            }
        }
    }

    /// The lock's own `aacquire`.
    #[getter]
    fn aacquire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lock_method(py, intern!(py, "aacquire"))
    }

    fn __aenter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.lock()? {
            AnyLock::RLock(lock) => RLock::__aenter__(lock.bind(py)),
            AnyLock::Lock(lock) => Lock::__aenter__(lock.bind(py)),
            AnyLock::Other(lock) => calls::method(&lock.get(py)?, intern!(py, "__aenter__"), None),
        }
    }

    #[pyo3(signature = (*exc))]
    fn __aexit__<'py>(&self, exc: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = exc.py();
        match self.lock()? {
            AnyLock::RLock(lock) => RLock::__aexit__(lock.bind(py), exc),
            AnyLock::Lock(lock) => Lock::__aexit__(lock.bind(py), exc),
            AnyLock::Other(lock) => calls::call(&lock.get(py)?.getattr(intern!(py, "__aexit__"))?, exc),
        }
    }

    /// Waits until notified; for coroutines that hold the lock by `async with condition`: `await condition.await_()`.
    ///
    /// Releases the lock, waits, and acquires the lock again before it returns, whatever ends the wait; a task that is cancelled meanwhile
    /// sees that once it has the lock. Returns True. RuntimeError when the lock is not acquired, or is not one of tress's. A
    /// notification that arrives together with a cancellation is passed on to the next waiter.
    fn await_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::WaitForNotification), slf.as_any(), None)
    }

    /// Waits until notified.
    ///
    /// Releases the lock, waits, and acquires the lock again before it returns, whatever ends the wait. `timeout` is in
    /// seconds, None waits for ever. Returns True, or False when the timeout passed first. RuntimeError when the calling
    /// thread has not acquired the lock. A notification that arrives together with a signal handler's exception is passed on to
    /// the next waiter.
    #[pyo3(signature = (timeout=None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let this = slf.get();
        let is_owned = match this.lock()? {
            // Held by a task it is not for its thread to wait with.
            AnyLock::RLock(lock) => lock.get().core().is_owned(),
            _ => this.is_owned(py)?,
        };
        if !is_owned {
            return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
        }
        let timeout = Timeout::optional(timeout)?;
        let condition = &this.condition;
        let lock = this.native_lock();
        let deadline = timeout.deadline();
        let what = what("Condition.wait", slf);
        let node = condition.enrol();
        let waited = waits::scope(|scope| {
            // Before the lock is released: whoever takes it from now on can see who cannot go on without it.
            match lock {
                Some(lock) => scope.enter_condition(what, deadline, lock),
                None => scope.enter(what, deadline),
            }
            let (saved, wakes) = this.release_save(py)?;
            if timeout == Timeout::Now {
                wakes.wake();
                return Ok((saved, Ok(Outcome::TimedOut)));
            }
            // Whoever waits for the lock is woken once this thread has let go of the interpreter: not to wait for that.
            let outcome = attach::wait_entered(py, || wakes.wake(), node.waiter(), deadline, || ());
            Ok((saved, outcome))
        });
        let (saved, outcome) = match waited {
            Ok(waited) => waited,
            Err(error) => {
                let _ = condition.give_up(&node, None);
                return Err(error);
            }
        };
        let ended = match outcome {
            Ok(Outcome::Granted(signal)) => {
                GaveUp { notified: true, owns_lock: lock.is_some_and(|lock| lock.settle(signal)) }
            }
            Ok(_) | Err(_) => condition.give_up(&node, lock),
        };
        let restored = this.acquire_restore(py, saved, ended.owns_lock);
        match (outcome, restored) {
            (Ok(_), Ok(())) => Ok(ended.notified),
            (Err(error), _) | (Ok(_), Err(error)) => {
                if ended.notified {
                    let (_, wakes) = condition.notify(1, lock);
                    wakes.wake();
                }
                Err(error)
            }
        }
    }

    /// Ends the wait of the `n` threads that have waited longest, or of all when there are fewer.
    ///
    /// They go on once they can acquire the lock. RuntimeError when the calling thread has not acquired the lock.
    #[pyo3(signature = (n=Count::ONE), text_signature = "($self, n=1)")]
    fn notify(&self, py: Python<'_>, n: Count) -> PyResult<()> {
        if !self.is_owned(py)? {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        let (_, wakes) = self.condition.notify(n.0.max(0) as usize, self.native_lock());
        wakes.wake();
        Ok(())
    }

    /// Ends the wait of every thread that waits. RuntimeError when the calling thread has not acquired the lock.
    fn notify_all(&self, py: Python<'_>) -> PyResult<()> {
        self.notify(py, Count(i64::MAX))
    }

    /// Whether the calling thread has acquired the lock, as far as the lock can tell.
    fn _is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_owned(py)
    }

    /// Frees the lock and forgets the waiters in the child of a fork.
    fn _at_fork_reinit(&self, py: Python<'_>) -> PyResult<()> {
        self.condition.reset_after_fork();
        match self.lock()? {
            AnyLock::Lock(lock) => lock.get().core().reset_after_fork(),
            AnyLock::RLock(lock) => lock.get().core().reset_after_fork(),
            AnyLock::Other(lock) => {
                lock.get(py)?.call_method0(intern!(py, "_at_fork_reinit"))?;
            }
        }
        Ok(())
    }

    /// As many as there are waiters: the standard class has a sequence of them, of which programs ask the length.
    #[getter(_waiters)]
    fn waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, vec![None::<bool>; self.condition.waiting()])
    }

    /// Numbers: `waiters`, and `lock`, the lock's own where it has some.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        numbers.set_item("waiters", self.condition.waiting())?;
        match self.lock()? {
            AnyLock::Lock(lock) => numbers.set_item("lock", lock.get().statistics(py)?)?,
            AnyLock::RLock(lock) => numbers.set_item("lock", lock.get().statistics(py)?)?,
            AnyLock::Other(_) => {}
        }
        Ok(numbers)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let lock = self.get_lock(py)?;
        Ok(format!("<Condition({}, {})>", lock.bind(py).repr()?, self.condition.waiting()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.lock.get() {
            Some(AnyLock::Other(lock)) => lock.traverse(&visit),
            Some(AnyLock::Lock(lock)) => visit.call(lock),
            Some(AnyLock::RLock(lock)) => visit.call(lock),
            None => Ok(()),
        }
    }

    fn __clear__(&self) {
        // The other kinds refer to nothing.
        if let Some(AnyLock::Other(lock)) = self.lock.get() {
            lock.clear();
        }
    }
}
