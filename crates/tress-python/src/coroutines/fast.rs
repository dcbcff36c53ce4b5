//! The common calls of the loop's hottest methods, ahead of the argument parser: see `base::raw`.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::base::freelist;
use crate::base::raw::{Behind, attached};

use super::arguments::Arguments;
use super::event_loop::EventLoop;
use super::handle::Handle;
use super::lazy::{self, LazyCoroutine};
use super::queue::LoopQueue;
use super::sleeping;
use super::sockets::SocketCall;
use super::steps;
use super::synchronization::LoopLock;

static CALL_SOON: Behind = Behind::new();
static CALL_SOON_THREADSAFE: Behind = Behind::new();
static CALL_LATER: Behind = Behind::new();
static CALL_AT: Behind = Behind::new();
static SLEEP: Behind = Behind::new();
static LEAVE_LOCK: Behind = Behind::new();
static PUT: Behind = Behind::new();

/// Puts the entry points in front of the methods, and of the functions of `module`.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    steps::know_own(py);
    lazy::install(py);
    freelist::install::<Handle>(py)?;
    freelist::install::<LazyCoroutine>(py)?;
    freelist::install::<SocketCall>(py)?;
    let class = py.get_type::<EventLoop>();
    let (lock, queue) = (py.get_type::<LoopLock>(), py.get_type::<LoopQueue>());
    // SAFETY: each function checks its arguments, serves `self` of this class, and passes on the rest.
    unsafe {
        CALL_SOON.put(&class, "call_soon", call_soon)?;
        CALL_SOON_THREADSAFE.put(&class, "call_soon_threadsafe", call_soon_threadsafe)?;
        CALL_LATER.put(&class, "call_later", call_later)?;
        CALL_AT.put(&class, "call_at", call_at)?;
        LEAVE_LOCK.put(&lock, "__aexit__", leave_lock)?;
        PUT.put(&queue, "_begin_to_put", put)?;
        SLEEP.put_function(module, "sleep", sleep)
    }
}

/// The arguments of a call that begins with `before` and a callback: those after it, and the context.
struct Parsed<'py> {
    arguments: Arguments,
    context: Option<Bound<'py, PyAny>>,
}

/// The names of the last call with a context. The interpreter's tasks always give the same ones.
static CONTEXT_ALONE: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// Whether these names, a tuple of strings, are `context` and nothing else.
///
/// # Safety
/// `names` is a live tuple.
#[cold]
unsafe fn is_context_alone(py: Python<'_>, names: *mut PyObject) -> bool {
    // SAFETY: a live tuple, by the caller's promise; its items live as long as it does.
    unsafe {
        if ffi::PyTuple_Size(names) != 1 {
            return false;
        }
        let name = ffi::PyTuple_GetItem(names, 0);
        // Not by identity alone: in the interpreter's own C code it is a string of its own.
        if ffi::PyUnicode_CompareWithASCIIString(name, c"context".as_ptr()) != 0 {
            return false;
        }
        // Kept, so that its address stays its own.
        ffi::Py_INCREF(names);
        let replaced = CONTEXT_ALONE.swap(names, Ordering::Relaxed);
        drop(Bound::from_owned_ptr_or_opt(py, replaced));
        true
    }
}

/// None where this is not for the entry point.
///
/// # Safety
/// As for an entry point; attached.
#[inline(always)]
unsafe fn parse<'py>(
    py: Python<'py>,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    before: usize,
) -> Option<Parsed<'py>> {
    let count = usize::try_from(count).ok()?;
    if count <= before {
        return None;
    }
    // SAFETY: by the caller's promise there are `count` arguments, then one for each of the names, which are a tuple of strings.
    unsafe {
        let context = if names.is_null() {
            None
        } else {
            if names != CONTEXT_ALONE.load(Ordering::Relaxed) && !is_context_alone(py, names) {
                return None;
            }
            Some(Bound::from_borrowed_ptr(py, *arguments.add(count)))
        };
        let after = before + 1;
        let arguments = match count - after {
            0 => Arguments::NONE,
            1 => Arguments::one(Bound::from_borrowed_ptr(py, *arguments.add(after)).unbind()),
            _ => {
                let all = (after..count).map(|at| Bound::from_borrowed_ptr(py, *arguments.add(at)));
                Arguments::many(PyTuple::new(py, all.collect::<Vec<_>>()).ok()?.unbind())
            }
        };
        Some(Parsed { arguments, context })
    }
}

