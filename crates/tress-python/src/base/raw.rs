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

/// Tells PyO3 that this thread is attached, for as long as `f` runs: objects may be dropped there, and whoever waits lets go.
///
/// What the interpreter calls may be called while it is finalized, by the last collection of garbage: `Python::attach` panics then.
///
/// # Safety
/// The thread is attached.
#[inline(always)]
pub unsafe fn attached<R>(f: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    // SAFETY: by the caller's promise, the interpreter is far enough for that.
    unsafe { Python::attach_unchecked(f) }
}

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
        let definition = self.definition(made, entry).ok_or_else(unexpected)?;
        // SAFETY:
        // - `class` is a live type object, and `definition` lives for ever;
        // - the flags tell the truth about `entry`, whose type says so;
        // - the interpreter checks that `self` is an instance of `class` before it calls `entry`.
        let descriptor = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))?
        };
        class.setattr(name, descriptor)
    }

    /// Puts `entry` in front of the function `name` of `module`.
    ///
    /// # Errors
    /// As those of [`Behind::put`].
    ///
    /// # Safety
    /// As for [`Behind::put`]; it is called with whatever the function is bound to.
    pub unsafe fn put_function(
        &'static self,
        module: &Bound<'_, PyModule>,
        name: &str,
        entry: Entry,
    ) -> PyResult<()> {
        let py = module.py();
        let function = module.getattr(name)?;
        let unexpected =
            || PyRuntimeError::new_err(format!("{name} of {module} is not a function with keywords"));
        // SAFETY: a comparison of types.
        if unsafe { ffi::Py_TYPE(function.as_ptr()) != &raw mut ffi::PyCFunction_Type } {
            return Err(unexpected());
        }
        // SAFETY: a built-in function (checked above) begins with this layout on every supported version, and points to a
        // definition that lives as long as it does; it is bound to what `m_self` says, which may be null.
        let (made, bound_to) = unsafe {
            let function = &*function.as_ptr().cast::<ffi::PyCFunctionObject>();
            (&*function.m_ml, function.m_self)
        };
        let definition = self.definition(made, entry).ok_or_else(unexpected)?;
        // The function that PyO3 made lives on, as the entry point passes calls to it.
        std::mem::forget(function.clone());
        // SAFETY: the definition lives for ever, and its flags tell the truth about `entry`; the rest is as the other has it.
        let function = unsafe {
            let name = module.name()?;
            let made = ffi::PyCFunction_NewEx(definition, bound_to, name.as_ptr());
            Bound::from_owned_ptr_or_err(py, made)?
        };
        module.setattr(name, function)
    }

    /// That of `made`, for `entry`, which from now on is in front of it; None where it is of another shape.
    fn definition(&self, made: &ffi::PyMethodDef, entry: Entry) -> Option<&'static mut ffi::PyMethodDef> {
        if made.ml_flags != FLAGS {
            return None;
        }
        // SAFETY: the flags (checked above) tell which member of the union was written.
        let behind = unsafe { made.ml_meth.PyCFunctionFastWithKeywords };
        let _ = self.0.set(behind);
        // Leaked: whatever is made of it points to it for ever.
        Some(Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: made.ml_name,
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry },
            ml_flags: FLAGS,
            ml_doc: made.ml_doc,
        })))
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
