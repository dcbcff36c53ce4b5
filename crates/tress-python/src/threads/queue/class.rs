//! `Queue`, with the order of items that the class asks for: first in first out, last in first out, or sorted.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit, intern};
use tress_core::base::sync::Mutex;
use tress_core::threads::queue::{Done, Join, Order};

use super::argument::{self, Given, bound, patience};
use super::at_once::{self, Tried};
use super::errors;
use super::open::{self, Hooks, Kind, Parts};
use super::sorted::Items;
use super::wait::{self, Core, Got, Patience, Placed};
use crate::attach;
use crate::base::argument::Truth;
use crate::base::waits::what;
use crate::coroutines::lazy::{Attempt, LazyCoroutine};
use crate::threads::awaiting::Operation;
use tress_core::base::waitlist::Node;

/// A queue of items between threads, as `queue.Queue`.
#[pyclass(module = "tress._native", frozen, subclass, weakref)]
pub struct Queue {
    core: Core,
    kind: Kind,
    hooks: Hooks,
    /// As it was given.
    maxsize: Mutex<Py<PyAny>>,
    parts: Mutex<Option<Box<Parts>>>,
}

impl Queue {
    pub fn core(&self) -> &Core {
        &self.core
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    pub fn parts(&self) -> &Mutex<Option<Box<Parts>>> {
        &self.parts
    }

    fn put_within(
        slf: &Bound<'_, Self>,
        item: Py<PyAny>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let core = &slf.get().core;
        if core.has_moved() {
            let is_plain = timeout.is_none() || !block;
            return match if is_plain { at_once::put(slf, item.bind(py))? } else { Tried::No } {
                Tried::Done(()) => Ok(()),
                Tried::No => {
                    open::call(py, intern!(py, "put"), (slf, item, block, timeout))?;
                    Ok(())
                }
            };
        }
        // Where there is always room, nobody looks at a timeout.
        let patience = if core.bound().is_some() { patience(block, timeout)? } else { Patience::Until(None) };
        match wait::put(py, core, item, patience, what("Queue.put", slf))? {
            Placed::Done => Ok(()),
            Placed::Full(_) => Err(errors::full(py)),
            Placed::Closed(_) => Err(errors::shut_down(py)),
            Placed::Raised(error) => Err(error),
            Placed::Moved(item) => {
                let timeout = left(patience, timeout)?;
                open::call(py, intern!(py, "put"), (slf, item, block, timeout))?;
                Ok(())
            }
        }
    }

    fn get_within(
        slf: &Bound<'_, Self>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        if slf.get().core.has_moved() {
            if timeout.is_none() || !block {
                if let Tried::Done(item) = at_once::get(slf)? {
                    return Ok(item);
                }
            }
            return Ok(open::call(py, intern!(py, "get"), (slf, block, timeout))?.unbind());
        }
        let patience = patience(block, timeout)?;
        match wait::get(py, &slf.get().core, patience, what("Queue.get", slf))? {
            Got::Item(item) => Ok(item),
            Got::Empty => Err(errors::empty(py)),
            Got::Closed => Err(errors::shut_down(py)),
            Got::Moved => {
                let timeout = left(patience, timeout)?;
                Ok(open::call(py, intern!(py, "get"), (slf, block, timeout))?.unbind())
            }
        }
    }

    pub fn is_sorted(&self) -> bool {
        self.kind == Kind::Native(Order::Sorted)
    }

    /// Puts one by one, for those whose items cannot go in together; those that are not in on an error.
    fn put_each(
        slf: &Bound<'_, Self>,
        mut items: Items,
        patience: Patience,
    ) -> Result<Placed<Items>, (PyErr, Items)> {
        let py = slf.py();
        while let Some(item) = items.front() {
            match wait::put(py, &slf.get().core, item.clone_ref(py), patience, what("Queue.put_many", slf)) {
                Ok(Placed::Done) => drop(items.pop_front()),
                Ok(Placed::Full(_)) => return Ok(Placed::Full(items)),
                Ok(Placed::Closed(_)) => return Ok(Placed::Closed(items)),
                Ok(Placed::Moved(_)) => return Ok(Placed::Moved(items)),
                Ok(Placed::Raised(error)) => {
                    drop(items.pop_front());
                    return Err((error, items));
                }
                Err(error) => return Err((error, items)),
            }
        }
        Ok(Placed::Done)
    }
}

