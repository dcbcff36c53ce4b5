//! Whether a future of the interpreter's is done, without a call.
//!
//! The state is a number in the object, at a place that no interface tells. It is found by trying, once: it is where futures that
//! wait, that were cancelled and that have a result hold 0, 1 and 2. Should there be no such place, or several, the future is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::ffi::{PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::waiting;

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
pub unsafe fn is_done(future: &Bound<'_, PyAny>) -> bool {
    let place = PLACE.load(Ordering::Relaxed);
    if place == 0 {
        return waiting::is_done(future).unwrap_or(true);
    }
    // SAFETY: a subclass begins with what its base has.
    unsafe { at(future.as_ptr(), place) != PENDING }
}
