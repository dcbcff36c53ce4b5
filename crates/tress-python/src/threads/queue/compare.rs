//! `left < right`, without a call where two numbers decide.
//!
//! What priorities mostly are: small ints, floats, or tuples that begin with one. Comparing two of those as the numbers they are
//! is several times as fast as asking the interpreter, and gives the same answer: only objects of exactly these classes are looked
//! into, and whatever is left open goes the ordinary way.

use pyo3::ffi;
use pyo3::prelude::*;

use crate::base::calls;

/// `left < right`, as `heapq` asks it.
///
/// # Errors
/// What the comparison raises.
#[inline]
pub fn less(py: Python<'_>, left: &Py<PyAny>, right: &Py<PyAny>) -> PyResult<bool> {
    // SAFETY: both are live objects that the caller holds, and this thread is attached.
    if let Some(answer) = unsafe { decide(left.as_ptr(), right.as_ptr()) } {
        return Ok(answer);
    }
    calls::less(left.bind_borrowed(py), right.bind_borrowed(py))
}

/// The answer, where two numbers give it.
///
/// # Safety
/// Both are live objects; attached.
#[inline]
unsafe fn decide(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> Option<bool> {
    // SAFETY: by the caller's promise. The tuples hold references to their items, which are looked at while the tuples live;
    // an item is looked at only where the size says that there is one.
    unsafe {
        if ffi::PyTuple_CheckExact(left) != 0 {
            if ffi::PyTuple_CheckExact(right) == 0
                || ffi::PyTuple_GET_SIZE(left) == 0
                || ffi::PyTuple_GET_SIZE(right) == 0
            {
                return None;
            }
            let (left, right) = (ffi::PyTuple_GET_ITEM(left, 0), ffi::PyTuple_GET_ITEM(right, 0));
            // Equal ones leave it to the items that follow; so do floats that are not even equal to themselves.
            return match numbers(left, right)? {
                Numbers::Ints(left, right) if left != right => Some(left < right),
                Numbers::Floats(left, right) if left < right => Some(true),
                Numbers::Floats(left, right) if left > right => Some(false),
                _ => None,
            };
        }
        Some(match numbers(left, right)? {
            Numbers::Ints(left, right) => left < right,
            Numbers::Floats(left, right) => left < right,
        })
    }
}

enum Numbers {
    Ints(i64, i64),
    Floats(f64, f64),
}

/// Two numbers of the same kind.
///
/// # Safety
/// Both are live objects; attached.
#[inline]
unsafe fn numbers(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> Option<Numbers> {
    // SAFETY: by the caller's promise; each function is called with an object of the class that it asks for.
    unsafe {
        if ffi::PyLong_CheckExact(left) != 0 && ffi::PyLong_CheckExact(right) != 0 {
            return Some(Numbers::Ints(small(left)?, small(right)?));
        }
        if ffi::PyFloat_CheckExact(left) != 0 && ffi::PyFloat_CheckExact(right) != 0 {
            return Some(Numbers::Floats(ffi::PyFloat_AS_DOUBLE(left), ffi::PyFloat_AS_DOUBLE(right)));
        }
        None
    }
}

/// The value of an int of one digit.
///
/// # Safety
/// `int` is a live object of the class int; attached.
#[cfg(Py_3_12)]
#[inline]
unsafe fn small(int: *mut ffi::PyObject) -> Option<i64> {
    /// `struct _longobject` of `cpython/longintrepr.h`, the same from 3.12 to 3.15: the lowest two bits of the tag are one
    /// less the sign, the number of digits begins at the fourth. `tests/threads/test_queue_sorted.py` would notice a change.
    #[repr(C)]
    struct Long {
        base: ffi::PyObject,
        tag: usize,
        digit: u32,
    }
    // SAFETY: the object is an int, laid out as above.
    let (tag, digit) = unsafe {
        let long = int.cast::<Long>();
        ((*long).tag, (*long).digit)
    };
    (tag < 2 << 3).then(|| (1 - (tag & 3) as i64) * i64::from(digit))
}

/// The value of an int of one digit.
///
/// # Safety
/// `int` is a live object of the class int; attached.
#[cfg(not(Py_3_12))]
#[inline]
unsafe fn small(int: *mut ffi::PyObject) -> Option<i64> {
    /// `struct _longobject` of `cpython/longintrepr.h` in 3.11: the size is the number of digits with the sign of the number.
    #[repr(C)]
    struct Long {
        base: ffi::PyVarObject,
        digit: u32,
    }
    // SAFETY: the object is an int, laid out as above.
    let (size, digit) = unsafe {
        let long = int.cast::<Long>();
        ((*long).base.ob_size, (*long).digit)
    };
    // The digit of zero is not to be trusted.
    match size {
        0 => Some(0),
        1 | -1 => Some(size as i64 * i64::from(digit)),
        _ => None,
    }
}
