//! State of a frozen class that the interpreter lock guards.
//!
//! The module asks for that lock (`gil_used = true`), so whoever has a token for the interpreter is alone. A mutex would cost more
//! than most of what is done under it here.

use std::cell::{Cell, UnsafeCell};

use pyo3::prelude::*;

/// A value that is reached by whoever is attached, one at a time.
pub struct Attached<T> {
    in_use: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: both cells are touched only in `with` and `try_with`, whose callers hold the interpreter lock: there is one such thread at a
// time, and the lock orders what one does before what the next does.
unsafe impl<T: Send> Sync for Attached<T> {}

impl<T> Attached<T> {
    pub const fn new(value: T) -> Self {
        Self { in_use: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the value. `f` must not call into Python, which also means that it drops no Python object: there another
    /// `with` of the same value may be waiting, which panics.
    #[inline(always)]
    pub fn with<R>(&self, _: Python<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        assert!(!self.in_use.replace(true), "a value is used in the middle of its own use");
        let _in_use = InUse(&self.in_use);
        // SAFETY: this thread holds the interpreter lock (the token shows it), and the flag says that no reference to the value is
        // in use, in this thread or in another that gave the lock away in the middle.
        f(unsafe { &mut *self.value.get() })
    }

    /// An object that the value refers to.
    #[inline]
    pub fn object<'py, U>(
        &self,
        py: Python<'py>,
        field: impl FnOnce(&T) -> &Option<Py<U>>,
    ) -> Option<Bound<'py, U>> {
        self.with(py, |value| field(value).as_ref().map(|object| object.bind(py).clone()))
    }

    /// Has the value refer to another object, or to none. The one before is dropped afterwards, which may run Python code.
    #[inline]
    pub fn put<U>(
        &self,
        py: Python<'_>,
        field: impl FnOnce(&mut T) -> &mut Option<Py<U>>,
        object: Option<Py<U>>,
    ) {
        let replaced = self.with(py, |value| std::mem::replace(field(value), object));
        drop(replaced);
    }

    /// As `with`, for the garbage collector, which has no token though it holds the lock, and may come in the middle of an
    /// allocation; then there is None.
    pub fn collected<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.in_use.replace(true) {
            return None;
        }
        let _in_use = InUse(&self.in_use);
        // SAFETY: the garbage collector runs with the interpreter lock held; for the rest see `with`.
        Some(f(unsafe { &mut *self.value.get() }))
    }
}

struct InUse<'a>(&'a Cell<bool>);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