/// What is left of `timeout` for the open queue.
fn left(patience: Patience, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<f64>> {
    match patience {
        Patience::Until(Some(deadline)) => Ok(Some(deadline.remaining_ns() as f64 / 1e9)),
        Patience::Until(None) => Ok(None),
        Patience::No => Ok(timeout.map(|_| 0.0)),
    }
}

/// `error`, with those items that are not in the queue.
fn with_remaining(py: Python<'_>, error: PyErr, items: Items) -> PyErr {
    match PyList::new(py, items).and_then(|items| error.value(py).setattr("remaining", items)) {
        Ok(()) => error,
        Err(second) => second,
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize=0)")]
    fn new(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (kind, hooks) = open::kind(class)?;
        let order = match kind {
            Kind::Native(order) => order,
            Kind::Open => Order::Fifo,
        };
        let core = Core::new(order, None);
        if kind == Kind::Open {
            // Nothing was ever in it, and nobody waits.
            let _ = core.move_out();
        }
        let maxsize = Given::NOTHING.or_zero(class.py())?.unbind();
        Ok(Self { core, kind, hooks, maxsize: Mutex::new(maxsize), parts: Mutex::new(None) })
    }

    #[pyo3(signature = (maxsize=Given::NOTHING))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: Given) -> PyResult<()> {
        let this = slf.get();
        let maxsize = &maxsize.or_zero(slf.py())?;
        let bound = bound(maxsize)?;
        let old = std::mem::replace(&mut *this.maxsize.lock(), maxsize.clone().unbind());
        drop(old);
        let items = this.core.reset(bound);
        drop(items);
        if this.kind == Kind::Open || this.parts.lock().is_some() {
            open::start(slf, maxsize)?;
        }
        Ok(())
    }

    /// Puts an item into the queue.
    ///
    /// Waits for room where `maxsize` items are in it: for ever, for at most `timeout` seconds, or not at all if `block` is false.
    /// Raises Full when there was no room in time, and ShutDown when the queue is shut down; the item is
    /// not in the queue then. It may be when a signal handler raises: the signal may come when the item is in already.
    #[pyo3(signature = (item, block=Truth(true), timeout=None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        slf: &Bound<'_, Self>,
        item: Py<PyAny>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if timeout.is_some() {
            return Self::put_within(slf, item, block.0, timeout);
        }
        match slf.get().core.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => Self::put_within(slf, item, block.0, None),
        }
    }

    /// Takes an item out of the queue and returns it.
    ///
    /// Waits for one where there is none: for ever, for at most `timeout` seconds, or not at all if `block` is false. Raises Empty
    /// when none came in time, and ShutDown when the queue is shut down and empty. No item is lost by a timeout or a signal.
    #[pyo3(signature = (block=Truth(true), timeout=None), text_signature = "($self, block=True, timeout=None)")]
    fn get(slf: &Bound<'_, Self>, block: Truth, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if timeout.is_none() {
            if let Some(item) = slf.get().core.get_fast() {
                return Ok(item);
            }
        }
        Self::get_within(slf, block.0, timeout)
    }

    /// Puts an item into the queue without waiting: Full when there is no room.
    fn put_nowait(slf: &Bound<'_, Self>, item: Py<PyAny>) -> PyResult<()> {
        match slf.get().core.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => Self::put_within(slf, item, false, None),
        }
    }

    /// Takes an item out of the queue without waiting: Empty when there is none.
    fn get_nowait(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        match slf.get().core.get_fast() {
            Some(item) => Ok(item),
            None => Self::get_within(slf, false, None),
        }
    }

    /// Puts all of `items` into the queue, in order, in one go as far as there is room.
    ///
    /// Waits for room for the rest: for ever, or for at most `timeout` seconds, 0 for not at all. Raises Full when not all had room
    /// in time, and ShutDown when the queue is shut down; whatever the call raises has an attribute `remaining`, the list of those
    /// items that are not in the queue. `items` is read to its end first; what reading it raises leaves the queue as it was.
    #[pyo3(signature = (items, timeout=None))]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let patience = patience(true, timeout)?;
        let items = items.try_iter()?.map(|item| item.map(Bound::unbind)).collect::<PyResult<Items>>()?;
        if items.is_empty() {
            return Ok(());
        }
        let placed = if this.is_sorted() {
            Self::put_each(slf, items, patience)
        } else {
            wait::put_all(py, &this.core, items, patience, what("Queue.put_many", slf))
        };
        let (error, items) = match placed {
            Ok(Placed::Done) => return Ok(()),
            Ok(Placed::Full(items)) => (errors::full(py), items),
            Ok(Placed::Closed(items)) => (errors::shut_down(py), items),
            Ok(Placed::Moved(items)) => {
                let items = PyList::new(py, items)?;
                open::call(py, intern!(py, "put_many"), (slf, items, left(patience, timeout)?))?;
                return Ok(());
            }
            Ok(Placed::Raised(error)) => return Err(error),
            Err((error, items)) => (error, items),
        };
        Err(with_remaining(py, error, items))
    }

    /// Takes up to `max_items` items out of the queue and returns them as a list, which is never empty.
    ///
    /// Waits for the first as `get` does: for ever, or for at most `timeout` seconds, 0 for not at all; then takes what is there
    /// without waiting. Raises Empty when none came in time, and ShutDown when the queue is shut down and empty.
    #[pyo3(signature = (max_items, timeout=None))]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max_items: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let core = &slf.get().core;
        if max_items.lt(1)? {
            return Err(PyValueError::new_err(format!("max_items must be at least 1, not {max_items}")));
        }
        // More than fits into a machine word is as many as there are.
        let count = max_items.call_method0(intern!(py, "__index__"))?.extract().unwrap_or(usize::MAX);
        let patience = patience(true, timeout)?;
        let mut items = match wait::get(py, core, patience, what("Queue.get_many", slf))? {
            Got::Item(item) => vec![item],
            Got::Empty => return Err(errors::empty(py)),
            Got::Closed => return Err(errors::shut_down(py)),
            Got::Moved => {
                return open::call(py, intern!(py, "get_many"), (slf, count, left(patience, timeout)?));
            }
        };
        if slf.get().is_sorted() {
            while items.len() < count {
                match wait::get(py, core, Patience::No, what("Queue.get_many", slf)) {
                    Ok(Got::Item(item)) => items.push(item),
                    // What was taken is the caller's; whoever is to blame for an error meets it at the next get.
                    _ => break,
                }
            }
        } else {
            core.get_more(count - 1, &mut items).wake();
        }
        Ok(PyList::new(py, items)?.into_any())
    }

    /// Says that the work on an item that was taken is done. ValueError when this was said more often than items were put.
    fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().core.task_done(1) {
            Ok(Done::Done((), wakes)) => {
                wakes.wake();
                Ok(())
            }
            Ok(_) => match at_once::task_done(slf)? {
                Tried::Done(()) => Ok(()),
                Tried::No => {
                    open::call(slf.py(), intern!(slf.py(), "task_done"), (slf,))?;
                    Ok(())
                }
            },
            Err(_) => Err(PyValueError::new_err("task_done() called too many times")),
        }
    }

    /// Waits until the work on every item that was put is said to be done.
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let core = &slf.get().core;
        loop {
            match core.join() {
                Join::Finished => return Ok(()),
                Join::Moved => {
                    open::call(py, intern!(py, "join"), (slf,))?;
                    return Ok(());
                }
                Join::Wait(node) => {
                    let waited = attach::wait(py, node.waiter(), None, what("Queue.join", slf));
                    if let Err(error) = waited {
                        core.cancel_wait(&node);
                        return Err(error);
                    }
                    // Once finished, done: what has been put since is not waited for.
                    if node.waiter().granted() == Some(tress_core::base::waiter::Signal::Handed) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes an item out of the queue and returns it; for coroutines: `item = await queue.aget()`.
    ///
    /// Waits for one where there is none, in one order with threads and with coroutines of any loop. Raises ShutDown when the queue is
    /// shut down and empty, RuntimeError when it has to wait and no loop runs. A call that is cancelled takes no item.
    fn aget<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::Get), slf.as_any(), None)
    }

    /// Puts an item into the queue; for coroutines: `await queue.aput(item)`.
    ///
    /// Waits for room where `maxsize` items are in it, in one order with threads and with coroutines of any loop. Raises ShutDown when the
    /// queue is shut down, RuntimeError when it has to wait and no loop runs. A call that is cancelled has not put the item.
    fn aput<'py>(slf: &Bound<'py, Self>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::Put), slf.as_any(), Some(item))
    }

    /// Waits until the work on every item that was put is said to be done; for coroutines: `await queue.ajoin()`.
    ///
    /// RuntimeError when it has to wait and no loop runs.
    fn ajoin<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, LazyCoroutine>> {
        LazyCoroutine::object(Attempt::Shared(Operation::Join), slf.as_any(), None)
    }

    /// How many items are in the queue.
    fn qsize(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let core = &slf.get().core;
        if core.has_moved() {
            return match at_once::qsize(slf)? {
                Tried::Done(size) => Ok(size),
                Tried::No => open::call(slf.py(), intern!(slf.py(), "qsize"), (slf,))?.extract(),
            };
        }
        Ok(core.len())
    }

    /// Whether the queue is empty.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(Self::qsize(slf)? == 0)
    }

    /// Whether `maxsize` items are in the queue, or more.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let core = &slf.get().core;
        if core.has_moved() {
            return open::call(slf.py(), intern!(slf.py(), "full"), (slf,))?.extract();
        }
        Ok(core.is_full())
    }

    /// Shuts the queue down: every `put` raises ShutDown from now on, and so does every `get` once the queue is empty.
    ///
    /// Threads that wait in `put` or `get` are woken and raise. With `immediate`, the items that are in the queue are dropped and
    /// count as done.
    #[pyo3(signature = (immediate=Truth(false)), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Truth) -> PyResult<()> {
        let py = slf.py();
        let core = &slf.get().core;
        loop {
            match core.close(immediate.0) {
                Done::Done(drained, wakes) => {
                    wakes.wake();
                    drop(drained);
                    return Ok(());
                }
                Done::Moved => {
                    open::call(py, intern!(py, "shutdown"), (slf, immediate.0))?;
                    return Ok(());
                }
                Done::Turn(turn) => wait::take_turn(py, core, turn, what("Queue.shutdown", slf))?,
            }
        }
    }

    /// The most items that the queue holds; 0 and less mean any number.
    #[getter]
    fn maxsize(slf: &Bound<'_, Self>) -> Py<PyAny> {
        let py = slf.py();
        let maxsize = slf.get().maxsize.lock();
        maxsize.clone_ref(py)
    }

    #[setter]
    fn set_maxsize(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        let bound = bound(maxsize)?;
        let old = std::mem::replace(&mut *this.maxsize.lock(), maxsize.clone().unbind());
        drop(old);
        this.core.set_bound(bound).wake();
        Ok(())
    }

    /// Items that were put and are not said to be done.
    #[getter]
    fn unfinished_tasks(&self) -> i64 {
        self.core.unfinished()
    }

    #[setter]
    fn set_unfinished_tasks(&self, unfinished_tasks: i64) {
        self.core.set_unfinished(unfinished_tasks).wake();
    }

    /// Whether the queue is shut down.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.core.is_closed()
    }

    #[setter]
    fn set_is_shutdown(&self, is_shutdown: Truth) {
        self.core.set_closed(is_shutdown.0);
    }

    /// The lock of the queue. To ask for it opens the queue: see the guide.
    #[getter]
    fn mutex(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        open::part(slf, |parts| Some(&parts.mutex), "mutex")
    }

    #[setter]
    fn set_mutex(slf: &Bound<'_, Self>, mutex: Py<PyAny>) -> PyResult<()> {
        open::replace_part(slf, |parts| std::mem::replace(&mut parts.mutex, mutex))
    }

    /// The condition that is notified when an item comes in. To ask for it opens the queue.
    #[getter]
    fn not_empty(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        open::part(slf, |parts| Some(&parts.not_empty), "not_empty")
    }

    #[setter]
    fn set_not_empty(slf: &Bound<'_, Self>, not_empty: Py<PyAny>) -> PyResult<()> {
        open::replace_part(slf, |parts| std::mem::replace(&mut parts.not_empty, not_empty))
    }

    /// The condition that is notified when an item goes out. To ask for it opens the queue.
    #[getter]
    fn not_full(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        open::part(slf, |parts| Some(&parts.not_full), "not_full")
    }

    #[setter]
    fn set_not_full(slf: &Bound<'_, Self>, not_full: Py<PyAny>) -> PyResult<()> {
        open::replace_part(slf, |parts| std::mem::replace(&mut parts.not_full, not_full))
    }

    /// The condition that is notified when all work is done. To ask for it opens the queue.
    #[getter]
    fn all_tasks_done(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        open::part(slf, |parts| Some(&parts.all_tasks_done), "all_tasks_done")
    }

    #[setter]
    fn set_all_tasks_done(slf: &Bound<'_, Self>, all_tasks_done: Py<PyAny>) -> PyResult<()> {
        open::replace_part(slf, |parts| std::mem::replace(&mut parts.all_tasks_done, all_tasks_done))
    }

    /// The container of the items: a deque, or a list. To ask for it opens the queue.
    #[getter]
    fn queue(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        open::part(slf, |parts| parts.queue.as_ref(), "queue")
    }

    #[setter]
    fn set_queue(slf: &Bound<'_, Self>, queue: Py<PyAny>) -> PyResult<()> {
        open::set_part(slf, |parts| parts.queue.replace(queue))
    }

    /// Counts what an open queue did.
    fn _note(&self, puts: i64, gets: i64, size: usize) {
        self.core.note_moved(puts, gets, size);
    }

    /// Numbers: `size`, `maxsize`, `puts`, `gets`, `high_water` (the most items that were ever in it), `unfinished`, and the threads
    /// that wait: `getters`, `putters`, `joiners`. `open` tells whether it works the standard library's way.
    fn statistics<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let this = slf.get();
        let core = this.core.statistics();
        let numbers = PyDict::new(py);
        numbers.set_item("size", core.size)?;
        numbers.set_item("maxsize", Self::maxsize(slf))?;
        numbers.set_item("puts", core.puts)?;
        numbers.set_item("gets", core.gets)?;
        numbers.set_item("high_water", core.high_water)?;
        numbers.set_item("unfinished", core.unfinished)?;
        numbers.set_item("getters", core.getters)?;
        numbers.set_item("putters", core.putters)?;
        numbers.set_item("joiners", core.joiners)?;
        let is_open = this.core.has_moved();
        numbers.set_item("open", is_open)?;
        if is_open && this.parts.lock().is_some() {
            numbers.update(open::call(py, intern!(py, "waiters"), (slf,))?.cast()?)?;
        }
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
        let numbers = Self::statistics(slf)?;
        let number = |name: &str| -> PyResult<String> {
            Ok(numbers.get_item(name)?.map_or_else(String::new, |value| value.to_string()))
        };
        let closed = if slf.get().core.is_closed() { " shut down" } else { "" };
        Ok(format!(
            "<{}.{} at {:p}:{closed} size={} maxsize={} unfinished={} getters={} putters={}>",
            class.module()?,
            class.qualname()?,
            slf.as_ptr(),
            number("size")?,
            number("maxsize")?,
            number("unfinished")?,
            number("getters")?,
            number("putters")?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(place) = self.parts.try_lock() {
            if let Some(parts) = place.as_deref() {
                parts.traverse(&visit)?;
            }
        }
        self.core.visit(|item| visit.call(item))
    }

    fn __clear__(&self) {
        let items = self.core.clear();
        drop(items);
        let parts = self.parts.lock().take();
        drop(parts);
    }
}
