//! What the loop calls next.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::base::calls;

use super::descriptors::{Direction, Watcher};
use super::event_loop::EventLoop;
use super::handle::{Arguments, Handle, call_in, ends_loop};
use super::steps;
use super::transport::SocketTransport;
use super::waiting;

/// One call.
pub enum Entry {
    Handle(Py<Handle>),
    /// One of the interpreter's own, of which nobody has a handle.
    Bare {
        callback: Py<PyAny>,
        arguments: Arguments,
        context: Py<PyAny>,
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
            (Watcher::Handle(handle), _) => Self::Handle(handle),
            (Watcher::Transport(transport), Direction::Read) => Self::Readable(transport),
            (Watcher::Transport(transport), Direction::Write) => Self::Writable(transport),
            (Watcher::Waiting(future), _) => Self::Awaited(future),
        }
    }

    /// Its handle, if somebody may have it.
    pub fn handle<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Handle(handle) => Some(handle.bind(py).clone().into_any()),
            Self::Foreign(handle) => Some(handle.bind(py).clone()),
            Self::Bare { .. } | Self::Readable(_) | Self::Writable(_) | Self::Awaited(_) => None,
        }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// What ends the loop.
    #[inline]
    pub fn run(self, owner: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = owner.py();
        match self {
            // Bound, as they are dropped without a look whether this thread is attached.
            Self::Handle(handle) => Handle::run(&handle.into_bound(py)),
            Self::Bare { callback, arguments, context } => {
                let called = match steps::count_only(callback.bind_borrowed(py), &arguments) {
                    Ok(false) => call_in(context.bind_borrowed(py), callback.bind_borrowed(py), &arguments),
                    counted => counted.map(drop),
                };
                owner.get().note_called(callback.bind_borrowed(py));
                match called {
                    Ok(()) => {
                        drop((callback.into_bound(py), context.into_bound(py)));
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
            Self::Handle(handle) => visit.call(handle),
            Self::Foreign(handle) => visit.call(handle),
            Self::Awaited(future) => visit.call(future),
            Self::Readable(transport) | Self::Writable(transport) => visit.call(transport),
            Self::Bare { callback, arguments, context } => {
                visit.call(callback)?;
                visit.call(context)?;
                match arguments {
                    Arguments::None => Ok(()),
                    Arguments::One(only) => visit.call(only),
                    Arguments::Many(all) => visit.call(all),
                }
            }
        }
    }
}

/// For `__traverse__`.
pub fn traverse(ready: &VecDeque<Entry>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    ready.iter().try_for_each(|entry| entry.traverse(visit))
}
