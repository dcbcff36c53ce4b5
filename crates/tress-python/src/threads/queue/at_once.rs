//! What an open queue does when there is nothing to wait for: as `tress._open_queue` does it, without its Python frames.
//!
//! The mutex is held around the hooks as ever. Where a hook is the standard library's own, what it does is done here; where the
//! mutex or a condition was replaced, or there is something to wait for or to complain about, the Python functions do the work.

use pyo3::intern;
use pyo3::prelude::*;
use tress_core::threads::queue::Order;

use super::super::blocking;
use super::super::condition::Condition;
use super::super::lock::Lock;
use super::class::Queue;
use super::open::{Native, Parts};
use crate::base::calls;
use crate::base::waits::what;

/// What became of a call.
pub enum Tried<T> {
    Done(T),
    /// It is for the Python functions; nothing has happened.
    No,
}

/// The mutex, held until it is dropped.
struct Held<'py>(Bound<'py, Lock>);

impl<'py> Held<'py> {
    fn take(mutex: Bound<'py, Lock>) -> PyResult<Self> {
        let lock = mutex.get().core();
        if !lock.try_acquire() {
            blocking::acquire_lock(mutex.py(), lock, None, what("Lock.acquire", &mutex), true)?;
        }
        Ok(Self(mutex))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Ok(wakes) = self.0.get().core().release() {
            wakes.wake();
        }
    }
}

/// An open queue with its mutex held.
struct Opened<'a, 'py> {
    queue: &'a Bound<'py, Queue>,
    /// Where the items are.
    container: Option<Bound<'py, PyAny>>,
    condition: Bound<'py, Condition>,
    _held: Held<'py>,
}

impl<'a, 'py> Opened<'a, 'py> {
    /// Takes the mutex. `None` when the parts are not the queue's own any more.
    fn enter(
        queue: &'a Bound<'py, Queue>,
        condition: impl FnOnce(&Native) -> &Py<Condition>,
    ) -> PyResult<Option<Self>> {
        let py = queue.py();
        let place = queue.get().parts().lock();
        let Some(Parts { native: Some(native), .. }) = place.as_deref() else { return Ok(None) };
        let mutex = native.mutex.bind(py).clone();
        let condition = condition(native).bind(py).clone();
        drop(place);
        let held = Held::take(mutex)?;
        // Only now: whoever held the mutex may have put another container in place.
        let place = queue.get().parts().lock();
        let container = place
            .as_deref()
            .and_then(|parts| parts.queue.as_ref())
            .map(|container| container.bind(py).clone());
        drop(place);
        Ok(Some(Self { queue, container, condition, _held: held }))
    }

    fn size(&self) -> PyResult<usize> {
        match &self.container {
            Some(container) if self.queue.get().hooks().qsize => container.len(),
            _ => calls::method(self.queue, intern!(self.queue.py(), "_qsize"), None)?.extract(),
        }
    }
}

pub fn put(slf: &Bound<'_, Queue>, item: &Bound<'_, PyAny>) -> PyResult<Tried<()>> {
    let py = slf.py();
    let core = slf.get().core();
    let Some(opened) = Opened::enter(slf, |native| &native.not_empty)? else { return Ok(Tried::No) };
    if core.is_closed() {
        return Ok(Tried::No);
    }
    if let Some(bound) = core.bound() {
        if opened.size()? >= bound {
            return Ok(Tried::No);
        }
    }
    match (&opened.container, slf.get().hooks().put) {
        (Some(container), Some(Order::Fifo | Order::Lifo)) => {
            calls::method(container, intern!(py, "append"), Some(item.as_borrowed()))?
        }
        _ => calls::method(slf, intern!(py, "_put"), Some(item.as_borrowed()))?,
    };
    let size = match &opened.container {
        Some(container) if slf.get().hooks().qsize => container.len()?,
        _ => 0,
    };
    core.note_moved(1, 0, size);
    core.set_unfinished(core.unfinished() + 1).wake();
    opened.condition.get().notify_held(1);
    Ok(Tried::Done(()))
}

pub fn get(slf: &Bound<'_, Queue>) -> PyResult<Tried<Py<PyAny>>> {
    let py = slf.py();
    let Some(opened) = Opened::enter(slf, |native| &native.not_full)? else { return Ok(Tried::No) };
    if opened.size()? == 0 {
        return Ok(Tried::No);
    }
    let item = match (&opened.container, slf.get().hooks().get) {
        (Some(container), Some(Order::Fifo)) => calls::method(container, intern!(py, "popleft"), None)?,
        (Some(container), Some(Order::Lifo)) => calls::method(container, intern!(py, "pop"), None)?,
        _ => calls::method(slf, intern!(py, "_get"), None)?,
    };
    slf.get().core().note_moved(0, 1, 0);
    opened.condition.get().notify_held(1);
    Ok(Tried::Done(item.unbind()))
}

pub fn task_done(slf: &Bound<'_, Queue>) -> PyResult<Tried<()>> {
    let core = slf.get().core();
    let Some(opened) = Opened::enter(slf, |native| &native.all_tasks_done)? else { return Ok(Tried::No) };
    let unfinished = core.unfinished() - 1;
    if unfinished < 0 {
        return Ok(Tried::No);
    }
    core.set_unfinished(unfinished).wake();
    if unfinished == 0 {
        opened.condition.get().notify_held(usize::MAX);
    }
    Ok(Tried::Done(()))
}

pub fn qsize(slf: &Bound<'_, Queue>) -> PyResult<Tried<usize>> {
    match Opened::enter(slf, |native| &native.not_empty)? {
        Some(opened) => Ok(Tried::Done(opened.size()?)),
        None => Ok(Tried::No),
    }
}
