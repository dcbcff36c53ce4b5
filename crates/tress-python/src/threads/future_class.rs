//! Making futures fast.
//!
//! A future is made for every call that is submitted, and by PyO3's ordinary way (collect the arguments, `__new__`,
//! `__init__`) that costs more than all the rest of a submission. Here the memory is asked for directly and the Rust value put
//! where PyO3 has it. Three things make that right:
//! - the place is not guessed: it is measured, once, on an instance that PyO3 itself made;
//! - the value is all there is to initialise: the class is frozen (no borrow flag), `Send` (no thread check), and has no
//!   `dict` or `weakref` of PyO3's, so that everything beside it has size 0;
//! - everything after the making (methods, deallocation, collection) is PyO3's own.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::future::Future;

/// Where in an instance the Rust value is; 0 until it was measured.
static OFFSET: AtomicUsize = AtomicUsize::new(0);
/// The public class: a Python class, kept for ever.
static CLASS: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// Measures, and gives the native class the short way to make instances. Called once, before the class has subclasses.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    let made = Bound::new(py, Future::pending())?;
    let offset = ptr::from_ref(made.get()) as usize - made.as_ptr() as usize;
    let class = py.get_type::<Future>();
    let class = class.as_type_ptr();
    // SAFETY: a live type object.
    let size = unsafe { (*class).tp_basicsize } as usize;
    if offset + size_of::<Future>() != size {
        return Err(PyRuntimeError::new_err("tress: a Future is not laid out as expected"));
    }
    OFFSET.store(offset, Ordering::Relaxed);
    // SAFETY: a live heap type that nobody else has seen: the module is being made. The function has the slot's contract.
    unsafe { (*class).tp_new = Some(new) };
    Ok(())
}

/// A new instance of `class`.
///
/// # Safety
/// The thread is attached, and `class` is the native class or a subclass.
unsafe fn allocate(class: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: every type that has been made ready has an allocator, which takes the type itself.
    let object = unsafe { (*class).tp_alloc.map_or(ptr::null_mut(), |allocate| allocate(class, 0)) };
    if !object.is_null() {
        // SAFETY: see the module's documentation. The memory is new, and a subclass only adds to the layout.
        unsafe { object.byte_add(OFFSET.load(Ordering::Relaxed)).cast::<Future>().write(Future::pending()) };
    }
    object
}

/// `tp_new`: arguments are for an `__init__` of a subclass.
unsafe extern "C" fn new(
    class: *mut PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the slot's contract.
    unsafe { allocate(class) }
}

/// `tp_vectorcall` of the public class: `Future()`.
unsafe extern "C" fn call(
    class: *mut PyObject,
    _args: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    let positional = unsafe { ffi::PyVectorcall_NARGS(count) };
    if positional != 0 || !names.is_null() {
        // SAFETY: the thread is attached; the message is a C string.
        unsafe { ffi::PyErr_SetString(ffi::PyExc_TypeError, c"Future() takes no arguments".as_ptr()) };
        return ptr::null_mut();
    }
    // SAFETY: by the protocol this is the class that the function was put in.
    unsafe { allocate(class.cast()) }
}

/// Makes `cls`, a subclass of the native one, the class of the futures that executors return.
#[pyfunction]
pub fn set_future_class(cls: &Bound<'_, PyType>) -> PyResult<()> {
    if !cls.is_subclass_of::<Future>()? {
        return Err(PyTypeError::new_err(format!(
            "cls must be a subclass of tress._native.Future, not {cls}"
        )));
    }
    let class = cls.clone().unbind().into_ptr().cast::<PyTypeObject>();
    // SAFETY: a live heap type; the function has the protocol's contract. Subclasses do not inherit it.
    unsafe { (*class).tp_vectorcall = Some(call) };
    CLASS.store(class, Ordering::Relaxed);
    Ok(())
}

/// Whether an object is of the public class, and of no subclass.
pub fn is_own(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a comparison of types.
    unsafe { ptr::eq(ffi::Py_TYPE(object.as_ptr()), CLASS.load(Ordering::Relaxed)) }
}

/// A new future of the public class.
#[inline]
pub fn new_future(py: Python<'_>) -> PyResult<Bound<'_, Future>> {
    let class = CLASS.load(Ordering::Relaxed);
    if class.is_null() {
        return Err(PyRuntimeError::new_err("tress.concurrent.futures has not been imported"));
    }
    // SAFETY: the thread is attached (`py`); `class` is a subclass of the native one, which is checked where it is stored.
    unsafe {
        Bound::from_owned_ptr_or_err(py, allocate(class)).map(|future| future.cast_into_unchecked::<Future>())
    }
}
