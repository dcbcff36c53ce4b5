//! Pickling for connections: what `ForkingPickler` makes, and what it reads.
//!
//! An object that is made of nothing but the built-in types that every pickler knows by heart is pickled by the plain C function:
//! for those no pickler looks into a table of reducers, so that the bytes are the same. For others there are the reducers that
//! programs have registered, and a pickler that has them at hand.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyModule, PyNone, PyString, PyTuple};

use crate::base::calls;

/// So many objects are looked at, and so deep, before an object counts as one that is not plain.
const MOST: u32 = 256;
const DEEPEST: u32 = 8;

/// Where things are looked up.
struct Standard {
    /// The names of `multiprocessing.connection`.
    names: Py<PyDict>,
    /// The pickler that is `_ForkingPickler` there, unless a program has put its own in its place.
    pickler: Py<PyAny>,
    /// The module of the C functions.
    plain: Py<PyModule>,
    /// The module with `dumps` for objects that are not plain.
    full: Py<PyModule>,
}

static STANDARD: PyOnceLock<Standard> = PyOnceLock::new();

impl Standard {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        STANDARD.get_or_try_init(py, || {
            let connection = PyModule::import(py, "multiprocessing.connection")?;
            let reduction = PyModule::import(py, "multiprocessing.reduction")?;
            Ok(Self {
                names: connection.dict().unbind(),
                pickler: reduction.getattr("ForkingPickler")?.unbind(),
                plain: PyModule::import(py, "_pickle")?.unbind(),
                full: PyModule::import(py, "tress.multiprocessing._reducers")?.unbind(),
            })
        })
    }

    /// The pickler that a program has put in place of the standard one.
    fn replaced<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let now = self.names.bind(py).get_item(intern!(py, "_ForkingPickler"))?;
        Ok(now.filter(|now| !now.is(&self.pickler)))
    }
}

/// Whether `object`, and everything in it, is of a type that a pickler looks up nowhere.
fn is_plain(object: &Bound<'_, PyAny>, left: &mut u32, depth: u32) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    let is_leaf = object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyNone>()
        || object.is_exact_instance_of::<PyBool>();
    if is_leaf {
        return true;
    }
    if depth == DEEPEST {
        return false;
    }
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return tuple.iter_borrowed().all(|item| is_plain(&item, left, depth + 1));
    }
    if let Ok(list) = object.cast_exact::<PyList>() {
        return list.iter().all(|item| is_plain(&item, left, depth + 1));
    }
    if let Ok(dict) = object.cast_exact::<PyDict>() {
        return dict
            .iter()
            .all(|(key, value)| is_plain(&key, left, depth + 1) && is_plain(&value, left, depth + 1));
    }
    false
}

/// The pickle of `object`: an object with bytes in it.
///
/// # Errors
/// What the pickler raises.
pub fn dumps<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let standard = Standard::get(py)?;
    let name = intern!(py, "dumps");
    if let Some(pickler) = standard.replaced(py)? {
        return calls::method(&pickler, name, Some(object.as_borrowed()));
    }
    let mut left = MOST;
    let module = if is_plain(object, &mut left, 0) { &standard.plain } else { &standard.full };
    calls::method(module.bind(py).as_any(), name, Some(object.as_borrowed()))
}

/// The object of a pickle.
///
/// # Errors
/// What unpickling raises.
pub fn loads<'py>(pickle: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = pickle.py();
    let standard = Standard::get(py)?;
    let name = intern!(py, "loads");
    match standard.replaced(py)? {
        Some(pickler) => calls::method(&pickler, name, Some(pickle.as_borrowed())),
        None => calls::method(standard.plain.bind(py).as_any(), name, Some(pickle.as_borrowed())),
    }
}
