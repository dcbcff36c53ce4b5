//! What the loop calls next.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit, ffi, intern};

use crate::base::{calls, hidden};

use super::arguments::Arguments;
use super::descriptors::{Direction, Watcher};
use super::event_loop::EventLoop;
use super::handle::{CallContext, Handle, call_in, ends_loop};
use super::steps;
use super::transport::SocketTransport;
use super::waiting;

/// A handle whose call is to be made. It may be hidden from the garbage collector: if somebody else has it when its turn is over, it is
/// shown.
pub struct Pending(ManuallyDrop<Py<Handle>>);

impl Pending {
    #[inline]
    pub const fn new(handle: Py<Handle>) -> Self {
        Self(ManuallyDrop::new(handle))
    }

    #[inline]
    fn handle<'py>(&self, py: Python<'py>) -> Borrowed<'_, 'py, Handle> {
        self.0.bind_borrowed(py)
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        // SAFETY:
        // - What the loop is to call is dropped by the loop, or by the collector: attached.
        // - This is the reference that is given up, and the only place that does.
        unsafe {
            let handle = Bound::from_owned_ptr(Python::assume_attached(), self.0.as_ptr());
            let handle = handle.cast_into_unchecked::<Handle>();
            if ffi::Py_REFCNT(handle.as_ptr()) > 1 {
                Handle::show(&handle);
            }
        }
    }
}

/// One call.
pub enum Entry {
    Handle(Pending),
    /// One of the interpreter's own, of which nobody has a handle.
    Bare {
        callback: Py<PyAny>,
        arguments: Arguments,
        context: CallContext,
    },
    /// A handle of the standard library's, as a loop in debug mode makes them.
    Foreign(Py<PyAny>),
    /// A connection that can be read from.
    Readable(Py<SocketTransport>),
    /// A connection that can be written to.
    Writable(Py<SocketTransport>),
    /// A future of who waits for a descriptor, or a time, that has come.
    Awaited(Py<PyAny>),
}

impl Entry {
    /// What a watcher wants of a descriptor that is ready.
    pub fn of(watcher: Watcher, direction: Direction) -> Self {
        match (watcher, direction) {
            (Watcher::Handle(handle), _) => Self::Handle(Pending::new(handle)),
            (Watcher::Transport(transport), Direction::Read) => Self::Readable(transport),
            (Watcher::Transport(transport), Direction::Write) => Self::Writable(transport),
            (Watcher::Waiting(future), _) => Self::Awaited(future),
        }
    }

    /// Its handle, if somebody may have it.
    pub fn handle<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Handle(pending) => {
                let handle = pending.handle(py);
                Handle::show(&handle);
                Some(handle.to_owned().into_any())
            }
            Self::Foreign(handle) => Some(handle.bind(py).clone()),
            Self::Bare { .. } | Self::Readable(_) | Self::Writable(_) | Self::Awaited(_) => None,
        }
    }

    /// Whether it is of this handle.
    #[inline]
    pub fn is_of(&self, handle: *mut ffi::PyObject) -> bool {
        matches!(self, Self::Handle(pending) if pending.0.as_ptr() == handle)
    }

    /// Makes the call.
    ///
    /// # Errors
    /// What ends the loop.
    #[inline]
    pub fn run(self, owner: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = owner.py();
        match self {
            Self::Handle(pending) => Handle::run(&pending.handle(py)),
            Self::Bare { callback, arguments, context } => {
                let called = match steps::count_only(callback.bind_borrowed(py), &arguments) {
                    Ok(false) => call_in(context.bind_borrowed(py), callback.bind_borrowed(py), &arguments),
                    counted => counted.map(drop),
                };
                owner.get().note_called(callback.bind_borrowed(py));
                match called {
                    Ok(()) => {
                        // Bound, as it is dropped without a look whether this thread is attached.
                        drop((callback.into_bound(py), context));
                        arguments.drop_attached(py);
                        Ok(())
                    }
                    Err(error) if ends_loop(py, &error) => Err(error),
                    Err(error) => {
                        let handle =
                            Handle::new(owner.clone().unbind(), callback, arguments, context).object(py)?;
                        EventLoop::report(owner, handle.as_any(), error)
                    }
                }
            }
            Self::Readable(transport) => SocketTransport::run_read(&transport.into_bound(py)),
            Self::Writable(transport) => SocketTransport::run_write(&transport.into_bound(py)),
            Self::Awaited(future) => {
                let future = future.into_bound(py);
                match waiting::tell_with(&future, py.None().bind_borrowed(py)) {
                    Err(error) if ends_loop(py, &error) => Err(error),
                    Err(error) => {
                        error.write_unraisable(py, Some(&future));
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                }
            }
            Self::Foreign(handle) => {
                calls::method(owner, intern!(py, "_run_handle"), Some(handle.bind_borrowed(py))).map(drop)
            }
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(pending) => hidden::traverse(&pending.0, visit),
            Self::Foreign(handle) => visit.call(handle),
            Self::Awaited(future) => visit.call(future),
            Self::Readable(transport) | Self::Writable(transport) => visit.call(transport),
            Self::Bare { callback, arguments, context } => {
                visit.call(callback)?;
                context.traverse(visit)?;
                arguments.traverse(visit)
            }
        }
    }
}

/// For `__traverse__`.
pub fn traverse(ready: &VecDeque<Entry>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    ready.iter().try_for_each(|entry| entry.traverse(visit))
}
