//! `with` on a lock: `__enter__` and `__exit__` of Lock and RLock, as the interpreter calls them.
//!
//! The two calls are a `with` statement's whole cost beside the statement itself, and the standard locks make them in C.
//! `__exit__` takes what it is given, as theirs does, and from Python 3.15 on three arguments.

use std::ptr;

use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

use crate::base::raw::attached;

use super::lock::Lock;
use super::rlock::RLock;

/// A class that `with` locks and unlocks.
trait WithLock: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// Takes the lock if nobody has to be waited for.
    fn enter_now(&self) -> bool;
    /// Takes the lock, however long that takes; True.
    fn enter(slf: &Bound<'_, Self>) -> PyResult<bool>;
    fn leave(&self) -> PyResult<()>;
}

/// # Safety
/// `slf` is an instance of `L`; attached.
#[inline(always)]
unsafe fn enter<L: WithLock>(slf: *mut PyObject) -> *mut PyObject {
    // SAFETY: by the caller's promise; the caller of the method holds a reference for as long as the call lasts.
    let lock = unsafe { Borrowed::from_ptr(Python::assume_attached(), slf).cast_unchecked::<L>() };
    if lock.get().enter_now() {
        // SAFETY: attached; True is never freed.
        return unsafe { ffi::Py_NewRef(ffi::Py_True()) };
    }
    // SAFETY: by the caller's promise.
    unsafe { enter_waiting::<L>(slf) }
}

/// # Safety
/// As for [`enter`].
#[cold]
#[inline(never)]
unsafe fn enter_waiting<L: WithLock>(slf: *mut PyObject) -> *mut PyObject {
    // SAFETY: by the caller's promise; True is never freed.
    unsafe {
        attached(|py| {
            let lock = Borrowed::from_ptr(py, slf).cast_unchecked::<L>();
            match L::enter(&lock) {
                Ok(_) => ffi::Py_NewRef(ffi::Py_True()),
                Err(error) => fail(py, error),
            }
        })
    }
}

/// # Safety
/// As for [`enter`].
#[inline(always)]
unsafe fn leave<L: WithLock>(slf: *mut PyObject, count: Py_ssize_t) -> *mut PyObject {
    if cfg!(Py_3_15) && count != 3 {
        return refuse(count);
    }
    // SAFETY: by the caller's promise.
    let lock = unsafe { Borrowed::from_ptr(Python::assume_attached(), slf).cast_unchecked::<L>() };
    match lock.get().leave() {
        // SAFETY: attached; None is never freed.
        Ok(()) => unsafe { ffi::Py_NewRef(ffi::Py_None()) },
        // SAFETY: the thread is attached, by the caller's promise.
        Err(error) => unsafe { attached(|py| fail(py, error)) },
    }
}

#[cold]
fn fail(py: Python<'_>, error: PyErr) -> *mut PyObject {
    error.restore(py);
    ptr::null_mut()
}

#[cold]
fn refuse(count: Py_ssize_t) -> *mut PyObject {
    let message = format!("__exit__ expected 3 arguments, got {count}");
    // SAFETY: only an entry point refuses, in a thread that is attached.
    unsafe { attached(|py| fail(py, pyo3::exceptions::PyTypeError::new_err(message))) }
}

macro_rules! methods {
    ($class:ty, $enter:ident, $exit:ident) => {
        impl WithLock for $class {
            #[inline]
            fn enter_now(&self) -> bool {
                self.core().try_acquire()
            }

            fn enter(slf: &Bound<'_, Self>) -> PyResult<bool> {
                <$class>::enter(slf)
            }

            #[inline]
            fn leave(&self) -> PyResult<()> {
                self.release()
            }
        }

        /// `__enter__`.
        ///
        /// # Safety
        /// As the interpreter calls a method without arguments of the class.
        pub unsafe extern "C" fn $enter(slf: *mut PyObject, _unused: *mut PyObject) -> *mut PyObject {
            // SAFETY: by the contract of this function.
            unsafe { enter::<$class>(slf) }
        }

        /// `__exit__`.
        ///
        /// # Safety
        /// As the interpreter calls a method of the class with `count` arguments.
        pub unsafe extern "C" fn $exit(
            slf: *mut PyObject,
            _arguments: *mut *mut PyObject,
            count: Py_ssize_t,
        ) -> *mut PyObject {
            // SAFETY: by the contract of this function.
            unsafe { leave::<$class>(slf, count) }
        }
    };
}

methods!(Lock, lock_enter, lock_exit);
methods!(RLock, rlock_enter, rlock_exit);
