//! `ThreadPoolExecutor`: the submitting side, and the queue that others may look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};
use tress_core::threads::pool::Pool;

use crate::base::calls;

use super::future::Future;
use super::future_class::new_future;
use super::work::{Call, Work};

/// Set when the interpreter begins to shut down: nothing can be submitted any more.
static INTERPRETER_SHUTDOWN: AtomicBool = AtomicBool::new(false);

// Why `submit` cannot go the short way. The Python class, whose `_shutdown`, `_broken` and `_work_queue` these are about, sets
// two more: 2, a worker's initializer has failed; and 4, a part of the pool is the program's own.
const SHUT_DOWN: u32 = 1;
const NEW: u32 = 8;

/// What an executor shares with its workers, which may outlive it.
pub struct Shared {
    pub pool: Pool<Work>,
    /// Reasons against the short way.
    flags: AtomicU32,
}

impl Shared {
    /// Whether workers are to end once the queue is empty.
    fn is_ending(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & SHUT_DOWN != 0 || INTERPRETER_SHUTDOWN.load(Ordering::Relaxed)
    }
}

/// Tells every executor that the interpreter shuts down.
#[pyfunction]
pub fn note_interpreter_shutdown() {
    INTERPRETER_SHUTDOWN.store(true, Ordering::Relaxed);
}

/// The queue of an executor, with the methods of the `queue.SimpleQueue` that the standard class has in this place.
#[pyclass(module = "tress._native", frozen, weakref)]
pub struct WorkQueue {
    shared: Arc<Shared>,
}

impl WorkQueue {
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[pymethods]
impl WorkQueue {
    /// How many calls no worker has taken yet.
    fn qsize(&self) -> usize {
        self.shared.pool.len()
    }

    /// Whether every call was taken.
    fn empty(&self) -> bool {
        self.shared.pool.is_empty()
    }

    /// Puts a work item, an object with a method `run`, or None: workers then look whether they are to end.
    #[pyo3(signature = (item, block=true, timeout=None))]
    fn put(&self, item: Option<Py<PyAny>>, block: bool, timeout: Option<Py<PyAny>>) {
        // It has room for everything.
        drop((block, timeout));
        match item {
            None if self.shared.is_ending() => self.shared.pool.close().wake(),
            None => {}
            Some(item) => match self.shared.pool.push(Work::Item(item)) {
                Ok(pushed) => pushed.wakes.wake(),
                Err(work) => drop(work),
            },
        }
    }

    /// As `put`.
    fn put_nowait(&self, item: Option<Py<PyAny>>) {
        self.put(item, false, None);
    }

    /// Takes the oldest work item out. Raises queue.Empty when there is none: only workers wait for one.
    #[pyo3(signature = (block=true, timeout=None))]
    fn get(&self, py: Python<'_>, block: bool, timeout: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        drop((block, timeout));
        match self.shared.pool.take() {
            Some(Work::Item(item)) => Ok(item),
            Some(Work::Call(call)) => call.into_item(py),
            None => Err(PyErr::from_value(py.import("queue")?.getattr("Empty")?.call0()?)),
        }
    }

    /// As `get`.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get(py, false, None)
    }

    /// How many workers wait for work.
    #[getter]
    fn idle(&self) -> usize {
        self.shared.pool.numbers().idle
    }

    fn __repr__(&self) -> String {
        let numbers = self.shared.pool.numbers();
        format!("<queue of a ThreadPoolExecutor: {} queued, {} idle workers>", numbers.queued, numbers.idle)
    }
}

/// A pool of threads that make calls, as `concurrent.futures.ThreadPoolExecutor`.
#[pyclass(module = "tress._native", frozen, subclass)]
pub struct ThreadPoolExecutor {
    shared: Arc<Shared>,
    queue: Py<WorkQueue>,
    workers: AtomicUsize,
    limit: AtomicUsize,
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        // Nobody can submit any more: workers make the calls that are queued, then end.
        self.shared.pool.close().wake();
    }
}

impl ThreadPoolExecutor {
    /// Whether `submit` cannot go the short way now.
    #[inline]
    fn is_held_up(&self) -> bool {
        self.shared.flags.load(Ordering::Relaxed) != 0
            || INTERPRETER_SHUTDOWN.load(Ordering::Relaxed)
            || self.shared.pool.is_of_ancestor()
    }

    /// Submits one call the short way; None when that is not possible.
    #[inline]
    fn try_submit<'a, 'py: 'a>(
        slf: &Bound<'py, Self>,
        callable: Borrowed<'a, 'py, PyAny>,
        arguments: impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>>,
        names: Option<Py<PyTuple>>,
        named: usize,
    ) -> PyResult<Option<Bound<'py, Future>>> {
        let this = slf.get();
        if this.is_held_up() {
            return Ok(None);
        }
        let py = slf.py();
        let future = new_future(py)?;
        let call = Call::new(future.clone().unbind(), callable.to_owned().unbind(), arguments, names, named);
        match this.shared.pool.push(Work::Call(call)) {
            Ok(pushed) => {
                pushed.wakes.wake();
                if pushed.short && this.workers.load(Ordering::Relaxed) < this.limit.load(Ordering::Relaxed) {
                    calls::method(slf, intern!(py, "_start_worker"), None)?;
                }
                Ok(Some(future))
            }
            Err(work) => {
                drop(work);
                Ok(None)
            }
        }
    }

    /// Submits one call where something is in the way of the short one.
    #[cold]
    fn submit_the_long_way<'py>(
        slf: &Bound<'py, Self>,
        callable: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let submit = slf.getattr(intern!(py, "_submit_the_long_way"))?;
        calls::call(&submit, &(callable, arguments, named).into_pyobject(py)?)
    }
}

