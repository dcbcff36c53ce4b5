//! What the coroutines of a stream's reader do: they take what there is, or wait for more.

use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::creating::Found;
use super::lazy::{Progress, Step};
use super::stream_reader::{StreamReader, number};
use super::streams::Operation;

static INCOMPLETE: Found = Found::new("asyncio.exceptions", "IncompleteReadError");
static OVERRUN: Found = Found::new("asyncio.exceptions", "LimitOverrunError");

const NEWLINE: &[u8] = b"\n";
const TOO_LONG: &str = "Separator is found, but chunk is longer than limit";
const NOT_FOUND: &str = "Separator is not found, and chunk exceed the limit";

/// Why there is no chunk up to a separator.
enum Missing<'py> {
    /// It waits for more.
    Waits(Bound<'py, PyAny>),
    /// The stream has ended; what there was.
    Ended(Bound<'py, PyBytes>),
    /// It is longer than the limit; how long it is at least.
    Overrun(&'static str, usize),
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    // SAFETY: both are borrowed for the call, which reads as much as their lengths say; what it returns points into `bytes`, or is null.
    unsafe {
        let found = match separator {
            [byte] => libc::memchr(bytes.as_ptr().cast(), i32::from(*byte), bytes.len()).cast_const(),
            _ => libc::memmem(bytes.as_ptr().cast(), bytes.len(), separator.as_ptr().cast(), separator.len())
                .cast_const(),
        };
        (!found.is_null()).then(|| found.cast::<u8>().offset_from(bytes.as_ptr()).unsigned_abs())
    }
}

impl StreamReader {
    /// Begins to read.
    pub fn begin<'py>(
        slf: &Bound<'py, Self>,
        operation: Operation,
        argument: Option<&Bound<'py, PyAny>>,
        progress: &Progress,
    ) -> PyResult<Step<'py>> {
        let (py, this) = (slf.py(), slf.get());
        if operation == Operation::ReadExactly && count(argument)?.is_none() {
            return Err(PyValueError::new_err("readexactly size can not be less than zero"));
        }
        if let Some(error) = this.error(py) {
            return Err(error);
        }
        if operation == Operation::Read
            && count(argument)? != Some(0)
            && this.buffer.len(py) == 0
            && !this.is_at_end(py)
        {
            return Self::wait(slf, "read").map(Step::Wait);
        }
        Self::attempt(slf, operation, argument, progress)
    }

    /// Reads, now that something has come.
    pub fn go_on<'py>(
        slf: &Bound<'py, Self>,
        operation: Operation,
        argument: Option<&Bound<'py, PyAny>>,
        future: &Bound<'py, PyAny>,
        progress: &Progress,
    ) -> PyResult<Step<'py>> {
        slf.get().end_wait(future);
        Self::attempt(slf, operation, argument, progress)
    }

    fn attempt<'py>(
        slf: &Bound<'py, Self>,
        operation: Operation,
        argument: Option<&Bound<'py, PyAny>>,
        progress: &Progress,
    ) -> PyResult<Step<'py>> {
        let (py, this) = (slf.py(), slf.get());
        let data = match operation {
            Operation::Read | Operation::ReadExactly => {
                let count = count(argument)?.unwrap_or(0);
                if operation == Operation::ReadExactly && this.buffer.len(py) < count {
                    if !this.is_at_end(py) {
                        return Self::wait(slf, "readexactly").map(Step::Wait);
                    }
                    let partial = this.buffer.take(py, usize::MAX)?;
                    return Err(PyErr::from_value(INCOMPLETE.get(py)?.call1((partial, count))?));
                }
                if count == 0 {
                    return Ok(Step::Over(PyBytes::new(py, b"").into_any()));
                }
                this.take(slf, count)?
            }
            Operation::ReadLine | Operation::Next => match Self::chunk(slf, NEWLINE, progress)? {
                Ok(line) => line,
                Err(Missing::Waits(future)) => return Ok(Step::Wait(future)),
                Err(Missing::Ended(partial)) => partial,
                Err(Missing::Overrun(message, consumed)) => {
                    return Err(Self::drop_line(slf, message, consumed)?);
                }
            },
            _ => {
                let separator = argument.and_then(|argument| argument.cast::<PyBytes>().ok());
                match Self::chunk(slf, separator.map_or(NEWLINE, |bytes| bytes.as_bytes()), progress)? {
                    Ok(chunk) => chunk,
                    Err(Missing::Waits(future)) => return Ok(Step::Wait(future)),
                    Err(Missing::Ended(partial)) => {
                        return Err(PyErr::from_value(INCOMPLETE.get(py)?.call1((partial, py.None()))?));
                    }
                    Err(Missing::Overrun(message, consumed)) => {
                        return Err(PyErr::from_value(OVERRUN.get(py)?.call1((message, consumed))?));
                    }
                }
            }
        };
        if operation == Operation::Next && data.as_bytes().is_empty() {
            return Err(PyStopAsyncIteration::new_err(()));
        }
        Ok(Step::Over(data.into_any()))
    }

    /// The bytes up to a separator and with it, if they are there.
    fn chunk<'py>(
        slf: &Bound<'py, Self>,
        separator: &[u8],
        progress: &Progress,
    ) -> PyResult<Result<Bound<'py, PyBytes>, Missing<'py>>> {
        let (py, this) = (slf.py(), slf.get());
        let limit = this.limit(py);
        let offset = progress.get();
        let (len, found) = this.buffer.with_bytes(py, |bytes| {
            let found = bytes.get(offset..).and_then(|rest| find(rest, separator));
            (bytes.len(), found.map(|at| offset + at))
        });
        if let Some(at) = found {
            if number(at) > limit {
                return Ok(Err(Missing::Overrun(TOO_LONG, at)));
            }
            return this.take(slf, at + separator.len()).map(Ok);
        }
        if len >= offset + separator.len() {
            // The last bytes may be the first of a separator.
            let searched = len + 1 - separator.len();
            progress.set(searched);
            if number(searched) > limit {
                return Ok(Err(Missing::Overrun(NOT_FOUND, searched)));
            }
        }
        if this.is_at_end(py) {
            return this.buffer.take(py, usize::MAX).map(|partial| Err(Missing::Ended(partial)));
        }
        Self::wait(slf, "readuntil").map(|future| Err(Missing::Waits(future)))
    }

    /// A line is too long: it goes, or as much of it as there is. The error that tells.
    #[cold]
    fn drop_line(slf: &Bound<'_, Self>, message: &'static str, consumed: usize) -> PyResult<PyErr> {
        let (py, this) = (slf.py(), slf.get());
        let (len, ends) = this.buffer.with_bytes(py, |bytes| {
            (bytes.len(), bytes.get(consumed..).is_some_and(|rest| rest.starts_with(NEWLINE)))
        });
        this.buffer.drop_front(py, if ends { consumed + NEWLINE.len() } else { len })?;
        Self::resume_if_low(slf)?;
        let error = PyValueError::new_err(message).into_value(py);
        let overrun = OVERRUN.get(py)?.call1((message, consumed))?;
        // SAFETY: two live exceptions; the second is given away.
        unsafe { ffi::PyException_SetContext(error.as_ptr(), overrun.into_ptr()) };
        Ok(PyErr::from_value(error.into_bound(py).into_any()))
    }
}

/// The number of bytes that an argument says, which is a plain number; None where that is negative.
fn count(argument: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    match argument {
        Some(argument) => Ok(usize::try_from(argument.extract::<isize>()?).ok()),
        None => Ok(None),
    }
}
