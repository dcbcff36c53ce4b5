//! Calls into Python that may run Python code, in a thread that may outlive the interpreter.
//!
//! From 3.11 to 3.13.7 a daemon thread that runs Python code while the interpreter finalizes is ended by `pthread_exit` where it
//! next asks for the interpreter lock. That unwinds its stack, and ends the process when it comes to a frame of PyO3's, which
//! catches panics and nothing else. Here the unwinding meets a guard first, and goes no further: the thread sleeps until the
//! process is gone, as it does by itself from 3.13.8 on, and in PyO3's own ways back into the interpreter.

use std::ffi::c_int;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// A function of the interpreter's through which the stack may be unwound.
///
/// PyO3 declares these functions as ones that never unwind, and a second declaration of the same symbol that says otherwise
/// counts only as long as the optimiser does not see both. So they are called through pointers that it cannot see through.
macro_rules! unwinding {
    ($function:ident($($argument:ty),*) -> $made:ty) => {{
        let known: unsafe extern "C" fn($($argument),*) -> $made = ffi::$function;
        // SAFETY: the two types differ in what the compiler assumes of the callee alone, and here it assumes less.
        let unwinding: unsafe extern "C-unwind" fn($($argument),*) -> $made = unsafe { std::mem::transmute(known) };
        std::hint::black_box(unwinding)
    }};
}

pub(crate) use unwinding;

/// Ends an unwinding by sleeping for ever. Only the end of a thread unwinds past it: a panic cannot cross Python's frames.
struct Unwound;

impl Drop for Unwound {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Runs `call`, through which the stack may be unwound.
#[inline(always)]
fn guarded<T>(call: impl FnOnce() -> T) -> T {
    let guard = Unwound;
    let outcome = call();
    std::mem::forget(guard);
    outcome
}

/// `left < right`.
///
/// # Errors
/// What the comparison raises.
#[inline]
pub fn less(left: Borrowed<'_, '_, PyAny>, right: Borrowed<'_, '_, PyAny>) -> PyResult<bool> {
    let compare = unwinding!(PyObject_RichCompareBool(*mut PyObject, *mut PyObject, c_int) -> c_int);
    // SAFETY: both are live objects, borrowed for as long as the call lasts; a token for the interpreter comes with them.
    match guarded(|| unsafe { compare(left.as_ptr(), right.as_ptr(), ffi::Py_LT) }) {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(PyErr::fetch(left.py())),
    }
}

/// `callable(*arguments)`.
///
/// # Errors
/// What the call raises.
pub fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let no_names = std::ptr::null_mut();
    let call = unwinding!(PyObject_Call(*mut PyObject, *mut PyObject, *mut PyObject) -> *mut PyObject);
    // SAFETY: both are live objects, borrowed for as long as the call lasts; the result is a new reference, or null with an
    // exception set.
    unsafe {
        let outcome = guarded(|| call(callable.as_ptr(), arguments.as_ptr(), no_names));
        Bound::from_owned_ptr_or_err(callable.py(), outcome)
    }
}

/// What a coroutine does when it is resumed.
pub enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    /// It is over.
    Returned(Bound<'py, PyAny>),
}

/// `coroutine.send(value)`.
///
/// # Errors
/// What the coroutine raises.
pub fn send<'py>(coroutine: &Bound<'py, PyAny>, value: Borrowed<'_, 'py, PyAny>) -> PyResult<Sent<'py>> {
    let py = coroutine.py();
    let send = unwinding!(PyIter_Send(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> ffi::PySendResult);
    let mut result = std::ptr::null_mut();
    // SAFETY: both are live objects, borrowed for as long as the call lasts; but for an error, which is set then, the result is a new
    // reference.
    unsafe {
        match guarded(|| send(coroutine.as_ptr(), value.as_ptr(), &raw mut result)) {
            ffi::PySendResult::PYGEN_NEXT => Ok(Sent::Yielded(Bound::from_owned_ptr(py, result))),
            ffi::PySendResult::PYGEN_RETURN => Ok(Sent::Returned(Bound::from_owned_ptr(py, result))),
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}

/// `object.name()` or `object.name(argument)`, without making a tuple or a bound method.
///
/// # Errors
/// What the call raises.
pub fn method<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    argument: Option<Borrowed<'_, 'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let all = [object.as_ptr(), argument.map_or(std::ptr::null_mut(), |argument| argument.as_ptr())];
    // SAFETY: those that are passed are live objects, borrowed for as long as the call lasts.
    unsafe { method_of(object, name, &all[..1 + usize::from(argument.is_some())]) }
}

/// `object.name(first, second)`.
///
/// # Errors
/// What the call raises.
pub fn method_with_two<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: live objects, borrowed for as long as the call lasts.
    unsafe { method_of(object, name, &[object.as_ptr(), first.as_ptr(), second.as_ptr()]) }
}

/// # Safety
/// All pointers are to live objects, which stay alive until the call returns; the first is to `object`.
unsafe fn method_of<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    all: &[*mut PyObject],
) -> PyResult<Bound<'py, PyAny>> {
    let call = unwinding!(
        PyObject_VectorcallMethod(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject
    );
    // SAFETY: by the caller's promise; the result is a new reference, or null with an exception set.
    unsafe {
        let outcome = guarded(|| call(name.as_ptr(), all.as_ptr(), all.len(), std::ptr::null_mut()));
        Bound::from_owned_ptr_or_err(object.py(), outcome)
    }
}

/// `callable(*arguments)`, of any callable, for pointers that the caller has at hand.
///
/// # Errors
/// What the call raises.
///
/// # Safety
/// All pointers are to live objects, which stay alive until the call returns.
#[inline]
pub unsafe fn vectorcall<'py>(
    py: Python<'py>,
    callable: *mut PyObject,
    arguments: &[*mut PyObject],
) -> PyResult<Bound<'py, PyAny>> {
    let call = unwinding!(
        PyObject_Vectorcall(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject
    );
    // SAFETY: by the caller's promise; the result is a new reference, or null with an exception set.
    unsafe {
        let made = guarded(|| call(callable, arguments.as_ptr(), arguments.len(), std::ptr::null_mut()));
        Bound::from_owned_ptr_or_err(py, made)
    }
}
