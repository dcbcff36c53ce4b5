//! The primitives of the standard library or, under `--cfg loom`, the model checker's. All of core takes them from here.

#[cfg(loom)]
pub use loom::sync::{Arc, MutexGuard, atomic};
#[cfg(not(loom))]
pub use std::sync::{Arc, MutexGuard, atomic};

/// A mutex that ignores poison: core runs no foreign code under a lock, so no panic can leave its state half-changed.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    #[cfg(loom)]
    inner: loom::sync::Mutex<T>,
    #[cfg(not(loom))]
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// A new, unlocked mutex.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        Self { inner: std::sync::Mutex::new(value) }
    }

    /// A new, unlocked mutex.
    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        Self { inner: loom::sync::Mutex::new(value) }
    }

    /// Locks; held only for a handful of instructions anywhere in core.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match self.inner.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Locks if nobody holds it: for a garbage collector that must not wait.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.inner.try_lock().ok()
    }

    /// The value, without locking: the exclusive borrow is proof enough.
    #[cfg(not(loom))]
    pub fn get_mut(&mut self) -> &mut T {
        match self.inner.get_mut() {
            Ok(value) => value,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
