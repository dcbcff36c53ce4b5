//! A queue that works the standard library's way, for those who reach into it.
//!
//! `mutex`, the three conditions and `queue` are live objects of a standard queue: users take the mutex, wait on the conditions
//! and change the deque behind the queue's back. And a subclass may say how items are kept. A queue that is asked for one of
//! these, or whose class overrides one of the hooks, is *opened*, for good: its items move into a deque or list of Python's, and
//! `tress._open_queue` does the rest, under a lock and conditions of tress's.
//!
//! The move is atomic to every other thread: the parts are made first, their mutex held; then, under this queue's own mutex, the
//! core queue is emptied and marked as moved, and the parts are put in place. Threads that waited in the core queue wake up, find
//! that it has moved, and go on waiting at the open one with what is left of their timeout.

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyModule, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tress_core::threads::queue::{Done, Order};

use super::super::condition::Condition;
use super::super::lock::Lock;
use super::class::Queue;
use super::wait;
use crate::base::calls;
use crate::base::waits::what;

/// The live parts of an open queue.
pub struct Parts {
    pub mutex: Py<PyAny>,
    pub not_empty: Py<PyAny>,
    pub not_full: Py<PyAny>,
    pub all_tasks_done: Py<PyAny>,
    /// The mutex and the conditions once more, as what they are, as long as nobody has replaced one of them.
    pub native: Option<Native>,
    /// Where the items are: a deque, a list, or whatever `_init` of a subclass says. None until that has run.
    pub queue: Option<Py<PyAny>>,
}

/// The mutex and the conditions, as what they are.
pub struct Native {
    pub mutex: Py<Lock>,
    pub not_empty: Py<Condition>,
    pub not_full: Py<Condition>,
    pub all_tasks_done: Py<Condition>,
}

impl Parts {
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.mutex)?;
        visit.call(&self.not_empty)?;
        visit.call(&self.not_full)?;
        visit.call(&self.all_tasks_done)?;
        if let Some(native) = &self.native {
            visit.call(&native.mutex)?;
            visit.call(&native.not_empty)?;
            visit.call(&native.not_full)?;
            visit.call(&native.all_tasks_done)?;
        }
        visit.call(&self.queue)
    }

    /// New parts, and the mutex held.
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (mutex, not_empty, not_full, all_tasks_done) =
            call(py, intern!(py, "make_parts"), PyTuple::empty(py))?.extract()?;
        let mut parts = Self { mutex, not_empty, not_full, all_tasks_done, native: None, queue: None };
        parts.native = parts.find_native(py);
        Ok(parts)
    }

    fn find_native(&self, py: Python<'_>) -> Option<Native> {
        let condition =
            |part: &Py<PyAny>| part.bind(py).cast::<Condition>().ok().map(|part| part.clone().unbind());
        Some(Native {
            mutex: self.mutex.bind(py).cast::<Lock>().ok()?.clone().unbind(),
            not_empty: condition(&self.not_empty)?,
            not_full: condition(&self.not_full)?,
            all_tasks_done: condition(&self.all_tasks_done)?,
        })
    }
}

/// How a class keeps its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native(Order),
    /// By hooks of its own.
    Open,
}

/// Which standard class each hook is of, where it is a standard one: what it does is known then.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    pub qsize: bool,
    pub put: Option<Order>,
    pub get: Option<Order>,
}

/// Calls `name` of `tress._open_queue`: one of the methods of an open queue, in Python.
///
/// # Errors
/// What it raises.
pub fn call<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyString>,
    arguments: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
) -> PyResult<Bound<'py, PyAny>> {
    calls::call(&module(py)?.getattr(name)?, &arguments.into_pyobject(py).map_err(Into::into)?)
}

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    Ok(MODULE.get_or_try_init(py, || py.import("tress._open_queue").map(Bound::unbind))?.bind(py))
}

const HOOKS: [&str; 4] = ["_init", "_qsize", "_put", "_get"];

