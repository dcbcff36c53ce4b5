//! The queues of `asyncio`.
//!
//! As in `synchronization`: the public classes are on top of this one and of the standard library's, whose attributes these are. A subclass of the
//! program's may have overridden anything, and is left to the standard library.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::attached::Attached;
use crate::base::calls;

use super::creating::Found;
use super::deque;
use super::future_state;
use super::lazy::{Attempt, LazyCoroutine, Step};
use super::limit::Limit;
use super::waiting;

static EMPTY: Found = Found::new("asyncio.queues", "QueueEmpty");
static FULL: Found = Found::new("asyncio.queues", "QueueFull");
static SHUT_DOWN: Found = Found::new("tress.asyncio._queues", "QueueShutDown");

#[derive(Default)]
struct State {
    items: Option<Py<PyAny>>,
    getters: Option<Py<PyAny>>,
    putters: Option<Py<PyAny>>,
    finished: Option<Py<PyAny>>,
    /// The number, and what was given for it.
    maxsize: Limit,
    unfinished: i64,
    is_shut_down: bool,
    /// Whether items go in and out at the two ends of a deque; otherwise the class has methods for that.
    is_plain: bool,
    /// Whether the class is one of tress's own.
    is_own: bool,
}

#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct LoopQueue {
    state: Attached<State>,
}

impl LoopQueue {
    fn held<'py>(
        &self,
        py: Python<'py>,
        which: fn(&State) -> &Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.state
            .object(py, which)
            .ok_or_else(|| pyo3::exceptions::PyAttributeError::new_err("the queue has not been initialised"))
    }

    /// Whether it is shut down, keeps its items at the ends of a deque, and is of a class of tress's own.
    fn flags(&self, py: Python<'_>) -> (bool, bool, bool) {
        self.state.with(py, |state| (state.is_shut_down, state.is_plain, state.is_own))
    }

    /// The first of those who wait, and still do, goes on.
    fn wake(py: Python<'_>, waiters: &Bound<'_, PyAny>) -> PyResult<()> {
        while waiters.len()? > 0 {
            let waiter = deque::pop_left(waiters)?;
            if !future_state::is_done(&waiter)? {
                return waiting::tell_with(&waiter, py.None().bind_borrowed(py));
            }
        }
        Ok(())
    }

    fn is_empty(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.held(py, |state| &state.items)?.len()? == 0)
    }

    fn is_full(&self, py: Python<'_>) -> PyResult<bool> {
        let maxsize = self.state.with(py, |state| state.maxsize.number);
        // No queue of this machine's is so long that its length would be rounded.
        #[expect(clippy::cast_precision_loss)]
        let count = self.held(py, |state| &state.items)?.len()? as f64;
        Ok(maxsize > 0.0 && count >= maxsize)
    }

    /// Gets an item, or waits for one.
    pub fn begin_to_get<'py>(slf: &Bound<'py, Self>) -> PyResult<Step<'py>> {
        match Self::try_get(slf)? {
            Some(item) => Ok(Step::Over(item)),
            None => waiting::join(&slf.get().held(slf.py(), |state| &state.getters)?, slf).map(Step::Wait),
        }
    }

    /// Puts an item, or waits for room.
    pub fn begin_to_put<'py>(slf: &Bound<'py, Self>, item: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        if Self::try_put(slf, item)? {
            return Ok(Step::Done);
        }
        waiting::join(&slf.get().held(slf.py(), |state| &state.putters)?, slf).map(Step::Wait)
    }

    /// Nobody gets for this future any more: a turn in hand is passed on.
    pub fn give_up_getting(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let is_hopeless = this.is_empty(py)?;
        Self::give_up(&this.held(py, |state| &state.getters)?, future, is_hopeless)
    }

    /// The same of putting.
    pub fn give_up_putting(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let is_hopeless = this.is_full(py)?;
        Self::give_up(&this.held(py, |state| &state.putters)?, future, is_hopeless)
    }

    fn give_up(waiters: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>, is_hopeless: bool) -> PyResult<()> {
        let py = future.py();
        calls::method(future, intern!(py, "cancel"), None)?;
        match deque::remove(waiters, future) {
            // It has been called.
            Err(error) if error.is_instance_of::<PyValueError>(py) => {}
            removed => removed?,
        }
        if is_hopeless || future_state::is_cancelled(future)? { Ok(()) } else { Self::wake(py, waiters) }
    }

    /// Takes an item, if there is one. QueueShutDown if there will be none.
    fn try_get<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        let (is_shut_down, is_plain, _) = this.flags(py);
        let items = this.held(py, |state| &state.items)?;
        if items.len()? == 0 {
            if is_shut_down {
                return Err(PyErr::from_value(SHUT_DOWN.get(py)?.call0()?));
            }
            return Ok(None);
        }
        let item =
            if is_plain { deque::pop_left(&items)? } else { calls::method(slf, intern!(py, "_get"), None)? };
        Self::wake(py, &this.held(py, |state| &state.putters)?)?;
        Ok(Some(item))
    }

    /// Puts an item, if there is room. QueueShutDown if the queue takes none any more.
    fn try_put(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let (is_shut_down, is_plain, _) = this.flags(py);
        if is_shut_down {
            return Err(PyErr::from_value(SHUT_DOWN.get(py)?.call0()?));
        }
        if this.is_full(py)? {
            return Ok(false);
        }
        let items = this.held(py, |state| &state.items)?;
        if is_plain {
            deque::append(&items, item)?;
        } else {
            calls::method(slf, intern!(py, "_put"), Some(item.as_borrowed()))?;
        }
        let was_finished = this.state.with(py, |state| {
            state.unfinished += 1;
            state.unfinished == 1
        });
        if was_finished {
            calls::method(&this.held(py, |state| &state.finished)?, intern!(py, "clear"), None)?;
        }
        Self::wake(py, &this.held(py, |state| &state.getters)?)?;
        Ok(true)
    }
}

