//! What the coroutines of streams do: reading, and waiting until there is room to write.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

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

/// Sets or deletes an attribute, as ever. Whether it has the name of a method of `class`, which is another one from now on.
pub fn set_attribute(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
    class: Borrowed<'_, '_, PyAny>,
) -> PyResult<bool> {
    let value = value.map_or(std::ptr::null_mut(), |value| value.as_ptr());
    // SAFETY: live objects, and null for a deletion, as the function wants it.
    if unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value) } != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    Ok(class.getattr_opt(name)?.is_some_and(|method| method.is_callable()))
}
