//! What a pool's queue holds: a call to make, and the future that its outcome goes to.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::future::Future;

/// Arguments up to this many are kept in place.
const IN_PLACE: usize = 3;

/// A call that was submitted: the callable, its arguments as the vectorcall protocol has them, and its future.
///
/// All pointers are owned references. Slot 0 of the arguments is left free for the callee, as the protocol allows.
pub struct Call {
    future: Py<Future>,
    callable: Py<PyAny>,
    names: Option<Py<PyTuple>>,
    positional: usize,
    in_place: [Option<Py<PyAny>>; IN_PLACE + 1],
    // Used instead when there are more.
    many: Option<Box<[Option<Py<PyAny>>]>>,
}

impl Call {
    /// A call of `callable` with `arguments`, the last of which belong to `names`.
    #[inline]
    pub fn new<'a, 'py: 'a>(
        future: Py<Future>,
        callable: Py<PyAny>,
        arguments: impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>>,
        names: Option<Py<PyTuple>>,
        named: usize,
    ) -> Self {
        let count = arguments.len();
        let mut call = Self {
            future,
            callable,
            names,
            positional: count - named,
            in_place: [const { None }; IN_PLACE + 1],
            many: None,
        };
        let slots = if count <= IN_PLACE {
            &mut call.in_place[1..]
        } else {
            let many = std::iter::repeat_with(|| None).take(count + 1).collect();
            &mut call.many.insert(many)[1..]
        };
        for (slot, argument) in slots.iter_mut().zip(arguments) {
            *slot = Some(argument.to_owned().unbind());
        }
        call
    }

    /// The future.
    #[inline]
    pub fn future(&self) -> &Py<Future> {
        &self.future
    }

    /// The future alone; callable and arguments are dropped.
    pub fn into_future(self) -> Py<Future> {
        self.future
    }

    /// The call as a work item of the standard library's kind.
    pub fn into_item(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut all: Vec<Py<PyAny>> = match self.many {
            Some(many) => many.into_iter().flatten().collect(),
            None => self.in_place.into_iter().flatten().collect(),
        };
        let named = all.split_off(self.positional);
        let kwargs = PyDict::new(py);
        if let Some(names) = self.names {
            for (name, value) in names.bind(py).iter().zip(named) {
                kwargs.set_item(name, value)?;
            }
        }
        let make = py.import("tress.concurrent.futures.thread")?.getattr("_work_item")?;
        Ok(make.call1((self.future, self.callable, PyTuple::new(py, all)?, kwargs))?.unbind())
    }

    /// The call as the interpreter takes it. The pointers are borrowed from `self`, which must stay where it is.
    #[inline]
    pub fn raw(&mut self) -> RawCall {
        let slots = match self.many.as_mut() {
            Some(many) => many.as_mut_ptr(),
            None => self.in_place.as_mut_ptr(),
        };
        RawCall {
            callable: self.callable.as_ptr(),
            // SAFETY: there is a slot 0, so the address of slot 1 is inside the array or just behind it. `Option<Py>` has the
            // representation of a pointer that may be null.
            arguments: unsafe { slots.add(1) }.cast(),
            positional: self.positional,
            names: self.names.as_ref().map_or(ptr::null_mut(), |names| names.as_ptr()),
        }
    }
}

/// A call as `PyObject_Vectorcall` takes it.
#[derive(Clone, Copy)]
pub struct RawCall {
    pub callable: *mut ffi::PyObject,
    pub arguments: *mut *mut ffi::PyObject,
    pub positional: usize,
    pub names: *mut ffi::PyObject,
}

/// One entry of a pool's queue.
pub enum Work {
    Call(Call),
    /// A work item of the standard library's kind, put there by a program: it has a method `run`.
    Item(Py<PyAny>),
}
