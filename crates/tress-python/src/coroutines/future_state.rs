//! The interpreter's own futures by the shortest way: whether one is done without a call, and methods without a look-up.
//!
//! The state is a number in the object, at a place that no interface tells. It is found by trying, once: it is where futures that
//! wait, that were cancelled and that have a result hold 0, 1 and 2. Should there be no such place, or several, the future is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::base::calls;

use super::creating::{self, NATIVE_FUTURE, NATIVE_TASK};

const PENDING: u32 = 0;
const CANCELLED: u32 = 1;
const FINISHED: u32 = 2;

/// The place in bytes from the beginning of the object; 0 if it is not known.
static PLACE: AtomicUsize = AtomicUsize::new(0);

static IS_SOUGHT: AtomicBool = AtomicBool::new(false);

/// Finds the place, the first time.
///
/// # Errors
/// What the making of a future raises.
pub fn find(py: Python<'_>) -> PyResult<()> {
    if IS_SOUGHT.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let class = py.import("_asyncio")?.getattr("Future")?;
    // A future asks its loop for nothing else.
    let options = PyDict::new(py);
    options.set_item("get_debug", py.get_type::<pyo3::types::PyBool>())?;
    let owner = py.import("types")?.getattr("SimpleNamespace")?.call((), Some(&options))?;
    let options = PyDict::new(py);
    options.set_item("loop", owner)?;
    let make = || class.call((), Some(&options));
    let (pending, cancelled, finished) = (make()?, make()?, make()?);
    cancelled.call_method0("cancel")?;
    finished.call_method1("set_result", (py.None(),))?;
    // SAFETY: what was called is a class; and an instance of it is as large as it says.
    let mut places = unsafe {
        let size = usize::try_from((*class.as_ptr().cast::<PyTypeObject>()).tp_basicsize).unwrap_or(0);
        (size_of::<PyObject>()..=size.saturating_sub(size_of::<u32>())).step_by(align_of::<u32>()).filter(
            |place| {
                let state = |future: &Bound<'_, PyAny>| at(future.as_ptr(), *place);
                (state(&pending), state(&cancelled), state(&finished)) == (PENDING, CANCELLED, FINISHED)
            },
        )
    };
    if let (Some(place), None) = (places.next(), places.next()) {
        PLACE.store(place, Ordering::Relaxed);
    }
    Ok(())
}

/// # Safety
/// The object is alive and goes on for four bytes from `place`, which is a multiple of four.
#[inline]
unsafe fn at(object: *mut PyObject, place: usize) -> u32 {
    // SAFETY: by the caller's promise; objects are aligned to more than that, and their memory is cleared when they are made.
    unsafe { object.byte_add(place).cast::<u32>().read() }
}

/// Whether a future or task is done that is an instance of the interpreter's own class, or of a subclass.
///
/// # Safety
/// It is such an instance.
#[inline]
pub unsafe fn has_ended(future: &Bound<'_, PyAny>) -> bool {
    let place = PLACE.load(Ordering::Relaxed);
    if place == 0 {
        return is_done(future).unwrap_or(true);
    }
    // SAFETY: a subclass begins with what its base has.
    unsafe { at(future.as_ptr(), place) != PENDING }
}

/// Whether an object is a future or task of the interpreter's own classes, and of none below them.
///
/// # Errors
/// What the look-up raises.
#[inline]
fn is_native(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = future.py();
    let class = future.get_type_ptr().cast::<PyObject>();
    Ok(class == NATIVE_FUTURE.get(py)?.as_ptr() || class == NATIVE_TASK.get(py)?.as_ptr())
}

/// The state of a future whose class has no methods of a program's; None where it has to be asked.
#[inline]
fn native_state(future: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
    let place = PLACE.load(Ordering::Relaxed);
    if place == 0 || !is_native(future)? {
        return Ok(None);
    }
    // SAFETY: an instance of the class of which the place was found, or of the one that begins with the same.
    Ok(Some(unsafe { at(future.as_ptr(), place) }))
}

/// `future.done()`.
///
/// # Errors
/// What that raises.
#[inline]
pub fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match native_state(future)? {
        Some(state) => Ok(state != PENDING),
        None => calls::method(future, intern!(future.py(), "done"), None)?.is_truthy(),
    }
}

/// `future.cancelled()`.
///
/// # Errors
/// What that raises.
#[inline]
pub fn is_cancelled(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match native_state(future)? {
        Some(state) => Ok(state == CANCELLED),
        None => calls::method(future, intern!(future.py(), "cancelled"), None)?.is_truthy(),
    }
}

/// Whether a future that is done has a result, and not an exception, which counts as asked for.
///
/// # Errors
/// What asking raises.
pub fn has_result(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    // Not `result`, which would use up the one error of a future that was cancelled.
    Ok(!is_cancelled(future)? && EXCEPTION.call(future, None)?.is_none())
}

