//! File descriptors that Python code passes as numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use pyo3::prelude::*;

use crate::error::OrRaise;

/// One of our own for the file behind `fd`, which stays the caller's.
///
/// OSError if `fd` is not open.
pub fn duplicate(fd: RawFd) -> PyResult<OwnedFd> {
    // SAFETY: a call that only looks its argument up among the open files.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if own == -1 {
        return Err(io::Error::last_os_error()).or_raise();
    }
    // SAFETY: made just now, for this.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}
