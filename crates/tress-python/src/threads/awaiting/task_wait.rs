//! One wait of one coroutine: see the module above.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::task::{Wake, Waker};

use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyRuntimeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PySet;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;
use crate::coroutines::waiting;

use super::Want;

struct State {
    /// None before it begins and once the coroutine has ended it.
    want: Option<Box<dyn Want>>,
    /// It was given up with its loop, or by the garbage collector; the coroutine does not know yet.
    is_abandoned: bool,
    /// None once the garbage collector has taken them.
    owner: Option<Py<PyAny>>,
    future: Option<Py<PyAny>>,
}

/// See the module above.
#[pyclass(module = "tress._native", frozen)]
pub struct TaskWait {
    state: Attached<State>,
    link: Arc<Link>,
}

/// What the list of those who wait knows of a `TaskWait`: where it is, as long as it is there.
struct Link(AtomicPtr<PyObject>);

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Where that says no, no loop will run any more.
        Python::try_attach(|py| {
            if let Some(task_wait) = self.get(py) {
                TaskWait::call_turn(&task_wait);
            }
        });
    }
}

impl Link {
    fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, TaskWait>> {
        let object = self.0.load(Ordering::Acquire);
        if object.is_null() {
            return None;
        }
        // SAFETY: the pointer was set to a `TaskWait`, and is taken away as the first thing of its end (`Drop`), which runs in a
        // thread that is attached, and lets no other in between the last reference and that. This thread is attached, so the
        // object has a reference still.
        Some(unsafe { Bound::from_borrowed_ptr(py, object).cast_into_unchecked() })
    }
}

impl TaskWait {
    /// A wait of the running task of `owner`, a loop, and what wakes it.
    pub fn new<'py>(owner: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, Self>, Waker)> {
        let py = owner.py();
        let link = Arc::new(Link(AtomicPtr::default()));
        let future = waiting::new_future(owner)?;
        let state = State {
            want: None,
            is_abandoned: false,
            owner: Some(owner.clone().unbind()),
            future: Some(future.unbind()),
        };
        let new = Bound::new(py, Self { state: Attached::new(state), link: link.clone() })?;
        link.0.store(new.as_ptr(), Ordering::Release);
        Ok((new, Waker::from(link)))
    }

    /// It waits from now on; what to yield to the loop.
    ///
    /// # Errors
    /// What the loop's attributes raise; the wait is given up then.
    pub fn begin<'py>(slf: &Bound<'py, Self>, want: Box<dyn Want>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.want = Some(want));
        match Self::keep(slf) {
            Ok(future) => Ok(future),
            Err(error) => {
                Self::give_up(slf);
                Err(error)
            }
        }
    }

    fn keep<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (owner, future) = slf.get().parts(slf.py())?;
        kept_by(&owner)?.add(slf)?;
        Ok(future)
    }

    /// Its loop and its future.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let parts = self.state.with(py, |state| {
            let (owner, future) = (state.owner.as_ref()?, state.future.as_ref()?);
            Some((owner.bind(py).clone(), future.bind(py).clone()))
        });
        parts.ok_or_else(|| PyRuntimeError::new_err("the wait is being freed by the garbage collector"))
    }

    /// Ends it: whoever gets the want deals with it. It is of one that was abandoned, or not.
    fn take(slf: &Bound<'_, Self>) -> Option<(Box<dyn Want>, bool)> {
        let py = slf.py();
        let (want, is_abandoned) =
            slf.get().state.with(py, |state| Some((state.want.take()?, state.is_abandoned)))?;
        if is_abandoned {
            return Some((want, true));
        }
        let forgotten = slf.get().parts(py).and_then(|(owner, _)| kept_by(&owner)?.discard(slf));
        if let Err(error) = forgotten {
            error.write_unraisable(py, None);
        }
        Some((want, false))
    }

    /// It is over, as it was granted.
    ///
    /// # Errors
    /// RuntimeError when it has been given up before.
    pub fn end(slf: &Bound<'_, Self>) -> PyResult<Box<dyn Want>> {
        match Self::take(slf) {
            Some((want, false)) => Ok(want),
            _ => Err(PyRuntimeError::new_err("the wait was given up, as its event loop was closed")),
        }
    }

    /// It is over, whatever it was granted.
    pub fn give_up(slf: &Bound<'_, Self>) {
        if let Some((mut want, false)) = Self::take(slf) {
            want.give_up(slf.py());
        }
    }

    /// Its coroutine is closed.
    pub fn close(slf: &Bound<'_, Self>) {
        if let Some((mut want, _)) = Self::take(slf) {
            want.close(slf.py());
        }
    }

    /// Its loop will not run it any more, though its coroutine is still there.
    fn abandon(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let Some((mut want, is_abandoned)) = Self::take(slf) else { return };
        if !is_abandoned {
            want.give_up(py);
        }
        slf.get().state.with(py, |state| (state.want, state.is_abandoned) = (Some(want), true));
    }

    /// Has the loop, which may be another thread's, give the future its result.
    fn call_turn(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let called = || -> PyResult<()> {
            let (owner, _) = slf.get().parts(py)?;
            let turn =
                Bound::new(py, Turn { wait: slf.clone().unbind(), is_called: AtomicBool::new(false) })?;
            let turn = turn.as_any().as_borrowed();
            // A turn that a closed loop does not take is dropped here, and the wait given up. The loop is asked first, as not every
            // loop refuses.
            let call = || {
                if is_closed(&owner)? {
                    return Ok(());
                }
                calls::method(&owner, intern!(py, "call_soon_threadsafe"), Some(turn)).map(drop)
            };
            match call() {
                // A signal's handler came in between, and the loop may not have been woken: two turns are as good as one.
                Err(error) if !error.is_instance_of::<PyException>(py) => {
                    raise_later(py, error);
                    call()
                }
                // Closed in the last moment.
                Err(_) if is_closed(&owner)? => Ok(()),
                outcome => outcome,
            }
        };
        if let Err(error) = called() {
            error.write_unraisable(py, None);
        }
    }
}