pub static RESULT: FutureMethod = FutureMethod::new("result", true);
pub static EXCEPTION: FutureMethod = FutureMethod::new("exception", true);
pub static ADD_DONE_CALLBACK: FutureMethod = FutureMethod::new("add_done_callback", true);
pub static SET_RESULT: FutureMethod = FutureMethod::new("set_result", false);

/// A method of the interpreter's futures. Objects of other classes are asked for theirs each time.
pub struct FutureMethod {
    name: &'static str,
    /// Whether the interpreter's tasks have the same.
    is_of_tasks: bool,
    found: PyOnceLock<(Py<PyString>, Py<PyAny>)>,
}

impl FutureMethod {
    const fn new(name: &'static str, is_of_tasks: bool) -> Self {
        Self { name, is_of_tasks, found: PyOnceLock::new() }
    }

    fn is_of(&self, future: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = future.get_type_ptr().cast::<PyObject>();
        Ok(class == NATIVE_FUTURE.get(future.py())?.as_ptr() || self.is_of_tasks && is_native(future)?)
    }

    /// Its name, and that of the class in C.
    fn get(&self, py: Python<'_>) -> PyResult<&(Py<PyString>, Py<PyAny>)> {
        self.found.get_or_try_init(py, || {
            let method = NATIVE_FUTURE.get(py)?.getattr(self.name)?;
            Ok((PyString::intern(py, self.name).unbind(), method.unbind()))
        })
    }

    /// `future.name()` or `future.name(argument)`.
    ///
    /// # Errors
    /// What the call raises.
    pub fn call<'py>(
        &self,
        future: &Bound<'py, PyAny>,
        argument: Option<Borrowed<'_, 'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = future.py();
        let (name, method) = self.get(py)?;
        if !self.is_of(future)? {
            return calls::method(future, name.bind(py), argument);
        }
        let all = [future.as_ptr(), argument.map_or(std::ptr::null_mut(), |argument| argument.as_ptr())];
        // SAFETY: those that are passed are live objects, borrowed for as long as the call lasts.
        unsafe { calls::vectorcall(py, method.as_ptr(), &all[..1 + usize::from(argument.is_some())]) }
    }

    /// `future.name(callback, context=context)`.
    ///
    /// # Errors
    /// What the call raises.
    pub fn call_in_context<'py>(
        &self,
        future: &Bound<'py, PyAny>,
        callback: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        static CONTEXT: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
        let py = future.py();
        let (name, method) = self.get(py)?;
        let names = creating::names(py, &CONTEXT, &["context"])?;
        if self.is_of(future)? {
            let all = [future.as_ptr(), callback.as_ptr(), context.as_ptr()];
            return creating::call_named(method.bind(py), &all, &names).map(drop);
        }
        let method = future.getattr(name.bind(py))?;
        creating::call_named(&method, &[callback.as_ptr(), context.as_ptr()], &names).map(drop)
    }
}

pub static IS_BLOCKING: FutureFlag = FutureFlag::new(&NATIVE_FUTURE, "_asyncio_future_blocking");
pub static LOGS_DESTROY_PENDING: FutureFlag = FutureFlag::new(&NATIVE_TASK, "_log_destroy_pending");

/// An attribute of the interpreter's futures or tasks that is true or false. Objects of other classes are asked each time.
pub struct FutureFlag {
    class: &'static creating::Found,
    name: &'static str,
    found: PyOnceLock<(Py<PyString>, Py<PyAny>)>,
}

impl FutureFlag {
    const fn new(class: &'static creating::Found, name: &'static str) -> Self {
        Self { class, name, found: PyOnceLock::new() }
    }

    /// Sets it.
    ///
    /// # Errors
    /// What that raises.
    pub fn set(&self, future: &Bound<'_, PyAny>, value: bool) -> PyResult<()> {
        let py = future.py();
        let class = self.class.get(py)?;
        let (name, attribute) = self.found.get_or_try_init(py, || {
            Ok::<_, PyErr>((PyString::intern(py, self.name).unbind(), class.getattr(self.name)?.unbind()))
        })?;
        let value = pyo3::types::PyBool::new(py, value);
        // SAFETY:
        // - types are compared;
        // - an attribute that is in C (checked) begins with this layout, and its definition lives as long as its class;
        // - its setter is called with an instance of that very class, and what the definition says.
        let outcome = unsafe {
            let is_native = future.get_type_ptr().cast::<PyObject>() == class.as_ptr()
                && std::ptr::eq(ffi::Py_TYPE(attribute.as_ptr()), &raw const ffi::PyGetSetDescr_Type);
            let definition =
                is_native.then(|| &*(*attribute.as_ptr().cast::<ffi::PyGetSetDescrObject>()).d_getset);
            match definition.and_then(|definition| Some((definition.set?, definition.closure))) {
                Some((set, closure)) => set(future.as_ptr(), value.as_ptr(), closure),
                None => return future.setattr(name.bind(py), value),
            }
        };
        if outcome == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}
