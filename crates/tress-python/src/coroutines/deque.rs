//! The methods of a `collections.deque`, without a look-up and a call's arguments.
//!
//! The standard library has who waits, and the items of a queue, in deques, and a program may look at them: so they are deques here too.

use std::ptr;

use pyo3::ffi::{self, PyCFunction, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::base::calls;

use super::creating::Found;

static DEQUE: Found = Found::new("collections", "deque");

static APPEND: Method = Method::new("append", ffi::METH_O);
static POP_LEFT: Method = Method::new("popleft", ffi::METH_NOARGS);
static REMOVE: Method = Method::new("remove", ffi::METH_O);

struct Method {
    name: &'static str,
    /// The shape that is expected of it.
    flags: i32,
    found: PyOnceLock<(Py<PyString>, Option<PyCFunction>)>,
}

impl Method {
    const fn new(name: &'static str, flags: i32) -> Self {
        Self { name, flags, found: PyOnceLock::new() }
    }

    fn find(&self, py: Python<'_>) -> PyResult<(Py<PyString>, Option<PyCFunction>)> {
        let method = DEQUE.get(py)?.getattr(self.name)?;
        // SAFETY: types are compared; a method descriptor (checked) begins with this layout, its definition lives as long as its
        // type, and the flags tell which member of the union was written.
        let function = unsafe {
            if ptr::eq(ffi::Py_TYPE(method.as_ptr()), &raw const ffi::PyMethodDescr_Type) {
                let definition = &*(*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
                if definition.ml_flags == self.flags { Some(definition.ml_meth.PyCFunction) } else { None }
            } else {
                None
            }
        };
        Ok((PyString::intern(py, self.name).unbind(), function))
    }

    /// `any.name()` or `any.name(argument)`, where `any` is most often a deque.
    fn call<'py>(
        &self,
        any: &Bound<'py, PyAny>,
        argument: Option<Borrowed<'_, 'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = any.py();
        let (name, function) = self.found.get_or_try_init(py, || self.find(py))?;
        match function {
            Some(function) if any.get_type_ptr().cast::<PyObject>() == DEQUE.get(py)?.as_ptr() => {
                let argument = argument.map_or(ptr::null_mut(), |argument| argument.as_ptr());
                // SAFETY: the method of that very class, called as its flags say; live objects; the result is a new reference, or
                // null with an exception set. It runs no Python code: what is compared are futures, which are equal to themselves.
                unsafe { Bound::from_owned_ptr_or_err(py, function(any.as_ptr(), argument)) }
            }
            _ => calls::method(any, name.bind(py), argument),
        }
    }
}

/// A new one.
///
/// # Errors
/// MemoryError.
pub fn new(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    DEQUE.get(py)?.call0()
}

/// `deque.append(item)`.
///
/// # Errors
/// What the call raises.
pub fn append<'py>(deque: &Bound<'py, PyAny>, item: &Bound<'py, PyAny>) -> PyResult<()> {
    APPEND.call(deque, Some(item.as_borrowed())).map(drop)
}

/// `deque.popleft()`.
///
/// # Errors
/// IndexError if it is empty; what the call raises.
pub fn pop_left<'py>(deque: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    POP_LEFT.call(deque, None)
}

/// `deque.remove(item)`.
///
/// # Errors
/// ValueError if it is not in there; what the call raises.
pub fn remove<'py>(deque: &Bound<'py, PyAny>, item: &Bound<'py, PyAny>) -> PyResult<()> {
    REMOVE.call(deque, Some(item.as_borrowed())).map(drop)
}

/// `deque[0]`.
///
/// # Errors
/// IndexError if it is empty; what the call raises.
pub fn first<'py>(deque: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a live object; the result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(deque.py(), ffi::PySequence_GetItem(deque.as_ptr(), 0)) }
}
