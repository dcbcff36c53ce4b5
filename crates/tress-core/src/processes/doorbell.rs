//! A file descriptor that is ready to be read as long as something in shared memory is so.
//!
//! Whoever makes that true or false calls [`Doorbell::settle`] afterwards. It looks under a lock, and makes the descriptor agree with what
//! it finds: if that has changed since, whoever changed it comes next. One that is killed in between leaves it as it was until
//! then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use super::lock::Lock;
use super::patience::Patience;

/// The descriptor, and the lock that belongs to it.
#[derive(Debug)]
pub struct Doorbell {
    lock: Lock,
    fd: OwnedFd,
}

impl Doorbell {
    /// A new descriptor, not ready, with `lock`, which is for nothing else.
    ///
    /// # Errors
    /// The kernel's: no file descriptor left.
    pub fn new(lock: Lock) -> io::Result<Self> {
        Ok(Self { lock, fd: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)? })
    }

    /// The descriptor `fd` of another process's, with its lock.
    pub fn of(lock: Lock, fd: OwnedFd) -> Self {
        Self { lock, fd }
    }

    /// What to look at, or to pass on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Makes the descriptor ready if `is_ready` says so, and not ready otherwise.
    pub fn settle(&self, is_ready: impl Fn() -> bool) {
        let mut patience = Patience::new();
        // It is held for one system call; of a holder that was killed in it there is nothing to be said.
        while self.lock.attempt(&mut patience, None).is_err() {}
        // Neither waits, and neither can fail in a way that matters: the counter is far from its end, or already at 0.
        if is_ready() {
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        } else {
            let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        }
        let _ = self.lock.release();
    }
}
