//! What the interpreter's own Task gives the loop to call, and what tress's own parts give it.
//!
//! They are passed to `call_soon` by native code, which throws away the handle that it gets. So the loop makes none for them. The
//! steps and wake-ups of tasks are known by their names, the first time, and from then on by where they are.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyCFunctionObject, PyMethodDef, PyObject, PyTypeObject};
use pyo3::prelude::*;

use super::arguments::Arguments;
use super::following::Following;
use super::gather::Gathering;
use super::task_group::MemberEnded;

/// On Python 3.11 it is named without its module.
const STEP_NAMES: [&CStr; 2] = [c"_asyncio.TaskStepMethWrapper", c"TaskStepMethWrapper"];
const WAKE_UP_NAME: &CStr = c"task_wakeup";

static STEP: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static GATHERING: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static MEMBER_ENDED: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static FOLLOWING: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static WAKE_UP: AtomicPtr<PyMethodDef> = AtomicPtr::new(ptr::null_mut());

/// Has the callbacks of `gather`, groups and `run_in_executor` known; called once.
pub fn know_own(py: Python<'_>) {
    GATHERING.store(py.get_type::<Gathering>().as_type_ptr(), Ordering::Relaxed);
    FOLLOWING.store(py.get_type::<Following>().as_type_ptr(), Ordering::Relaxed);
    MEMBER_ENDED.store(py.get_type::<MemberEnded>().as_type_ptr(), Ordering::Relaxed);
}

/// Whether objects of the class are tress's own callbacks.
#[inline]
fn is_own(class: *mut PyTypeObject) -> bool {
    [&GATHERING, &MEMBER_ENDED, &FOLLOWING].iter().any(|known| class == known.load(Ordering::Relaxed))
}

/// Makes a call of one of tress's own callbacks, where that runs nothing of the program's: most are made only to count. Otherwise
/// nothing is done, and it is false.
///
/// # Errors
/// What the look-ups raise.
#[inline]
pub fn count_only<'py>(callback: Borrowed<'_, 'py, PyAny>, arguments: &Arguments) -> PyResult<bool> {
    let py = callback.py();
    let Some(future) = arguments.only(py) else { return Ok(false) };
    let class = callback.get_type_ptr();
    if !is_own(class) {
        return Ok(false);
    }
    if let Ok(gathering) = callback.cast::<Gathering>() {
        return gathering.get().note_end(&future);
    }
    match callback.cast::<MemberEnded>() {
        Ok(ended) => ended.get().note_end(&future),
        Err(_) => Ok(false),
    }
}

/// Whether nobody keeps the handle of a call of this.
///
/// # Safety
/// `callback` is a live object; attached.
#[inline]
pub unsafe fn needs_no_handle(callback: *mut PyObject) -> bool {
    // SAFETY: a live object has a type; a built-in function (checked) begins with the layout that is read.
    unsafe {
        let class = ffi::Py_TYPE(callback);
        if ptr::eq(class, &raw const ffi::PyCFunction_Type) {
            let definition = (*callback.cast::<PyCFunctionObject>()).m_ml;
            let known = WAKE_UP.load(Ordering::Relaxed);
            return definition == known || known.is_null() && is_wake_up(definition);
        }
        let known = STEP.load(Ordering::Relaxed);
        class == known || is_own(class) || known.is_null() && is_step(class)
    }
}

/// The task that a callback is a step or a wake-up of.
///
/// # Safety
/// `callback` is a live object; attached.
#[inline]
pub unsafe fn task_of(callback: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above. What a wake-up is a method of is its task; what a step refers to is its class, its task, and what it passes on.
    unsafe {
        let class = ffi::Py_TYPE(callback);
        if ptr::eq(class, &raw const ffi::PyCFunction_Type) {
            let function = callback.cast::<PyCFunctionObject>();
            return if (*function).m_ml == WAKE_UP.load(Ordering::Relaxed) {
                (*function).m_self
            } else {
                ptr::null_mut()
            };
        }
        if class != STEP.load(Ordering::Relaxed) {
            return ptr::null_mut();
        }
        let mut first: *mut PyObject = ptr::null_mut();
        if let Some(traverse) = (*class).tp_traverse {
            traverse(callback, take_first, (&raw mut first).cast());
        }
        first
    }
}

/// Takes the first object that is visited and is no class.
unsafe extern "C" fn take_first(visited: *mut PyObject, first: *mut c_void) -> c_int {
    // SAFETY: a live object, and the place that `task_of` has given.
    unsafe {
        if ffi::PyType_Check(visited) != 0 {
            return 0;
        }
        *first.cast::<*mut PyObject>() = visited;
    }
    1
}

/// # Safety
/// `definition` is one of a built-in function's.
#[cold]
unsafe fn is_wake_up(definition: *mut PyMethodDef) -> bool {
    // SAFETY: a definition has a name, which is a C string, and lives as long as its function.
    let is_so = unsafe { CStr::from_ptr((*definition).ml_name) } == WAKE_UP_NAME;
    if is_so {
        WAKE_UP.store(definition, Ordering::Relaxed);
    }
    is_so
}

/// # Safety
/// `class` is a live type.
#[cold]
unsafe fn is_step(class: *mut PyTypeObject) -> bool {
    // SAFETY: a type has a name, which is a C string.
    let is_so = STEP_NAMES.contains(&unsafe { CStr::from_ptr((*class).tp_name) });
    if is_so {
        // Kept for ever, so that its address stays its own.
        // SAFETY: a live object; attached.
        unsafe { ffi::Py_INCREF(class.cast()) };
        STEP.store(class, Ordering::Relaxed);
    }
    is_so
}
