//! Methods that do without PyO3's calling conventions, as those would cost more than the methods themselves.
//!
//! Each is a plain C function with the signature that its flags announce, added to its class as the interpreter itself adds
//! methods: by a method descriptor, which checks that `self` is an instance.

use std::ffi::CStr;

use pyo3::ffi::{self, PyMethodDef, PyMethodDefPointer, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::executor::WorkQueue;
use super::lock::Lock;
use super::rlock::RLock;
use super::{with_lock, worker};

/// A definition that lives as long as the process, as descriptors want it.
pub struct Definition(pub PyMethodDef);

// SAFETY: it is never written to; its pointers are to constants and functions.
unsafe impl Sync for Definition {}

type Unary = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
type Fast = unsafe extern "C" fn(*mut PyObject, *mut *mut PyObject, ffi::Py_ssize_t) -> *mut PyObject;
type UnwindingUnary = unsafe extern "C-unwind" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

static WORK: Definition = Definition(PyMethodDef {
    ml_name: c"_work".as_ptr(),
    ml_meth: PyMethodDefPointer {
        // SAFETY: the two types differ in what the compiler assumes of the caller alone, and the caller is C.
        PyCFunction: unsafe { std::mem::transmute::<UnwindingUnary, Unary>(worker::work) },
    },
    ml_flags: ffi::METH_O,
    ml_doc: c"Works in this thread until the queue is closed and empty.".as_ptr(),
});

const fn enter(function: Unary) -> Definition {
    Definition(PyMethodDef {
        ml_name: c"__enter__".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: function },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"__enter__($self, /)\n--\n\nAcquires the lock, waiting as long as it takes.".as_ptr(),
    })
}

const fn exit(function: Fast) -> Definition {
    Definition(PyMethodDef {
        ml_name: c"__exit__".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunctionFast: function },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: if cfg!(Py_3_15) {
            c"__exit__($self, exc_type, exc_value, exc_tb, /)\n--\n\nReleases the lock.".as_ptr()
        } else {
            c"__exit__($self, /, *exc_info)\n--\n\nReleases the lock.".as_ptr()
        },
    })
}

static LOCK_ENTER: Definition = enter(with_lock::lock_enter);
static LOCK_EXIT: Definition = exit(with_lock::lock_exit);
static RLOCK_ENTER: Definition = enter(with_lock::rlock_enter);
static RLOCK_EXIT: Definition = exit(with_lock::rlock_exit);

/// Adds a method to `class`, in the place of one of that name.
pub fn add_to(class: &Bound<'_, PyType>, definition: &'static Definition) -> PyResult<()> {
    let definition = (&raw const definition.0).cast_mut();
    // SAFETY: the definition is static, and nothing writes to it; its name is a C string; the class is live.
    let (name, descriptor) = unsafe {
        let name = CStr::from_ptr((*definition).ml_name);
        let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
        (name, Bound::from_owned_ptr_or_err(class.py(), descriptor)?)
    };
    class.setattr(name, descriptor)
}

/// Adds them to their classes.
pub fn add(py: Python<'_>) -> PyResult<()> {
    add_to(&py.get_type::<WorkQueue>(), &WORK)?;
    let (lock, rlock) = (py.get_type::<Lock>(), py.get_type::<RLock>());
    add_to(&lock, &LOCK_ENTER)?;
    add_to(&lock, &LOCK_EXIT)?;
    add_to(&rlock, &RLOCK_ENTER)?;
    add_to(&rlock, &RLOCK_EXIT)
}
