//! Which file descriptors the loop watches, and what it does when they are ready.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::coroutines::poller::{Interest, Poller, Ready};

use super::handle::Handle;
use super::transport::SocketTransport;

/// The two directions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// Who is told.
pub enum Watcher {
    Handle(Py<Handle>),
    Transport(Py<SocketTransport>),
}

impl Watcher {
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Handle(handle) => Self::Handle(handle.clone_ref(py)),
            Self::Transport(transport) => Self::Transport(transport.clone_ref(py)),
        }
    }

    pub fn into_any(self) -> Py<PyAny> {
        match self {
            Self::Handle(handle) => handle.into_any(),
            Self::Transport(transport) => transport.into_any(),
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(handle) => visit.call(handle),
            Self::Transport(transport) => visit.call(transport),
        }
    }
}

#[derive(Default)]
struct Watched {
    reader: Option<Watcher>,
    writer: Option<Watcher>,
}

impl Watched {
    fn interest(&self) -> Interest {
        Interest { read: self.reader.is_some(), write: self.writer.is_some() }
    }

    fn of(&mut self, direction: Direction) -> &mut Option<Watcher> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }
}

/// Why a watcher was not set, and the watcher: it is dropped where Python may run.
pub type Refused = (io::Error, Option<Watcher>);

/// By number.
#[derive(Default)]
pub struct Descriptors(Vec<Watched>);

impl Descriptors {
    /// Has `watcher` told whenever `fd` is ready, in the place of another, which is returned; or, with None, nobody.
    ///
    /// # Errors
    /// The kernel's. Then all is as before.
    pub fn set(
        &mut self,
        poller: &Poller,
        fd: RawFd,
        direction: Direction,
        watcher: Option<Watcher>,
    ) -> Result<Option<Watcher>, Refused> {
        let Ok(number) = usize::try_from(fd) else {
            return Err((io::Error::from_raw_os_error(libc::EBADF), watcher));
        };
        if number >= self.0.len() {
            if watcher.is_none() {
                return Ok(None);
            }
            self.0.resize_with(number + 1, Watched::default);
        }
        let watched = &mut self.0[number];
        let before = watched.interest();
        let replaced = std::mem::replace(watched.of(direction), watcher);
        let now = watched.interest();
        if now != before {
            // SAFETY: it is borrowed for the call only; the kernel refuses a descriptor that is not open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            if let Err(error) = poller.watch(fd, before, now) {
                return Err((error, std::mem::replace(watched.of(direction), replaced)));
            }
        }
        Ok(replaced)
    }

    /// Who is told when that is ready: the reader, the writer.
    pub fn ready(&self, ready: Ready) -> (Option<&Watcher>, Option<&Watcher>) {
        let watched = usize::try_from(ready.fd).ok().and_then(|number| self.0.get(number));
        let Some(watched) = watched else { return (None, None) };
        (
            watched.reader.as_ref().filter(|_| ready.interest.read),
            watched.writer.as_ref().filter(|_| ready.interest.write),
        )
    }

    /// All that are watched: the number, the reader, the writer.
    pub fn all(&self) -> impl Iterator<Item = (usize, Option<&Watcher>, Option<&Watcher>)> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, watched)| !watched.interest().is_none())
            .map(|(number, watched)| (number, watched.reader.as_ref(), watched.writer.as_ref()))
    }

    /// For `__traverse__`.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = self.0.iter().flat_map(|watched| watched.reader.iter().chain(&watched.writer));
        all.into_iter().try_for_each(|watcher| watcher.traverse(visit))
    }
}
