//! Opening a connection to an address that is known: `sock_connect`, and what `create_connection` begins with.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};

use crate::base::calls;
use crate::error::OrRaise;

use super::kernel;

/// The family and the address, as sockets have it, of a host that is written as a number; None where it must be looked up, or where
/// the standard library's ways of doing that refuse it.
///
/// # Errors
/// MemoryError.
#[pyfunction]
pub fn literal_address<'py>(
    host: &Bound<'py, PyAny>,
    port: &Bound<'py, PyAny>,
) -> PyResult<Option<(libc::c_int, Bound<'py, PyTuple>)>> {
    let py = host.py();
    if !host.is_exact_instance_of::<PyString>() || !port.is_exact_instance_of::<PyInt>() {
        return Ok(None);
    }
    let (Ok(text), true) = (host.extract::<&str>(), port.extract::<u16>().is_ok()) else { return Ok(None) };
    Ok(if text.parse::<Ipv4Addr>().is_ok() {
        Some((libc::AF_INET, (host, port).into_pyobject(py)?))
    } else if text.parse::<Ipv6Addr>().is_ok() {
        Some((libc::AF_INET6, (host, port, 0, 0).into_pyobject(py)?))
    } else {
        None
    })
}

/// The address to connect a socket to, where it need not be looked up.
///
/// # Errors
/// What the socket raises when it is asked for its descriptor.
pub fn resolved<'py>(
    socket: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let Ok(address) = address.cast_exact::<PyTuple>() else { return Ok(None) };
    if address.len() != 2 && address.len() != 4 {
        return Ok(None);
    }
    let Some((family, whole)) = literal_address(&address.get_item(0)?, &address.get_item(1)?)? else {
        return Ok(None);
    };
    let is_whole = address.len() == whole.len();
    if address.len() > whole.len() {
        return Ok(None);
    }
    let fd: RawFd = calls::method(socket, intern!(socket.py(), "fileno"), None)?.extract()?;
    let is = |name, wanted| kernel::option(fd, name).is_ok_and(|found| found == wanted);
    // The standard library refuses some kinds, by looking the address up.
    let is_usual = is(libc::SO_DOMAIN, family) && is(libc::SO_TYPE, libc::SOCK_STREAM);
    Ok(is_usual.then(|| if is_whole { address.clone() } else { whole }))
}

/// Begins to connect; false if that goes on in the background, which makes the socket writable when it ends.
///
/// # Errors
/// What the socket's method raises.
pub fn begin(socket: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = socket.py();
    match calls::method(socket, intern!(py, "connect"), Some(address.as_borrowed())) {
        Ok(_) => Ok(true),
        Err(error) if kernel::is_for_later(py, &error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What has become of it: true if the socket is connected, false if that still goes on.
///
/// # Errors
/// The kernel's, as the standard library words it.
pub fn outcome(fd: RawFd, address: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = address.py();
    let number = kernel::option(fd, libc::SO_ERROR).or_raise()?;
    if number == 0 {
        return Ok(true);
    }
    let text = format!("Connect call failed {}", address.str()?).into_bound_py_any(py)?;
    let error = PyErr::from_value(py.get_type::<PyOSError>().call1((number, text))?);
    if kernel::is_for_later(py, &error) { Ok(false) } else { Err(error) }
}
