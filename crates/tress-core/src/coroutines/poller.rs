//! Which file descriptors are ready, and sleeping until one is.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::Timespec;

use super::bell::Bell;

/// What a descriptor is watched for, or ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interest {
    /// There is something to read, or the other side has gone.
    pub read: bool,
    /// There is room to write, or the other side has gone.
    pub write: bool,
}

impl Interest {
    /// In neither.
    pub fn is_none(self) -> bool {
        !self.read && !self.write
    }

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// One descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub fd: RawFd,
    /// For what. An error, and the end of the other side, count as both.
    pub interest: Interest,
}

/// As many events as one look returns.
const BATCH: usize = 256;

/// What the bell's own descriptor is known by.
const OWN: u64 = u64::MAX;

/// Whether the kernel has no `epoll_pwait2`: then timeouts are whole milliseconds.
static IS_COARSE: AtomicBool = AtomicBool::new(false);

/// Watched descriptors, and a bell that other threads ring.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    bell: Bell,
    wake: OwnedFd,
}

impl Poller {
    /// Watches nothing.
    ///
    /// # Errors
    /// The kernel's: no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        // Every write counts as new, so that nothing needs to be read.
        epoll::add(&epoll, &wake, EventData::new_u64(OWN), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, bell: Bell::new(), wake })
    }

    /// The descriptor that is ready when one of the watched is.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Watches a descriptor for `now` from now on, which may be nothing. `is_known` tells whether it was watched before: that spares a call of
    /// the kernel, and may be wrong.
    ///
    /// # Errors
    /// The kernel's: the descriptor is not open, or of a kind that cannot be watched.
    pub fn watch(&self, fd: BorrowedFd<'_>, is_known: bool, now: Interest) -> io::Result<()> {
        if now.is_none() {
            return match epoll::delete(&self.epoll, fd) {
                // It has been closed meanwhile, which ends the watching as well.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::BADF) => Ok(()),
                done => Ok(done?),
            };
        }
        self.register(fd, is_known, now.flags())
    }

    /// As [`Poller::watch`], until it is ready for the first time, for `now`, which is not nothing.
    ///
    /// Nothing needs to be ended when the descriptor is closed, and what is left of one that lives on elsewhere is never ready.
    ///
    /// # Errors
    /// As those of [`Poller::watch`].
    pub fn watch_once(&self, fd: BorrowedFd<'_>, is_known: bool, now: Interest) -> io::Result<()> {
        self.register(fd, is_known, now.flags() | EventFlags::ONESHOT)
    }

    fn register(&self, fd: BorrowedFd<'_>, is_known: bool, flags: EventFlags) -> io::Result<()> {
        #[expect(clippy::cast_sign_loss, reason = "an open descriptor is not negative")]
        let data = EventData::new_u64(fd.as_raw_fd() as u64);
        if !is_known {
            match epoll::add(&self.epoll, fd, data, flags) {
                // A copy of a descriptor that has been closed without a word keeps it here.
                Err(rustix::io::Errno::EXIST) => {}
                done => return Ok(done?),
            }
        }
        match epoll::modify(&self.epoll, fd, data, flags) {
            // Closed without a word; the number belongs to another one now.
            Err(rustix::io::Errno::NOENT) => Ok(epoll::add(&self.epoll, fd, data, flags)?),
            done => Ok(done?),
        }
    }

    /// Those that are ready now, in `events`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn look(&self, events: &mut Events) -> io::Result<()> {
        self.wait(events, Some(Duration::ZERO))
    }

    /// Whoever rings from now on wakes the sleeper; to be called before the last look at what there is to do.
    pub fn begin(&self) {
        self.bell.begin();
    }

    /// Sleeps, after [`Poller::begin`], until a descriptor is ready, somebody rings, or `timeout` passes.
    ///
    /// # Errors
    /// `Interrupted` by a signal; the kernel's.
    pub fn sleep(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.wait(events, timeout)
    }

    /// The sleeper is awake, or has not slept after all.
    pub fn end(&self) {
        self.bell.end();
    }

    /// There is something to do: wakes the sleeper, if there is one.
    #[inline]
    pub fn ring(&self) {
        if self.bell.ring() {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // It cannot fail in a way that matters: a counter that is full is ready as well.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        let whole_ms = timeout.is_none_or(|timeout| timeout.subsec_nanos() % 1_000_000 == 0);
        if !whole_ms && !IS_COARSE.load(Ordering::Relaxed) {
            match self.wait_finely(events, timeout.unwrap_or_default()) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    IS_COARSE.store(true, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        let timeout = timeout.map(timespec);
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events.0), timeout.as_ref())?;
        Ok(())
    }

    fn wait_finely(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        let timeout = timespec(timeout);
        let room = events.0.spare_capacity_mut();
        let count = libc::c_int::try_from(room.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY:
        // - the kernel writes at most `count` events, for which there is room, and this thread alone has it;
        // - an `Event` has the layout of the kernel's `epoll_event`, as rustix passes it to the kernel itself;
        // - a `Timespec` has the layout of the kernel's time, and lives until the call returns;
        // - no mask of signals is given.
        let made = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                room.as_mut_ptr(),
                count,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let made = usize::try_from(made).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has written so many.
        unsafe { events.0.set_len(made) };
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Room for what one look returns.
pub struct Events(Vec<Event>);

// SAFETY: an event carries a number, never the pointer that its type has room for: `watch` and `new` put numbers only.
unsafe impl Send for Events {}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("len", &self.0.len()).finish()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// Empty.
    pub fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    /// Takes out the descriptors that are ready.
    pub fn drain(&mut self) -> impl Iterator<Item = Ready> + '_ {
        self.0.drain(..).filter_map(|event| {
            let data = event.data.u64();
            if data == OWN {
                return None;
            }
            let flags = event.flags;
            let interest = Interest {
                read: !flags.difference(EventFlags::OUT).is_empty(),
                write: !flags.difference(EventFlags::IN).is_empty(),
            };
            Some(Ready { fd: RawFd::try_from(data).ok()?, interest })
        })
    }

    /// Whether none is ready.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
