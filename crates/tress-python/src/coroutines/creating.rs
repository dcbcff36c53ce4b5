//! Making futures and tasks: the interpreter's own, by the shortest way.

use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::event_loop::EventLoop;

/// An attribute of a module that is looked up once.
pub struct Found {
    module: &'static str,
    name: &'static str,
    object: PyOnceLock<Py<PyAny>>,
}

impl Found {
    pub const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, object: PyOnceLock::new() }
    }

    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Borrowed<'_, 'py, PyAny>> {
        let found = self
            .object
            .get_or_try_init(py, || py.import(self.module)?.getattr(self.name).map(Bound::unbind))?;
        Ok(found.bind_borrowed(py))
    }
}

/// An attribute of a module that is looked up each time, as in the standard library: there are two of these, in C and in Python, and a
/// program may choose.
pub struct Chosen {
    module: &'static str,
    name: &'static str,
    place: PyOnceLock<(Py<PyDict>, Py<PyString>)>,
}

impl Chosen {
    pub const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, place: PyOnceLock::new() }
    }

    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (names, name) = self.place.get_or_try_init(py, || {
            let names = py.import(self.module)?.dict().unbind();
            Ok::<_, PyErr>((names, PyString::intern(py, self.name).unbind()))
        })?;
        names.bind(py).get_item(name.bind(py))?.ok_or_else(|| {
            let message = format!("module '{}' has no attribute '{}'", self.module, self.name);
            PyAttributeError::new_err(message)
        })
    }
}

static FUTURE: Chosen = Chosen::new("asyncio.futures", "Future");
static TASK: Chosen = Chosen::new("asyncio.tasks", "Task");
pub static TASKS: Found = Found::new("asyncio", "tasks");
pub static NATIVE_FUTURE: Found = Found::new("_asyncio", "Future");
pub static NATIVE_TASK: Found = Found::new("_asyncio", "Task");
static RUNNING_LOOP: Found = Found::new("asyncio.events", "_get_running_loop");
static CREATE_TASK: Found = Found::new("tress.asyncio._standard", "create_task");
static LOOP_CLASS: Found = Found::new("tress.asyncio._event_loop", "EventLoop");

/// `callable(*positional, **named)`; the values of the names come last.
///
/// # Errors
/// What the call raises.
pub fn call_named<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &[*mut PyObject],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let positional = arguments.len() - names.len();
    // SAFETY: all pointers are to live objects, which the callers hold; the last ones belong to the names, which are strings; the
    // result is a new reference, or null with an exception set. Neither a future nor a task is made by Python code.
    unsafe {
        let made =
            ffi::PyObject_Vectorcall(callable.as_ptr(), arguments.as_ptr(), positional, names.as_ptr());
        Bound::from_owned_ptr_or_err(callable.py(), made)
    }
}

/// The names of the last arguments of a call, kept in `place`.
///
/// # Errors
/// MemoryError.
pub fn names<'py>(
    py: Python<'py>,
    place: &'static PyOnceLock<Py<PyTuple>>,
    all: &[&str],
) -> PyResult<Bound<'py, PyTuple>> {
    let made = place.get_or_try_init(py, || {
        let all: Vec<_> = all.iter().map(|name| PyString::intern(py, name)).collect();
        PyTuple::new(py, all).map(Bound::unbind)
    })?;
    Ok(made.bind(py).clone())
}

static LOOP: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
static LOOP_AND_MORE: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();

/// Whether the class is the one in C, which is made by its `tp_new` and `tp_init` alone.
fn is_native(class: &Bound<'_, PyAny>, native: &Found) -> PyResult<bool> {
    Ok(class.is(native.get(class.py())?))
}

/// `class(*positional, loop=owner)`, where the class is one of the interpreter's own in C: what a call of it does, but for the dictionary of
/// the name, which the loop keeps.
///
/// # Errors
/// What the making raises.
fn make_native<'py>(
    class: &Bound<'py, PyAny>,
    positional: &Bound<'py, PyTuple>,
    owner: &Bound<'py, EventLoop>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let named = EventLoop::as_named_argument(owner)?;
    let (positional, named) = (positional.as_ptr(), named.as_ptr());
    // SAFETY:
    // - the class is a type (checked by identity: a native one), with both slots; the arguments are a tuple and a dictionary;
    // - as in a call, what `tp_new` makes is initialised before anybody sees it; neither slot changes the arguments;
    // - `tp_new` returns a new reference, or null with an exception set; `tp_init` returns -1 with one set.
    unsafe {
        let class = class.as_ptr().cast::<ffi::PyTypeObject>();
        let (Some(new), Some(init)) = ((*class).tp_new, (*class).tp_init) else {
            return Err(PyTypeError::new_err("a class of asyncio's cannot be called"));
        };
        let made = Bound::from_owned_ptr_or_err(py, new(class, positional, named))?;
        if init(made.as_ptr(), positional, named) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(made)
    }
}

