//! What a connection asks of the kernel. None of these calls waits.

use std::io;
use std::os::fd::RawFd;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError};
use pyo3::prelude::*;

/// Whether it would have had to wait.
pub fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The same of what a method of a socket has raised.
pub fn is_for_later(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py)
}

/// What a call returned that returns a size, or -1 for an error.
pub fn size_of_call(made: isize) -> io::Result<usize> {
    usize::try_from(made).map_err(|_| io::Error::last_os_error())
}

/// A number that the kernel has of a socket as a whole: SO_ERROR, SO_DOMAIN and others.
pub fn option(fd: RawFd, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut number: libc::c_int = 0;
    let mut len = libc::socklen_t::try_from(size_of_val(&number)).unwrap_or(0);
    // SAFETY: the kernel writes a number of that size; it refuses a descriptor of something else.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut number).cast(), &raw mut len) };
    if asked == 0 { Ok(number) } else { Err(io::Error::last_os_error()) }
}

/// Sends as much of `bytes` as there is room for.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the kernel reads so many bytes from there, which are borrowed for the call.
    size_of_call(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Receives what there is, as far as it fits into `room`.
pub fn receive(fd: RawFd, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most so many bytes to there, which are borrowed for the call.
    size_of_call(unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) })
}

/// Sends as much of the pieces as there is room for, in their order.
///
/// # Safety
/// Each piece is memory that may be read during the call.
pub unsafe fn send_all(fd: RawFd, pieces: &[libc::iovec]) -> io::Result<usize> {
    // SAFETY: a message without an address or ancillary data is all zeros.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = pieces.as_ptr().cast_mut();
    message.msg_iovlen = pieces.len();
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the kernel reads the message and the pieces, which the caller answers for, and does not write to them.
    size_of_call(unsafe { libc::sendmsg(fd, &raw const message, flags) })
}
