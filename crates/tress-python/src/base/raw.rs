//! Entry points of the hottest methods, ahead of the argument parser.
//!
//! PyO3's way into a method costs 10 to 15 ns more than C's: it parses the arguments by name, counts the attachment, and
//! stands ready to catch a panic. A method whose common call takes two positional arguments at most, and is over after a
//! handful of instructions, gets an entry point of its own here: it serves that call, and passes every other one, its
//! arguments untouched, to the method that PyO3 made. Both have the same name, signature and documentation.

use std::ffi::c_int;
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A method as the interpreter calls it.
pub type Entry = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

const FLAGS: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// The method that PyO3 made, behind an entry point.
pub struct Behind(OnceLock<Entry>);

impl Behind {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Puts `entry` in front of the method `name` of `class`.
    ///
    /// # Errors
    /// RuntimeError when PyO3 made the method in another shape than expected.
    ///
    /// # Safety
    /// `entry` may be called with any instance of `class` or of a subclass, and any arguments: it must check those that it
    /// looks at, and call [`Behind::call`] where it does not serve them.
    pub unsafe fn put(&'static self, class: &Bound<'_, PyType>, name: &str, entry: Entry) -> PyResult<()> {
        let py = class.py();
        let method = class.getattr("__dict__")?.get_item(name)?;
        let unexpected =
            || PyRuntimeError::new_err(format!("{name} of {class} is not a method with keywords"));
        // SAFETY: a type object is a `PyTypeObject`, and the comparison reads nothing else.
        if unsafe { ffi::Py_TYPE(method.as_ptr()) != &raw mut ffi::PyMethodDescr_Type } {
            return Err(unexpected());
        }
        // SAFETY: a method descriptor (checked above) begins with this layout on every supported version, and points to a
        // definition that lives as long as its type does.
        let made = unsafe { &*(*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method };
        if made.ml_flags != FLAGS {
            return Err(unexpected());
        }
        // SAFETY: the flags (checked above) tell which member of the union was written.
        let behind = unsafe { made.ml_meth.PyCFunctionFastWithKeywords };
        let _ = self.0.set(behind);
        // Leaked: a descriptor points to its definition for ever.
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: made.ml_name,
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry },
            ml_flags: FLAGS,
            ml_doc: made.ml_doc,
        }));
        // SAFETY:
        // - `class` is a live type object, and `definition` lives for ever;
        // - the flags tell the truth about `entry`, whose type says so;
        // - the interpreter checks that `self` is an instance of `class` before it calls `entry`.
        let descriptor = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))?
        };
        class.setattr(name, descriptor)
    }

    /// Passes a call on.
    ///
    /// # Safety
    /// The arguments must be those that the interpreter passed to the entry point.
    #[cold]
    #[inline(never)]
    pub unsafe fn call(
        &self,
        slf: *mut ffi::PyObject,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        match self.0.get() {
            // SAFETY: this is a method of the same class with the same flags, called as the interpreter would call it.
            Some(behind) => unsafe { behind(slf, arguments, count, names) },
            None => std::ptr::null_mut(),
        }
    }
}