/// A future of that loop.
///
/// # Errors
/// What the making raises.
pub fn future<'py>(owner: &Bound<'py, EventLoop>) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let class = FUTURE.get(py)?;
    if is_native(&class, &NATIVE_FUTURE)? {
        return make_native(&class, &PyTuple::empty(py), owner);
    }
    call_named(&class, &[owner.as_ptr()], &names(py, &LOOP, &["loop"])?)
}

/// A task of that loop, where that is all there is to do; None in debug mode, with a task factory, or with other arguments than a
/// name and a context.
///
/// # Errors
/// RuntimeError when the loop is closed; what the making raises.
pub fn task<'py>(
    owner: &Bound<'py, EventLoop>,
    coro: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, this) = (owner.py(), owner.get());
    this.check_open()?;
    if this.is_debugging() || this.has_task_factory(py) {
        return Ok(None);
    }
    let class = TASK.get(py)?;
    let Some(options) = options.filter(|options| !options.is_empty()) else {
        if is_native(&class, &NATIVE_TASK)? {
            return make_native(&class, &PyTuple::new(py, [coro])?, owner).map(Some);
        }
        return call_named(&class, &[coro.as_ptr(), owner.as_ptr()], &names(py, &LOOP, &["loop"])?).map(Some);
    };
    let name = options.get_item(intern!(py, "name"))?;
    let context = options.get_item(intern!(py, "context"))?;
    if usize::from(name.is_some()) + usize::from(context.is_some()) != options.len() {
        return Ok(None);
    }
    let none = py.None().into_bound(py);
    let (name, context) = (name.unwrap_or_else(|| none.clone()), context.unwrap_or(none));
    let names = names(py, &LOOP_AND_MORE, &["loop", "name", "context"])?;
    let arguments = [coro.as_ptr(), owner.as_ptr(), name.as_ptr(), context.as_ptr()];
    call_named(&class, &arguments, &names).map(Some)
}

/// A loop as one of tress's, if it is one whose methods nobody has overridden.
///
/// # Errors
/// What the look-up raises.
pub fn own<'a, 'py>(any: &'a Bound<'py, PyAny>) -> PyResult<Option<&'a Bound<'py, EventLoop>>> {
    let is_own = any.get_type().is(LOOP_CLASS.get(any.py())?);
    Ok(if is_own { any.cast().ok() } else { None })
}

/// The loop that runs in this thread, if it is such a one.
///
/// # Errors
/// What the look-up raises.
pub fn running_own<'py>(py: Python<'py>) -> PyResult<Option<Bound<'py, EventLoop>>> {
    match running_or_none(py)? {
        Some(running) => Ok(own(&running)?.cloned()),
        None => Ok(None),
    }
}

/// The loop that runs in this thread, of whatever class.
///
/// # Errors
/// RuntimeError if there is none.
pub fn running(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    running_or_none(py)?.ok_or_else(|| PyRuntimeError::new_err("no running event loop"))
}

/// The same; None if there is none.
///
/// # Errors
/// What the look-up raises.
pub fn running_or_none(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let running = RUNNING_LOOP.get(py)?.call0()?;
    Ok((!running.is_none()).then_some(running))
}

/// Schedules a coroutine in the running loop, and returns its task.
#[pyfunction]
#[pyo3(signature = (coro, **kwargs))]
pub fn create_task<'py>(
    coro: &Bound<'py, PyAny>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = coro.py();
    if let Some(owner) = running_own(py)?
        && let Some(task) = task(&owner, coro, kwargs)?
    {
        return Ok(task);
    }
    CREATE_TASK.get(py)?.call((coro,), kwargs)
}

/// For what `create_task` of the loop leaves to the standard library.
pub fn standard_task<'py>(
    owner: &Bound<'py, EventLoop>,
    coro: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let method = owner.getattr(intern!(py, "_create_task_standard"))?;
    method.call((coro,), options)
}
