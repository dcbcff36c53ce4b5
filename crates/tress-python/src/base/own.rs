//! Native methods, made a Python class's own.
//!
//! The interpreter's specialised calls of a C method apply only to instances of the very type that the method's descriptor
//! names. The public classes are Python classes on top of native ones, so each of their calls would take the general way,
//! at about 10 ns more; descriptors made anew for the Python class take the short one. Its subclasses inherit them as ever.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

/// Gives `cls` descriptors of its own for the methods of `native`, one of its bases. Returns `cls`.
#[pyfunction]
pub fn own_methods<'py>(
    cls: &Bound<'py, PyType>,
    native: &Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyType>> {
    let py = cls.py();
    if !cls.is_subclass(native)? {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "{cls} must be a subclass of {native}, whose methods it is given"
        )));
    }
    let own = cls.getattr("__dict__")?;
    let methods = PyDict::new(py);
    methods.update(native.getattr("__dict__")?.cast::<pyo3::types::PyMapping>()?)?;
    for (name, method) in methods {
        // SAFETY: a type object is a `PyTypeObject`, and the comparison reads nothing else.
        let is_method = unsafe { ffi::Py_TYPE(method.as_ptr()) == &raw mut ffi::PyMethodDescr_Type };
        if !is_method || own.contains(&name)? {
            continue;
        }
        // SAFETY:
        // - `method` is a method descriptor (checked above), which begins with this layout on every supported version;
        // - its `PyMethodDef` is static: the native types are never freed, so the new descriptor may point to it;
        // - `cls` is a subclass of the type that the function expects its `self` to be, so that instances of `cls`, which the
        //   new descriptor checks for, are instances of that type.
        let owned = unsafe {
            let definition = (*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(cls.as_type_ptr(), definition))?
        };
        cls.setattr(name.cast::<pyo3::types::PyString>()?, owned)?;
    }
    Ok(cls.clone())
}
