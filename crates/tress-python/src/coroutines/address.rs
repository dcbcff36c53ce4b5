//! The address of one end of a connection, in a few bytes until somebody asks for it.

use std::net::Ipv4Addr;
use std::os::fd::RawFd;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

/// As sockets tell it.
pub enum Address {
    V4(Ipv4Addr, u16),
    /// Of another family, or None where there is none.
    Made(Py<PyAny>),
}

/// `getsockname` or `getpeername`.
type Ask = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

impl From<libc::sockaddr_in> for Address {
    fn from(address: libc::sockaddr_in) -> Self {
        let number = u32::from_be(address.sin_addr.s_addr);
        Self::V4(Ipv4Addr::from_bits(number), u16::from_be(address.sin_port))
    }
}

impl Address {
    /// Of the socket's own end.
    ///
    /// # Errors
    /// What the socket raises, but OSError, in the place of which there is None.
    pub fn of_socket(sock: &Bound<'_, PyAny>, fd: RawFd) -> PyResult<Self> {
        Self::ask(sock, fd, libc::getsockname, "getsockname")
    }

    /// Of the other end.
    ///
    /// # Errors
    /// As those of [`Address::of_socket`].
    pub fn of_peer(sock: &Bound<'_, PyAny>, fd: RawFd) -> PyResult<Self> {
        Self::ask(sock, fd, libc::getpeername, "getpeername")
    }

    fn ask(sock: &Bound<'_, PyAny>, fd: RawFd, ask: Ask, method: &str) -> PyResult<Self> {
        // SAFETY: an address of this family is numbers alone.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        let size = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
        let mut len = size;
        // SAFETY: the kernel writes at most `len` bytes to the address, and how many there would have been to `len`.
        let asked = unsafe { ask(fd, (&raw mut address).cast(), &raw mut len) };
        if asked == 0 && len == size && i32::from(address.sin_family) == libc::AF_INET {
            return Ok(Self::from(address));
        }
        let py = sock.py();
        match sock.call_method0(method) {
            Ok(made) => Ok(Self::Made(made.unbind())),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyOSError>(py) => {
                Ok(Self::Made(py.None()))
            }
            Err(error) => Err(error),
        }
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::V4(address, port) => Self::V4(*address, *port),
            Self::Made(made) => Self::Made(made.clone_ref(py)),
        }
    }

    /// As Python's sockets have it.
    ///
    /// # Errors
    /// MemoryError.
    pub fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::V4(address, port) => (address.to_string(), port).into_py_any(py),
            Self::Made(made) => Ok(made),
        }
    }
}