/// The result of a method, as the interpreter wants it.
fn returned<'py>(py: Python<'py>, made: PyResult<Option<Bound<'py, PyAny>>>) -> *mut PyObject {
    match made {
        Ok(Some(made)) => made.into_ptr(),
        Ok(None) => py.None().into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// `call_soon`, and the form for all threads.
///
/// # Safety
/// As for an entry point.
#[inline(always)]
unsafe fn soon(
    behind: &Behind,
    from_any_thread: bool,
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls with an instance of the class, and with arguments as announced, in a thread that is attached.
    unsafe {
        attached(|py| {
            let Some(parsed) = parse(py, arguments, count, names, 0) else {
                return behind.call(slf, arguments, count, names);
            };
            let this = Borrowed::from_ptr(py, slf).cast_unchecked::<EventLoop>();
            let callback = Borrowed::from_ptr(py, *arguments);
            let Parsed { arguments, context } = parsed;
            let made =
                EventLoop::call_soon_with(&this, &callback, arguments, context.as_ref(), from_any_thread);
            returned(py, made)
        })
    }
}

unsafe extern "C" fn call_soon(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe { soon(&CALL_SOON, false, slf, arguments, count, names) }
}

unsafe extern "C" fn call_soon_threadsafe(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe { soon(&CALL_SOON_THREADSAFE, true, slf, arguments, count, names) }
}

/// `call_later`, `call_at`: `due` makes the time of the first argument.
///
/// # Safety
/// As for an entry point.
#[inline(always)]
unsafe fn at(
    behind: &Behind,
    method: &str,
    due: impl FnOnce(&Bound<'_, EventLoop>, &Bound<'_, PyAny>) -> PyResult<f64>,
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls with an instance of the class, and with arguments as announced, in a thread that is attached.
    unsafe {
        attached(|py| {
            let Some(parsed) = parse(py, arguments, count, names, 1) else {
                return behind.call(slf, arguments, count, names);
            };
            let this = Borrowed::from_ptr(py, slf).cast_unchecked::<EventLoop>();
            let first = Borrowed::from_ptr(py, *arguments);
            let callback = Borrowed::from_ptr(py, *arguments.add(1));
            let Parsed { arguments, context } = parsed;
            let made = due(&this, &first).and_then(|when| {
                EventLoop::call_at_with(&this, method, when, &callback, arguments, context.as_ref()).map(Some)
            });
            returned(py, made)
        })
    }
}

unsafe extern "C" fn call_later(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe { at(&CALL_LATER, "call_later", EventLoop::due, slf, arguments, count, names) }
}

unsafe extern "C" fn call_at(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe { at(&CALL_AT, "call_at", |_, when| EventLoop::when(when), slf, arguments, count, names) }
}

unsafe extern "C" fn sleep(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe {
        attached(|py| {
            if count != 2 || !names.is_null() {
                return SLEEP.call(slf, arguments, count, names);
            }
            let (delay, result) =
                (Borrowed::from_ptr(py, *arguments), Borrowed::from_ptr(py, *arguments.add(1)));
            returned(py, sleeping::sleep(&delay, &result).map(|made| Some(made.into_any())))
        })
    }
}

unsafe extern "C" fn leave_lock(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe {
        attached(|py| {
            if !names.is_null() {
                return LEAVE_LOCK.call(slf, arguments, count, names);
            }
            let this = Borrowed::from_ptr(py, slf).cast_unchecked::<LoopLock>();
            returned(py, LoopLock::leave(&this).map(Some))
        })
    }
}

unsafe extern "C" fn put(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by the protocol.
    unsafe {
        attached(|py| {
            if count != 1 || !names.is_null() {
                return PUT.call(slf, arguments, count, names);
            }
            let this = Borrowed::from_ptr(py, slf).cast_unchecked::<LoopQueue>();
            let item = Borrowed::from_ptr(py, *arguments);
            returned(py, LoopQueue::_begin_to_put(&this, &item).map(Some))
        })
    }
}