#[pymethods]
impl ThreadPoolExecutor {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let shared = Arc::new(Shared { pool: Pool::new(), flags: AtomicU32::new(NEW) });
        let queue = Py::new(py, WorkQueue { shared: shared.clone() })?;
        Ok(Self { shared, queue, workers: AtomicUsize::new(0), limit: AtomicUsize::new(0) })
    }

    /// Has `fn(*args, **kwargs)` called in a thread of the pool; returns the future of the call.
    ///
    /// RuntimeError after `shutdown` or when the interpreter shuts down, BrokenThreadPool when an initializer has failed.
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let made = match kwargs.filter(|kwargs| !kwargs.is_empty()) {
            None => Self::try_submit(slf, r#fn.as_borrowed(), args.iter_borrowed(), None, 0)?,
            Some(kwargs) => {
                let mut all: Vec<_> = args.iter().collect();
                all.extend(kwargs.values());
                let names = PyTuple::new(py, kwargs.keys())?.unbind();
                Self::try_submit(
                    slf,
                    r#fn.as_borrowed(),
                    all.iter().map(|argument| argument.as_borrowed()),
                    Some(names),
                    kwargs.len(),
                )?
            }
        };
        match made {
            Some(future) => Ok(future.into_any()),
            None => Self::submit_the_long_way(slf, r#fn, args, kwargs),
        }
    }

    /// Submits a call of `fn` with each tuple of `arguments`; the futures.
    fn _submit_each<'py>(
        slf: &Bound<'py, Self>,
        r#fn: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyIterator>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let futures = PyList::empty(py);
        for arguments in arguments {
            let arguments = arguments?.cast_into::<PyTuple>()?;
            match Self::try_submit(slf, r#fn.as_borrowed(), arguments.iter_borrowed(), None, 0)? {
                Some(future) => futures.append(future)?,
                None => {
                    futures.append(Self::submit_the_long_way(slf, r#fn, &arguments, None)?)?;
                }
            }
        }
        Ok(futures)
    }

    /// The queue.
    #[getter]
    fn _own_queue(&self, py: Python<'_>) -> Py<WorkQueue> {
        self.queue.clone_ref(py)
    }

    /// Whether work is queued for which no worker will come that is idle or being started.
    fn _is_short(&self) -> bool {
        self.shared.pool.is_short()
    }

    /// A worker is being started, or after all is not.
    fn _expect_worker(&self, expected: bool) {
        if expected {
            self.shared.pool.expect_worker();
        } else {
            self.shared.pool.expect_worker_no_more();
        }
    }

    /// How many workers there are.
    fn _set_workers(&self, workers: usize) {
        self.workers.store(workers, Ordering::Relaxed);
    }

    /// How many workers there may be.
    fn _set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.shared.flags.fetch_and(!NEW, Ordering::Relaxed);
    }

    fn _has_flag(&self, flag: u32) -> bool {
        self.shared.flags.load(Ordering::Relaxed) & flag != 0
    }

    fn _set_flag(&self, flag: u32, on: bool) {
        if on {
            self.shared.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.shared.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Lets the workers end once the queue is empty.
    fn _close(&self) {
        self.shared.pool.close().wake();
    }

    /// Takes calls out of the queue, with `unclaimed_only` all but those that threads being started will begin with; their
    /// futures, and the work items that were put by others.
    fn _drain<'py>(
        &self,
        py: Python<'py>,
        unclaimed_only: bool,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        let futures = PyList::empty(py);
        let items = PyList::empty(py);
        for work in self.shared.pool.drain(unclaimed_only) {
            match work {
                Work::Call(call) => futures.append(call.into_future())?,
                Work::Item(item) => items.append(item)?,
            }
        }
        Ok((futures, items))
    }

    /// Whether this executor was made by an ancestor of this process and has not been used here.
    fn _is_of_ancestor(&self) -> bool {
        self.shared.pool.is_of_ancestor()
    }

    /// Begins anew in the child of a fork; the futures of calls that are the parent's to make.
    fn _reset_after_fork<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let futures = PyList::empty(py);
        for work in self.shared.pool.reset_after_fork() {
            if let Work::Call(call) = work {
                futures.append(call.into_future())?;
            }
        }
        self.workers.store(0, Ordering::Relaxed);
        Ok(futures)
    }

    /// Numbers: `threads`, `idle` (threads that wait for work), `queued` and `high_water` (calls no thread has taken yet, now
    /// and at most), `submitted`, `done` and `cancelled` (calls found cancelled when their turn came).
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let of_pool = self.shared.pool.numbers();
        let numbers = PyDict::new(py);
        numbers.set_item("threads", self.workers.load(Ordering::Relaxed))?;
        numbers.set_item("idle", of_pool.idle)?;
        numbers.set_item("queued", of_pool.queued)?;
        numbers.set_item("high_water", of_pool.high_water)?;
        numbers.set_item("submitted", of_pool.pushed)?;
        numbers.set_item("done", of_pool.done)?;
        numbers.set_item("cancelled", of_pool.skipped)?;
        Ok(numbers)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is queued belongs to the workers as well, which run it whatever becomes of the executor.
        visit.call(&self.queue)
    }
}
