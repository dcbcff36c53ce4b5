//! Accepting a connection: one system call, which makes a socket that does not block.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::base::calls;
use crate::error::OrRaise;

use super::address::Address;
use super::kernel;
use super::sockets::SOCKET;

/// The next connection of a listener: a socket that does not block, and its address. None where there is none.
///
/// # Errors
/// What the listener's `accept` raises.
#[pyfunction]
pub fn accept<'py>(listener: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = listener.py();
    if listener.get_type().is(SOCKET.get(py)?) {
        let fd: RawFd = calls::method(listener, intern!(py, "fileno"), None)?.extract()?;
        let is = |option, wanted| kernel::option(fd, option).is_ok_and(|found| found == wanted);
        if is(libc::SO_DOMAIN, libc::AF_INET) && is(libc::SO_TYPE, libc::SOCK_STREAM) {
            return accept_v4(listener, fd);
        }
    }
    match calls::method(listener, intern!(py, "accept"), None) {
        Err(error) if kernel::is_for_later(py, &error) => Ok(None),
        made => {
            let made = made?.cast_into::<PyTuple>()?;
            made.get_item(0)?.call_method1(intern!(py, "setblocking"), (false,))?;
            Ok(Some(made))
        }
    }
}

fn accept_v4<'py>(listener: &Bound<'py, PyAny>, fd: RawFd) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = listener.py();
    // Another process that has the listener too may have made it one that blocks.
    let (connection, address) = match py.detach(|| kernel_accept(fd)) {
        Err(error) if kernel::is_again(&error) => return Ok(None),
        accepted => accepted.or_raise()?,
    };
    let protocol = listener.getattr(intern!(py, "proto"))?;
    // With that flag the object knows that its descriptor does not block.
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let arguments = (libc::AF_INET, kind, protocol, connection.as_raw_fd()).into_pyobject(py)?;
    let made = calls::call(&SOCKET.get(py)?.to_owned(), &arguments)?;
    let _ = connection.into_raw_fd(); // it is the object's now
    (made, address.into_object(py)?).into_pyobject(py).map(Some)
}

fn kernel_accept(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    // SAFETY: an address of this family is numbers alone.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the kernel writes at most `len` bytes to the address, and how many there would have been to `len`.
    let accepted = unsafe { libc::accept4(fd, (&raw mut address).cast(), &raw mut len, flags) };
    if accepted < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok((unsafe { OwnedFd::from_raw_fd(accepted) }, Address::from(address)))
}