#[pymethods]
impl LoopQueue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Attached::new(State::default()) }
    }

    fn _begin_to_get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if !slf.get().flags(slf.py()).2 {
            return slf.call_method0(intern!(slf.py(), "_get_in_python"));
        }
        LazyCoroutine::object(Attempt::Get, slf.as_any(), None).map(Bound::into_any)
    }

    pub fn _begin_to_put<'py>(
        slf: &Bound<'py, Self>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !slf.get().flags(slf.py()).2 {
            return slf.call_method1(intern!(slf.py(), "_put_in_python"), (item,));
        }
        LazyCoroutine::object(Attempt::Put, slf.as_any(), Some(item)).map(Bound::into_any)
    }

    /// Takes an item out and returns it; QueueEmpty if there is none.
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if !slf.get().flags(py).2 {
            return slf.call_method0(intern!(py, "_get_nowait_standard"));
        }
        Self::try_get(slf)?.ok_or_else(|| match EMPTY.get(py).and_then(|class| class.call0()) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        })
    }

    /// Puts an item in; QueueFull if there is no room.
    fn put_nowait(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().flags(py).2 {
            return slf.call_method1(intern!(py, "_put_nowait_standard"), (item,)).map(drop);
        }
        if Self::try_put(slf, item)? {
            return Ok(());
        }
        Err(PyErr::from_value(FULL.get(py)?.call0()?))
    }

    /// Says how the class keeps its items.
    fn _know_class(&self, py: Python<'_>, is_own: bool, is_plain: bool) {
        self.state.with(py, |state| (state.is_own, state.is_plain) = (is_own, is_plain));
    }

    #[getter(_queue)]
    fn get_items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.held(py, |state| &state.items)
    }

    #[setter(_queue)]
    fn set_items(&self, py: Python<'_>, value: Py<PyAny>) {
        self.state.put(py, |state| &mut state.items, Some(value));
    }

    #[getter(_getters)]
    fn get_getters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.held(py, |state| &state.getters)
    }

    #[setter(_getters)]
    fn set_getters(&self, py: Python<'_>, value: Py<PyAny>) {
        self.state.put(py, |state| &mut state.getters, Some(value));
    }

    #[getter(_putters)]
    fn get_putters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.held(py, |state| &state.putters)
    }

    #[setter(_putters)]
    fn set_putters(&self, py: Python<'_>, value: Py<PyAny>) {
        self.state.put(py, |state| &mut state.putters, Some(value));
    }

    #[getter(_finished)]
    fn get_finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.held(py, |state| &state.finished)
    }

    #[setter(_finished)]
    fn set_finished(&self, py: Python<'_>, value: Py<PyAny>) {
        self.state.put(py, |state| &mut state.finished, Some(value));
    }

    #[getter(_maxsize)]
    fn get_maxsize<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.object(py, |state| state.maxsize.given())
    }

    #[setter(_maxsize)]
    fn set_maxsize(&self, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        let limit = Limit::of(maxsize)?;
        let before = self.state.with(maxsize.py(), |state| std::mem::replace(&mut state.maxsize, limit));
        drop(before);
        Ok(())
    }

    #[getter(_unfinished_tasks)]
    fn get_unfinished(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| state.unfinished)
    }

    #[setter(_unfinished_tasks)]
    fn set_unfinished(&self, py: Python<'_>, count: i64) {
        self.state.with(py, |state| state.unfinished = count);
    }

    #[getter(_is_shutdown)]
    fn get_shut_down(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_shut_down)
    }

    #[setter(_is_shutdown)]
    fn set_shut_down(&self, py: Python<'_>, is_so: bool) {
        self.state.with(py, |state| state.is_shut_down = is_so);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.collected(|state| {
            visit.call(&state.items)?;
            visit.call(&state.getters)?;
            visit.call(&state.putters)?;
            visit.call(&state.finished)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        let out = self.state.collected(|state| {
            (state.items.take(), state.getters.take(), state.putters.take(), state.finished.take())
        });
        drop(out);
    }
}
