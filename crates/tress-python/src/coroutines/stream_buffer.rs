//! What a stream has received, and nobody has read yet.
//!
//! Most of what comes is read as it came: then it is the bytes object that the transport has made, and nothing is copied. What comes
//! while there is something goes to its end, into memory of its own. Who asks for the buffer itself, the bytearray that the standard
//! library has, gets one, which is the buffer from then on.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use pyo3::{PyTraverseError, PyVisit, ffi};

use crate::base::attached::Attached;

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    /// As it came, from `start` on.
    Whole { bytes: Py<PyBytes>, start: usize },
    /// Of several pieces, from `start` on.
    Joined { bytes: Vec<u8>, start: usize },
    /// Somebody outside has it.
    Shown(Py<PyByteArray>),
}

impl Content {
    fn bytes<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        match self {
            Self::Empty => &[],
            Self::Whole { bytes, start } => &bytes.as_bytes(py)[*start..],
            Self::Joined { bytes, start } => &bytes[*start..],
            // SAFETY: a live bytearray has so many bytes there; no Python code runs while they are borrowed (see `with_bytes`), so they
            // stay, and nobody writes to them.
            Self::Shown(bytes) => unsafe {
                let len = usize::try_from(ffi::PyByteArray_Size(bytes.as_ptr())).unwrap_or(0);
                std::slice::from_raw_parts(ffi::PyByteArray_AsString(bytes.as_ptr()).cast(), len)
            },
        }
    }
}

/// See the module's documentation.
pub struct StreamBuffer(Attached<Content>);

impl StreamBuffer {
    pub const fn new() -> Self {
        Self(Attached::new(Content::Empty))
    }

    /// Calls `f`, which must not call into Python, with the bytes.
    pub fn with_bytes<R>(&self, py: Python<'_>, f: impl FnOnce(&[u8]) -> R) -> R {
        self.0.with(py, |content| f(content.bytes(py)))
    }

    pub fn len(&self, py: Python<'_>) -> usize {
        self.with_bytes(py, <[u8]>::len)
    }

    fn shown<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyByteArray>> {
        self.0.with(py, |content| match content {
            Content::Shown(shown) => Some(shown.bind(py).clone()),
            _ => None,
        })
    }

    /// Puts more to the end.
    ///
    /// # Errors
    /// BufferError where somebody outside has it, and a view of it.
    pub fn push(&self, more: Bound<'_, PyBytes>) -> PyResult<()> {
        let py = more.py();
        if let Some(shown) = self.shown(py) {
            // SAFETY: two live objects; the result is a new reference, or null with an exception set.
            return unsafe {
                let joined = ffi::PySequence_InPlaceConcat(shown.as_ptr(), more.as_ptr());
                Bound::from_owned_ptr_or_err(py, joined).map(drop)
            };
        }
        let done_with = self.0.with(py, |content| match content {
            Content::Joined { bytes, start } => {
                if *start > bytes.len() / 2 {
                    bytes.drain(..std::mem::take(start));
                }
                bytes.extend_from_slice(more.as_bytes());
                Some(more.unbind())
            }
            Content::Whole { bytes, start } => {
                let before = &bytes.as_bytes(py)[*start..];
                let more = more.as_bytes();
                let mut joined = Vec::with_capacity(2 * (before.len() + more.len()));
                joined.extend_from_slice(before);
                joined.extend_from_slice(more);
                match std::mem::replace(content, Content::Joined { bytes: joined, start: 0 }) {
                    Content::Whole { bytes, .. } => Some(bytes),
                    _ => None,
                }
            }
            Content::Empty | Content::Shown(_) => {
                *content = Content::Whole { bytes: more.unbind(), start: 0 };
                None
            }
        });
        drop(done_with);
        Ok(())
    }

    /// Takes at most so many bytes off the front.
    ///
    /// # Errors
    /// BufferError where somebody outside has it, and a view of it.
    pub fn take<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(shown) = self.shown(py) {
            let taken = self.with_bytes(py, |bytes| PyBytes::new(py, &bytes[..count.min(bytes.len())]));
            Self::drop_front_of(&shown, taken.as_bytes().len())?;
            return Ok(taken);
        }
        let (taken, done_with) = self.0.with(py, |content| {
            let is_all = count >= content.bytes(py).len();
            if let Content::Whole { start: 0, .. } = content
                && is_all
                && let Content::Whole { bytes, .. } = std::mem::take(content)
            {
                return (bytes.into_bound(py), Content::Empty);
            }
            if is_all {
                let taken = PyBytes::new(py, content.bytes(py));
                return (taken, std::mem::take(content));
            }
            let taken = PyBytes::new(py, &content.bytes(py)[..count]);
            if let Content::Whole { start, .. } | Content::Joined { start, .. } = content {
                *start += count;
            }
            (taken, Content::Empty)
        });
        drop(done_with);
        Ok(taken)
    }

    /// Drops so many bytes off the front, of as many at least.
    ///
    /// # Errors
    /// As those of `take`.
    pub fn drop_front(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        match self.shown(py) {
            Some(shown) => Self::drop_front_of(&shown, count),
            None => self.take(py, count).map(drop),
        }
    }

    fn drop_front_of(shown: &Bound<'_, PyByteArray>, count: usize) -> PyResult<()> {
        let end = isize::try_from(count)?;
        // SAFETY: a live object; the result is -1 with an exception set.
        if unsafe { ffi::PySequence_DelSlice(shown.as_ptr(), 0, end) } == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(shown.py()))
        }
    }

    /// Gives it out, as a bytearray.
    pub fn show<'py>(&self, py: Python<'py>) -> Bound<'py, PyByteArray> {
        if let Some(shown) = self.shown(py) {
            return shown;
        }
        let shown = self.with_bytes(py, |bytes| PyByteArray::new(py, bytes));
        self.set(&shown);
        shown
    }

    /// Has another be the buffer.
    pub fn set(&self, buffer: &Bound<'_, PyByteArray>) {
        let content = Content::Shown(buffer.clone().unbind());
        let before = self.0.with(buffer.py(), |place| std::mem::replace(place, content));
        drop(before);
    }

    /// Throws everything away, and makes nothing of who has it.
    pub fn reset(&self, py: Python<'_>) {
        let before = self.0.with(py, std::mem::take);
        drop(before);
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.0.collected(|content| match content {
            Content::Shown(shown) => visit.call(&*shown),
            // A bytes object refers to nothing.
            _ => Ok(()),
        });
        visited.unwrap_or(Ok(()))
    }
}
