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
    /// A future of who waits for the next time, and no longer.
    Waiting(Py<PyAny>),
}

impl Watcher {
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Handle(handle) => Self::Handle(handle.clone_ref(py)),
            Self::Transport(transport) => Self::Transport(transport.clone_ref(py)),
            Self::Waiting(future) => Self::Waiting(future.clone_ref(py)),
        }
    }

    pub fn into_any(self) -> Py<PyAny> {
        match self {
            Self::Handle(handle) => handle.into_any(),
            Self::Transport(transport) => transport.into_any(),
            Self::Waiting(future) => future,
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(handle) => visit.call(handle),
            Self::Transport(transport) => visit.call(transport),
            Self::Waiting(future) => visit.call(future),
        }
    }
}

#[derive(Default)]
struct Watched {
    reader: Option<Watcher>,
    writer: Option<Watcher>,
    /// Whether it may be known to the kernel. A descriptor that was watched once stays known.
    is_known: bool,
}

impl Watched {
    fn interest(&self) -> Interest {
        Interest { read: self.reader.is_some(), write: self.writer.is_some() }
    }

    /// Whether all who are told are told once.
    fn is_for_once(&self) -> bool {
        matches!(
            (&self.reader, &self.writer),
            (Some(Watcher::Waiting(_)), None) | (None, Some(Watcher::Waiting(_)))
        )
    }

    fn of(&mut self, direction: Direction) -> &mut Option<Watcher> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    /// Tells the kernel what is watched now.
    fn register(&mut self, poller: &Poller, fd: RawFd) -> io::Result<()> {
        // SAFETY: it is borrowed for the call only; the kernel refuses a descriptor that is not open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let now = self.interest();
        if self.is_for_once() {
            poller.watch_once(fd, self.is_known, now)?;
        } else {
            poller.watch(fd, self.is_known, now)?;
        }
        self.is_known = !now.is_none();
        Ok(())
    }

    /// Who is told in this direction, if it is ready.
    fn take(&mut self, py: Python<'_>, direction: Direction, is_ready: bool) -> Option<Watcher> {
        let watcher = self.of(direction);
        match watcher {
            Some(Watcher::Waiting(_)) if is_ready => watcher.take(),
            Some(watcher) if is_ready => Some(watcher.clone_ref(py)),
            _ => None,
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
        let (before, was_for_once) = (watched.interest(), watched.is_for_once());
        let replaced = std::mem::replace(watched.of(direction), watcher);
        let must_register = watched.interest() != before || was_for_once || watched.is_for_once();
        if must_register && let Err(error) = watched.register(poller, fd) {
            return Err((error, std::mem::replace(watched.of(direction), replaced)));
        }
        Ok(replaced)
    }

    /// Tells the one who waits with this future no longer; returns the watcher that it was.
    pub fn forget(
        &mut self,
        poller: &Poller,
        fd: RawFd,
        direction: Direction,
        future: &Bound<'_, PyAny>,
    ) -> Option<Watcher> {
        let watched = usize::try_from(fd).ok().and_then(|number| self.0.get_mut(number))?;
        if !matches!(watched.of(direction), Some(Watcher::Waiting(waiting)) if waiting.is(future)) {
            return None;
        }
        match self.set(poller, fd, direction, None) {
            Ok(replaced) => replaced,
            // The kernel says that the descriptor is no longer open.
            Err(_) => self.0.get_mut(usize::try_from(fd).ok()?)?.of(direction).take(),
        }
    }

    /// Who is told when that is ready: the reader, the writer.
    pub fn ready(
        &mut self,
        py: Python<'_>,
        poller: &Poller,
        ready: Ready,
    ) -> (Option<Watcher>, Option<Watcher>) {
        let watched = usize::try_from(ready.fd).ok().and_then(|number| self.0.get_mut(number));
        let Some(watched) = watched else { return (None, None) };
        let before = watched.interest();
        let reader = watched.take(py, Direction::Read, ready.interest.read);
        let writer = watched.take(py, Direction::Write, ready.interest.write);
        let now = watched.interest();
        // Who alone was told once is known to be told no more.
        let was_for_once = now.is_none() && before.read != before.write;
        if now != before && !was_for_once {
            // The kernel's errors say that the descriptor is no longer open.
            let _ = watched.register(poller, ready.fd);
        }
        (reader, writer)
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
