//! Which process this is, in a number that no later process has too; and whether the process behind such a number still runs.
//!
//! The number is made of the process's id, of which the kernel uses 22 bits at most, and of the time at which it started, in
//! the kernel's clock ticks since the machine did. Both mean something only within one namespace of processes and one of time:
//! what is shared notes in which ones its numbers are ([`namespaces`]), and a process elsewhere is [`ProcessId::UNKNOWN`] there,
//! which is never said to have ended.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

use crate::base::fork;

const PID_BITS: u32 = 22;
const PID_MASK: u64 = (1 << PID_BITS) - 1;
const START_MASK: u64 = (1 << 40) - 1;

/// A process: 63 bits, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId(u64);

impl ProcessId {
    /// One that cannot be named here.
    pub const UNKNOWN: Self = Self(1 << 62);

    fn of(pid: u32, start: u64) -> Self {
        Self(u64::from(pid) & PID_MASK | (start & START_MASK) << PID_BITS)
    }

    /// The number; [`ProcessId::from_bits`] takes it back.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The process that a number of [`ProcessId::bits`] is of; None for 0.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// Its process id; None if it is unknown.
    pub fn pid(self) -> Option<u32> {
        Some((self.0 & PID_MASK) as u32).filter(|pid| *pid != 0)
    }

    /// When it started, in clock ticks; 0 if that could not be read.
    pub(super) fn start(self) -> u64 {
        self.0 >> PID_BITS & START_MASK
    }

    /// Whether it has ended: all its threads have, and it takes no part in anything any more, whether or not its parent knows.
    pub fn has_ended(self) -> bool {
        Watch::default().has_ended(self)
    }
}

/// Processes that somebody looks at again and again, which costs less than looking anew each time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By what they are called, and what the kernel calls each of them as long as it is open.
    known: Vec<(u64, OwnedFd)>,
}

/// How many file descriptors a watch may have open.
const MOST_WATCHED: usize = 4;

impl Watch {
    pub(super) fn has_ended(&mut self, process: ProcessId) -> bool {
        let Some(pid) = process.pid() else { return false };
        let start = process.start();
        process != current() && self.has(process.bits(), pid, |found| start == 0 || start == found)
    }

    /// Whether the process `pid`, called `name` here, has ended, where `is_it` tells by its start whether one of that number
    /// is the one.
    pub(super) fn has(&mut self, name: u64, pid: u32, is_it: impl Fn(u64) -> bool) -> bool {
        if let Some((_, fd)) = self.known.iter().find(|(known, _)| *known == name) {
            return is_over(fd);
        }
        let Some(handle) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        let opened = pidfd_open(handle, PidfdFlags::empty());
        let gone = match &opened {
            Ok(fd) => is_over(fd),
            Err(Errno::SRCH) => true,
            // No file descriptor left, an old kernel, a sandbox, or a number that is a mere thread's by now.
            Err(_) => test_kill_process(handle) == Err(Errno::SRCH) || is_zombie(pid),
        };
        // What cannot be read, since /proc is not there or hides it, proves nothing.
        if gone || stat(pid).is_ok_and(|stat| !is_it(stat.start)) {
            return true;
        }
        if let Ok(fd) = opened {
            self.known.truncate(MOST_WATCHED - 1);
            self.known.insert(0, (name, fd));
        }
        false
    }
}

fn is_over(fd: &OwnedFd) -> bool {
    let now = rustix::time::Timespec::default();
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// What /proc says of a process.
struct Stat {
    state: u8,
    threads: u64,
    start: u64,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let fd = rustix::fs::open(format!("/proc/{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 1024];
    let len = rustix::io::read(&fd, &mut buffer)?;
    let line = String::from_utf8_lossy(&buffer[..len]);
    // The second field is the program's name in parentheses, with any characters in it.
    let fields = line.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_ascii_whitespace();
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let state = fields.next().and_then(|state| state.bytes().next()).ok_or_else(malformed)?;
    let mut number =
        |after: usize| fields.nth(after).and_then(|field| field.parse().ok()).ok_or_else(malformed);
    Ok(Stat { state, threads: number(16)?, start: number(1)? })
}

/// Whether it has ended and its parent has yet to ask. The first thread of a process may end before the others do.
fn is_zombie(pid: u32) -> bool {
    stat(pid).is_ok_and(|stat| matches!(stat.state, b'Z' | b'X') && stat.threads <= 1)
}

/// What [`current`] and [`namespaces`] found, and in which generation of forks.
static CURRENT: AtomicU64 = AtomicU64::new(0);
static NAMESPACES: AtomicU32 = AtomicU32::new(0);
static FOUND_IN: AtomicU32 = AtomicU32::new(u32::MAX);

#[inline]
fn find_once() {
    if FOUND_IN.load(Ordering::Acquire) != fork::generation() {
        find();
    }
}

#[cold]
fn find() {
    // Without the handlers a child would take itself for its parent.
    fork::install();
    let generation = fork::generation();
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let start = stat(pid).map_or(0, |stat| stat.start);
    CURRENT.store(ProcessId::of(pid, start).bits(), Ordering::Relaxed);
    NAMESPACES.store(find_namespaces().unwrap_or(0), Ordering::Relaxed);
    FOUND_IN.store(generation, Ordering::Release);
}

fn find_namespaces() -> io::Result<u32> {
    let of_processes = rustix::fs::stat("/proc/self/ns/pid")?.st_ino;
    let of_time = rustix::fs::stat("/proc/self/ns/time").map_or(0, |stat| stat.st_ino);
    Ok((of_processes.wrapping_mul(31).wrapping_add(of_time) as u32).max(1))
}

/// The calling process.
#[inline]
pub fn current() -> ProcessId {
    find_once();
    ProcessId(CURRENT.load(Ordering::Relaxed))
}

/// A number for the namespaces in which the calling process's number means something; 0 if that cannot be found out.
#[inline]
pub fn namespaces() -> u32 {
    find_once();
    NAMESPACES.load(Ordering::Relaxed)
}

/// The calling process, as one of the namespaces `there` names it.
#[inline]
pub(super) fn current_in(there: u32) -> ProcessId {
    find_once();
    if there == NAMESPACES.load(Ordering::Relaxed) && there != 0 {
        ProcessId(CURRENT.load(Ordering::Relaxed))
    } else {
        ProcessId::UNKNOWN
    }
}

/// For models: a moment at which a process may be killed.
#[inline]
pub(super) const fn is_killed_here() -> bool {
    false
}
