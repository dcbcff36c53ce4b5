//! Objects of classes that are made and dropped all the time: what is dropped is kept, and made anew of.
//!
//! In the place of PyO3's list of the same name, which locks a mutex and looks up the class on each of its sides. This one has the
//! class's destructor to itself as well, and knows where in an object its value is.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use super::attached::Attached;
use super::raw::attached;

/// Its objects of no use, at most so many.
pub struct FreeList {
    most: usize,
    /// Of the objects that are kept; null until `install`.
    class: AtomicPtr<PyTypeObject>,
    /// The destructor that PyO3 made.
    behind: OnceLock<ffi::destructor>,
    /// How far the value is from the beginning of an object; 0 until there has been one.
    value: AtomicUsize,
    objects: Attached<Vec<Kept>>,
}

/// The memory of an object whose value has been dropped.
struct Kept(*mut PyObject);

// SAFETY: nobody else has it, and it is touched only under the interpreter lock.
unsafe impl Send for Kept {}

/// A class that keeps its objects of no use.
///
/// # Safety
/// - Its `__traverse__` visits whatever it refers to: its objects are known to the garbage collector.
/// - It has no `__dict__`.
pub unsafe trait Recycled: PyClass<Frozen = True> + Sync + Into<PyClassInitializer<Self>> {
    fn list() -> &'static FreeList;
}

impl FreeList {
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            class: AtomicPtr::new(ptr::null_mut()),
            behind: OnceLock::new(),
            value: AtomicUsize::new(0),
            objects: Attached::new(Vec::new()),
        }
    }
}

/// Has the objects of a class kept; called once.
///
/// # Errors
/// RuntimeError when the class has no destructor, or no garbage collection.
pub fn install<T: Recycled>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<T>().as_type_ptr();
    // SAFETY: a live class, which is not in use yet: this is called while the module is made.
    unsafe {
        let (Some(behind), true) = ((*class).tp_dealloc, ffi::PyType_IS_GC(class) != 0) else {
            return Err(PyRuntimeError::new_err(
                "a class whose objects are kept has a destructor and a __traverse__",
            ));
        };
        let _ = T::list().behind.set(behind);
        T::list().class.store(class, Ordering::Relaxed);
        (*class).tp_dealloc = Some(drop_object::<T>);
    }
    Ok(())
}

/// A new object.
///
/// # Errors
/// MemoryError.
#[inline]
pub fn object<T: Recycled>(py: Python<'_>, value: T) -> PyResult<Bound<'_, T>> {
    let list = T::list();
    let Some(Kept(kept)) = list.objects.with(py, Vec::pop) else { return fresh(py, value) };
    // SAFETY:
    // - `kept` has the size of the class's objects, and nobody refers to it;
    // - the value that was there has been dropped, and this one is written before anybody sees the object;
    // - it has no weak references (they were cleared) and no dictionary (by `Recycled`), and a frozen class counts no borrowers: so that
    //   is all there is in it.
    // - The collector may run from here on, and finds it whole.
    unsafe {
        ffi::PyObject_Init(kept, list.class.load(Ordering::Relaxed));
        kept.byte_add(list.value.load(Ordering::Relaxed)).cast::<T>().write(value);
        ffi::PyObject_GC_Track(kept.cast());
        Ok(Bound::from_owned_ptr(py, kept).cast_into_unchecked())
    }
}

#[cold]
fn fresh<T: Recycled>(py: Python<'_>, value: T) -> PyResult<Bound<'_, T>> {
    let made = Bound::new(py, value)?;
    let distance = ptr::from_ref(made.get()).addr() - made.as_ptr().addr();
    T::list().value.store(distance, Ordering::Relaxed);
    Ok(made)
}

/// The destructor. It takes objects that are hidden from the collector as well.
///
/// # Safety
/// As the interpreter calls it: nobody refers to the object, and this thread is attached.
unsafe extern "C" fn drop_object<T: Recycled>(object: *mut PyObject) {
    let list = T::list();
    let class = list.class.load(Ordering::Relaxed);
    let distance = list.value.load(Ordering::Relaxed);
    // SAFETY: by the protocol.
    unsafe {
        if !ptr::eq(ffi::Py_TYPE(object), class) || distance == 0 {
            // Of a class that is made of this one, or made elsewhere. It has been set before this function could be called.
            if let Some(behind) = list.behind.get() {
                behind(object);
            }
            return;
        }
        attached(|py| {
            ffi::PyObject_GC_UnTrack(object.cast::<c_void>());
            if (*class).tp_weaklistoffset > 0 {
                let weak = object.byte_offset((*class).tp_weaklistoffset).cast::<*mut PyObject>();
                if !(*weak).is_null() {
                    ffi::PyObject_ClearWeakRefs(object);
                }
            }
            ptr::drop_in_place(object.byte_add(distance).cast::<T>());
            let is_kept = list.objects.with(py, |objects| {
                let has_room = objects.len() < list.most;
                if has_room {
                    objects.push(Kept(object));
                }
                has_room
            });
            if !is_kept {
                ffi::PyObject_GC_Del(object.cast());
            }
            // Whose reference the object has held, and takes again when it is made anew.
            ffi::Py_DECREF(class.cast());
        });
    }
}
