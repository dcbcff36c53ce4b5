//! What the coroutines of streams do: reading, and waiting until there is room to write.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyString;

use super::creating::Found;
use super::lazy::{Progress, Step};
use super::stream_reader::StreamReader;
use super::stream_writer::StreamWriter;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Read,
    ReadExactly,
    ReadUntil,
    ReadLine,
    /// The next line, in a loop over them.
    Next,
    Drain,
}

impl Operation {
    /// In messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "StreamReader.read",
            Self::ReadExactly => "StreamReader.readexactly",
            Self::ReadUntil => "StreamReader.readuntil",
            Self::ReadLine => "StreamReader.readline",
            Self::Next => "StreamReader.__anext__",
            Self::Drain => "StreamWriter.drain",
        }
    }

    /// `argument` is how much, or up to what; `progress` how far the search for that has come.
    pub fn begin<'py>(
        self,
        of: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
        progress: &Progress,
    ) -> PyResult<Step<'py>> {
        if self == Self::Drain {
            return StreamWriter::begin_to_drain(of.cast()?);
        }
        StreamReader::begin(of.cast()?, self, argument, progress)
    }

    pub fn go_on<'py>(
        self,
        of: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
        future: &Bound<'py, PyAny>,
        progress: &Progress,
    ) -> PyResult<Step<'py>> {
        if self == Self::Drain {
            return StreamWriter::end_drain(of.cast()?, future).map(|()| Step::Done);
        }
        StreamReader::go_on(of.cast()?, self, argument, future, progress)
    }

    /// Nobody waits for this future any more.
    pub fn give_up(self, of: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if self == Self::Drain {
            return StreamWriter::end_drain(of.cast()?, future);
        }
        of.cast::<StreamReader>()?.get().end_wait(future);
        Ok(())
    }
}

/// A class of the standard library's whose objects a program may give methods of its own: such an object is left to the standard library.
pub trait Changeable: PyClass<Frozen = True> + Sync {
    /// The public class, and the standard library's.
    const CLASSES: (&'static Found, &'static Found);

    /// Whether it has been given a method of its own.
    fn is_changed(&self) -> &AtomicBool;

    /// Whether it is of the public class itself, and no subclass of it, with the methods of that.
    ///
    /// # Errors
    /// What the import of the class raises.
    fn is_own(any: &Bound<'_, PyAny>) -> PyResult<bool> {
        if !any.get_type().is(Self::CLASSES.0.get(any.py())?) {
            return Ok(false);
        }
        Ok(!any.cast::<Self>()?.get().is_changed().load(Ordering::Relaxed))
    }

    /// Sets or deletes an attribute, as ever, and notes whether it has the name of a method, which is another one from now on.
    ///
    /// # Errors
    /// What the setting raises.
    fn set_any(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let value = value.map_or(std::ptr::null_mut(), |value| value.as_ptr());
        // SAFETY: live objects, and null for a deletion, as the function wants it.
        if unsafe { ffi::PyObject_GenericSetAttr(slf.as_ptr(), name.as_ptr(), value) } != 0 {
            return Err(PyErr::fetch(py));
        }
        let standard = Self::CLASSES.1.get(py)?.getattr_opt(name)?;
        if standard.is_some_and(|method| method.is_callable()) {
            slf.get().is_changed().store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