/// The waits of a loop's tasks that go on; see the module above for why the loop keeps them.
fn kept_by<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let name = intern!(owner.py(), "_tress_waits");
    if let Some(kept) = owner.getattr_opt(name)? {
        return Ok(kept.cast_into()?);
    }
    let kept = PySet::empty(owner.py())?;
    owner.setattr(name, &kept)?;
    Ok(kept)
}

fn is_closed(owner: &Bound<'_, PyAny>) -> PyResult<bool> {
    calls::method(owner, intern!(owner.py(), "is_closed"), None)?.is_truthy()
}

/// What a signal's handler raised where nobody can be told: Ctrl-C comes again, anything else is reported.
fn raise_later(py: Python<'_>, error: PyErr) {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        // SAFETY: it sets a flag, and may be called at any time.
        unsafe { ffi::PyErr_SetInterrupt() };
    } else {
        error.write_unraisable(py, None);
    }
}

#[pymethods]
impl TaskWait {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.owner)?;
            visit.call(&state.future)?;
            state.want.as_ref().map_or(Ok(()), |want| want.traverse(&visit))
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let parts = self.state.collected(|state| {
            let is_abandoned = std::mem::replace(&mut state.is_abandoned, true);
            (state.want.take(), is_abandoned, state.owner.take(), state.future.take())
        });
        if let Some((want, is_abandoned, owner, future)) = parts {
            give_up_unseen(want, is_abandoned);
            drop((owner, future));
        }
    }
}

impl Drop for TaskWait {
    fn drop(&mut self) {
        self.link.0.store(std::ptr::null_mut(), Ordering::Release);
        if let Some((want, is_abandoned)) =
            self.state.collected(|state| (state.want.take(), state.is_abandoned))
        {
            give_up_unseen(want, is_abandoned);
        }
    }
}

/// Gives up what nobody waits for any more.
fn give_up_unseen(want: Option<Box<dyn Want>>, is_abandoned: bool) {
    let Some(mut want) = want.filter(|_| !is_abandoned) else { return };
    Python::try_attach(|py| {
        // It may be in the middle of an exception.
        let raised = PyErr::take(py);
        want.give_up(py);
        if let Some(raised) = raised {
            raised.restore(py);
        }
    });
}

/// What a loop calls when a wait has been granted. One that is dropped without that, as the loop was closed, gives the wait up.
#[pyclass(module = "tress._native", frozen)]
pub struct Turn {
    wait: Py<TaskWait>,
    is_called: AtomicBool,
}

#[pymethods]
impl Turn {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.is_called.store(true, Ordering::Relaxed);
        let (_, future) = self.wait.get().parts(py)?;
        waiting::tell_with(&future, py.None().bind_borrowed(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.wait)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_called.load(Ordering::Relaxed) {
            return;
        }
        Python::try_attach(|py| {
            let raised = PyErr::take(py);
            abandon_in_turn(py, self.wait.clone_ref(py));
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

thread_local! {
    /// Waits that this thread is about to abandon, while it abandons one.
    static ABANDONED: RefCell<Option<VecDeque<Py<TaskWait>>>> = const { RefCell::new(None) };
}

/// Abandons a wait. What that passes on may be for the next of a closed loop, and so on: one after another, not one within another.
fn abandon_in_turn(py: Python<'_>, wait: Py<TaskWait>) {
    let is_outermost = ABANDONED.with_borrow_mut(|waits| {
        let is_outermost = waits.is_none();
        waits.get_or_insert_default().push_back(wait);
        is_outermost
    });
    if !is_outermost {
        return;
    }
    loop {
        let next = ABANDONED.with_borrow_mut(|waits| {
            let next = waits.as_mut().and_then(VecDeque::pop_front);
            if next.is_none() {
                *waits = None;
            }
            next
        });
        let Some(wait) = next else { return };
        TaskWait::abandon(wait.bind(py));
    }
}