/// How `class` keeps its items: natively if its hooks are those of a standard class.
pub fn kind(class: &Bound<'_, PyType>) -> PyResult<(Kind, Hooks)> {
    type Standard = [(Py<PyTuple>, Order); 3];
    static STANDARD: PyOnceLock<Standard> = PyOnceLock::new();
    let py = class.py();
    let hooks = |class: &Bound<'_, PyAny>| -> PyResult<Py<PyTuple>> {
        let found: Vec<_> = HOOKS
            .iter()
            .map(|name| class.getattr_opt(*name).map(|hook| hook.map(Bound::unbind)))
            .collect::<PyResult<_>>()?;
        Ok(PyTuple::new(py, found)?.unbind())
    };
    let standard = STANDARD.get_or_try_init(py, || -> PyResult<Standard> {
        let module = py.import("queue")?;
        Ok([
            (hooks(&module.getattr("Queue")?)?, Order::Fifo),
            (hooks(&module.getattr("LifoQueue")?)?, Order::Lifo),
            (hooks(&module.getattr("PriorityQueue")?)?, Order::Sorted),
        ])
    })?;
    let own = hooks(class.as_any())?;
    let own = own.bind(py);
    if own.iter().all(|hook| hook.is_none()) {
        let fifo = Some(Order::Fifo);
        return Ok((Kind::Native(Order::Fifo), Hooks { qsize: true, put: fifo, get: fifo }));
    }
    let mut origins = [None; HOOKS.len()];
    for (at, origin) in origins.iter_mut().enumerate() {
        let hook = own.get_item(at)?;
        for (hooks, order) in standard {
            if hooks.bind(py).get_item(at)?.is(&hook) {
                *origin = Some(*order);
            }
        }
    }
    let [init, qsize, put, get] = origins;
    let kind = match (init, qsize, put, get) {
        (Some(init), Some(qsize), Some(put), Some(get)) if [qsize, put, get] == [init; 3] => {
            Kind::Native(init)
        }
        _ => Kind::Open,
    };
    Ok((kind, Hooks { qsize: qsize.is_some(), put, get }))
}

/// Opens the queue, if it is not open yet.
///
/// # Errors
/// What making the parts raises; RuntimeError from within a comparison of the queue's own items. The queue is not opened then.
pub fn open(slf: &Bound<'_, Queue>) -> PyResult<()> {
    let this = slf.get();
    if this.parts().lock().is_some() {
        return Ok(());
    }
    let py = slf.py();
    let mut parts = Parts::new(py)?;
    let mutex = parts.mutex.clone_ref(py);
    let container = match this.kind() {
        Kind::Native(Order::Fifo) => py.import("collections")?.getattr("deque")?.call0()?,
        _ => PyList::empty(py).into_any(),
    };
    parts.queue = match this.kind() {
        Kind::Native(_) => Some(container.clone().unbind()),
        Kind::Open => None,
    };
    let items = loop {
        let mut place = this.parts().lock();
        if place.is_some() {
            drop(place);
            drop(parts);
            return Ok(());
        }
        match this.core().move_out() {
            Done::Done(items, wakes) => {
                *place = Some(Box::new(parts));
                drop(place);
                wakes.wake();
                break items;
            }
            Done::Moved => {
                *place = Some(Box::new(parts));
                break Default::default();
            }
            Done::Turn(turn) => {
                drop(place);
                wait::take_turn(py, this.core(), turn, what("Queue.mutex", slf))?;
            }
        }
    };
    let filled =
        PyList::new(py, items).and_then(|items| container.call_method1(intern!(py, "extend"), (items,)));
    mutex.call_method0(py, intern!(py, "release"))?;
    filled.map(drop)
}

/// Gives the queue new parts, the mutex free, and lets the class's `_init` make the place for the items.
pub fn start(slf: &Bound<'_, Queue>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = slf.py();
    let parts = Parts::new(py)?;
    parts.mutex.call_method0(py, intern!(py, "release"))?;
    let old = slf.get().parts().lock().replace(Box::new(parts));
    drop(old);
    calls::call(&slf.getattr(intern!(py, "_init"))?, &(maxsize,).into_pyobject(py)?)?;
    Ok(())
}

/// One of the parts, opening the queue for it.
pub fn part(
    slf: &Bound<'_, Queue>,
    of: impl FnOnce(&Parts) -> Option<&Py<PyAny>>,
    name: &str,
) -> PyResult<Py<PyAny>> {
    open(slf)?;
    let place = slf.get().parts().lock();
    place.as_deref().and_then(of).map(|part| part.clone_ref(slf.py())).ok_or_else(|| {
        PyAttributeError::new_err(format!("a queue has no attribute {name:?} before its _init has made it"))
    })
}

/// Replaces the mutex or a condition, opening the queue for it.
pub fn replace_part(slf: &Bound<'_, Queue>, replace: impl FnOnce(&mut Parts) -> Py<PyAny>) -> PyResult<()> {
    open(slf)?;
    let mut old = None;
    if let Some(parts) = slf.get().parts().lock().as_deref_mut() {
        old = Some((parts.native.take(), replace(parts)));
    }
    drop(old);
    Ok(())
}

/// Sets the container, opening the queue for it.
pub fn set_part(slf: &Bound<'_, Queue>, set: impl FnOnce(&mut Parts) -> Option<Py<PyAny>>) -> PyResult<()> {
    open(slf)?;
    let old = slf.get().parts().lock().as_deref_mut().and_then(set);
    drop(old);
    Ok(())
}

/// Puts back an item that a getter was handed before the queue was opened.
pub fn put_back(queue: &Bound<'_, PyAny>, item: Py<PyAny>) -> PyResult<()> {
    call(queue.py(), intern!(queue.py(), "put_back"), (queue, item))?;
    Ok(())
}
