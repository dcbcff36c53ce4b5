//! `SimpleQueue`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tress_core::threads::queue::Order;

use super::wait::{self, Core, Got, Patience};
use super::{argument, errors};
use crate::base::argument::Truth;
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine};
use crate::threads::awaiting::Operation;

/// A queue of items between threads, first in first out and without a bound, as `queue.SimpleQueue`.
///
/// `put` never waits and never runs Python code, so that a finalizer, a weak reference's callback or a signal handler may call it
/// at any moment.
#[pyclass(module = "tress.queue", frozen, subclass, weakref)]
pub struct SimpleQueue {
    core: Core,
}

impl SimpleQueue {
    pub fn core(&self) -> &Core {
        &self.core
    }

    fn get_within(
        slf: &Bound<'_, Self>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let patience = argument::patience(block, timeout)?;
        match wait::get(py, &slf.get().core, patience, what("SimpleQueue.get", slf))? {
            Got::Item(item) => Ok(item),
            _ => Err(errors::empty(py)),
        }
    }

    fn put_now(slf: &Bound<'_, Self>, item: Py<PyAny>) -> PyResult<()> {
        wait::put(slf.py(), &slf.get().core, item, Patience::No, what("SimpleQueue.put", slf)).map(drop)
    }
}

#[pymethods]
impl SimpleQueue {
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        // Arguments are for a subclass that takes some.
        let _ = (args, kwargs);
        Ok(Self { core: Core::new(Order::Fifo, None) })
    }

    /// Puts an item into the queue. Never waits: `block` and `timeout` are there to look like `Queue.put`.
    #[pyo3(signature = (item, block=None, timeout=None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        slf: &Bound<'_, Self>,
        item: Py<PyAny>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (block, timeout);
        match slf.get().core.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => Self::put_now(slf, item),
        }
    }

    /// Takes the oldest item out of the queue and returns it.
    ///
    /// Waits for one where there is none: for ever, for at most `timeout` seconds, or not at all if `block` is false. Raises Empty
    /// when none came in time. No item is lost by a timeout or a signal.
    #[pyo3(signature = (block=Truth(true), timeout=None), text_signature = "($self, block=True, timeout=None)")]
    fn get(slf: &Bound<'_, Self>, block: Truth, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if timeout.is_none() {
            if let Some(item) = slf.get().core.get_fast() {
                return Ok(item);
            }
        }
        Self::get_within(slf, block.0, timeout)
    }

    /// Puts an item into the queue.
    fn put_nowait(slf: &Bound<'_, Self>, item: Py<PyAny>) -> PyResult<()> {
        match slf.get().core.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => Self::put_now(slf, item),
        }
    }

    /// Takes the oldest item out of the queue without waiting: Empty when there is none.
    fn get_nowait(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        match slf.get().core.get_fast() {
            Some(item) => Ok(item),
            None => Self::get_within(slf, false, None),
        }
    }

    /// Takes the oldest item out of the queue and returns it; for coroutines: `item = await queue.aget()`.
    ///
    /// Waits for one where there is none, in one order with threads and with coroutines of any loop; RuntimeError when it has to and no
    /// loop runs. A call that is cancelled takes no item.
    fn aget<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::SimpleGet), slf.as_any(), None)
    }

    /// How many items are in the queue.
    fn qsize(&self) -> usize {
        self.core.len()
    }

    /// Whether the queue is empty.
    fn empty(&self) -> bool {
        self.core.is_empty()
    }

    /// Numbers: `size`, `puts`, `gets`, `high_water` (the most items that were ever in it), and `getters`, the threads that wait.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let core = self.core.statistics();
        let numbers = PyDict::new(py);
        numbers.set_item("size", core.size)?;
        numbers.set_item("puts", core.puts)?;
        numbers.set_item("gets", core.gets)?;
        numbers.set_item("high_water", core.high_water)?;
        numbers.set_item("getters", core.getters)?;
        Ok(numbers)
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        argument::generic_alias(class, item)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type();
        let core = slf.get().core.statistics();
        Ok(format!(
            "<{}.{} at {:p}: size={} getters={}>",
            class.module()?,
            class.qualname()?,
            slf.as_ptr(),
            core.size,
            core.getters
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.core.visit(|item| visit.call(item))
    }

    fn __clear__(&self) {
        let items = self.core.clear();
        drop(items);
    }
}
