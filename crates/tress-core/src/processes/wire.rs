//! A file descriptor that messages go through: trying without waiting, and waiting.
//!
//! Whether a descriptor waits is a flag of what it is open on, which other processes may share, so the flag is left alone: a call
//! says for itself that it does not wait, where the kernel lets it (sockets, and pipes from Linux 6.4 on), and otherwise asks
//! first whether it would.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::frames::Source;
use super::word::Slept;
use crate::base::deadline::Deadline;

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A socket.
    Socket,
    /// A pipe.
    Pipe,
    /// Anything else.
    Other,
}

impl Kind {
    /// What `fd` is; [`Kind::Other`] for one that is not open, of which its use will tell.
    pub fn of(fd: BorrowedFd<'_>) -> Self {
        match rustix::fs::fstat(fd).map(|status| FileType::from_raw_mode(status.st_mode)) {
            Ok(FileType::Socket) => Self::Socket,
            Ok(FileType::Fifo) => Self::Pipe,
            _ => Self::Other,
        }
    }
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// That there is something to read, or nothing ever will be.
    Read,
    /// That there is room, or nobody reads any more.
    Write,
}

impl Ready {
    fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }
}

/// Old kernels cannot be asked not to wait for a pipe.
static PIPES_WAIT: AtomicBool = AtomicBool::new(false);

/// A borrowed descriptor, and what it is of.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    fd: BorrowedFd<'a>,
    kind: Kind,
}

impl<'a> Wire<'a> {
    /// A descriptor of that kind.
    pub fn new(fd: BorrowedFd<'a>, kind: Kind) -> Self {
        Self { fd, kind }
    }

    /// Whether a call can be told not to wait; of other descriptors a call may, for a moment.
    pub fn never_waits(&self) -> bool {
        match self.kind {
            Kind::Socket => true,
            Kind::Pipe => !PIPES_WAIT.load(Ordering::Relaxed),
            Kind::Other => false,
        }
    }

    /// Whether the descriptor is one on which nobody is to wait: its user has said so.
    pub fn is_nonblocking(&self) -> bool {
        rustix::fs::fcntl_getfl(self.fd).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` without room; the kernel's.
    pub fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.kind == Kind::Socket {
            let mut nothing = SendAncillaryBuffer::default();
            let sent = rustix::net::sendmsg(self.fd, from, &mut nothing, SendFlags::DONTWAIT);
            return Ok(sent?);
        }
        if self.never_waits() {
            match rustix::io::pwritev2(self.fd, from, HERE, ReadWriteFlags::NOWAIT) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => PIPES_WAIT.store(true, Ordering::Relaxed),
                written => return Ok(written?),
            }
        }
        self.look(Ready::Write)?;
        Ok(rustix::io::writev(self.fd, from)?)
    }

    fn look(&self, ready: Ready) -> io::Result<()> {
        let mut fds = [PollFd::from_borrowed_fd(self.fd, ready.flags())];
        match rustix::event::poll(&mut fds, Some(&NO_TIME))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Waits until it is ready or `until` has come.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, ready: Ready, until: Option<Deadline>) -> io::Result<Slept> {
        wait(&mut [PollFd::from_borrowed_fd(self.fd, ready.flags())], until)
    }
}

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Where the stream is, which for a pipe is the only place.
const HERE: u64 = u64::MAX;

impl Source for Wire<'_> {
    fn read(&mut self, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        if self.kind == Kind::Socket {
            return Ok(rustix::net::recv(self.fd, into, RecvFlags::DONTWAIT)?.1);
        }
        if self.never_waits() {
            match read_pipe(self.fd, into) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => {
                    PIPES_WAIT.store(true, Ordering::Relaxed);
                }
                read => return read,
            }
        }
        self.look(Ready::Read)?;
        Ok(rustix::io::read(self.fd, into)?.0.len())
    }
}

/// Reads what there is, without waiting.
fn read_pipe(fd: BorrowedFd<'_>, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: the kernel writes into the one part alone, which is borrowed for the call, and only bytes.
    let count = unsafe { libc::preadv2(fd.as_raw_fd(), &part, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Descriptors of which one at least is waited for.
#[derive(Debug)]
pub struct Several<'a> {
    fds: Vec<PollFd<'a>>,
}

impl<'a> Several<'a> {
    /// To be read from.
    pub fn new(fds: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        Self { fds: fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect() }
    }

    /// Waits until one is ready or `until` has come. One that is not open counts as ready: its use tells.
    ///
    /// # Errors
    /// The kernel's: too many of them.
    pub fn wait(&mut self, until: Option<Deadline>) -> io::Result<Slept> {
        wait(&mut self.fds, until)
    }

    /// The places of those that were found ready.
    pub fn ready(&self) -> Vec<usize> {
        (0..self.fds.len()).filter(|place| !self.fds[*place].revents().is_empty()).collect()
    }
}

fn wait(fds: &mut [PollFd<'_>], until: Option<Deadline>) -> io::Result<Slept> {
    let left = until.map(|end| {
        let ns = end.remaining_ns();
        Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as _ }
    });
    match rustix::event::poll(fds, left.as_ref()) {
        Ok(0) => Ok(Slept::TimedOut),
        Ok(_) => Ok(Slept::Woken),
        Err(Errno::INTR) => Ok(Slept::Interrupted),
        Err(error) => Err(error.into()),
    }
}
