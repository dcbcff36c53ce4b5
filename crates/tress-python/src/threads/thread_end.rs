//! The very end of a thread, seen without the interpreter.

use std::cell::RefCell;

use pyo3::prelude::*;
use tress_core::base::fork;
use tress_core::base::spin;
use tress_core::base::sync::Arc;
use tress_core::threads::event::Event;

use crate::attach;

/// Set when its thread is gone for good: its thread state deleted, its last Python object dropped.
struct SetAtExit {
    ended: Arc<Event>,
    generation: u32,
}

impl Drop for SetAtExit {
    fn drop(&mut self) {
        // The child of a fork leaves by the same exit handlers; nobody there waits for a thread of the parent.
        if self.generation == fork::generation() {
            self.ended.set().wake();
        }
    }
}

thread_local! {
    static AT_EXIT: RefCell<Option<SetAtExit>> = const { RefCell::new(None) };
}

/// Tells when a thread has ended, to one that would rather look a moment than sleep.
#[pyclass(module = "tress._native", frozen)]
pub struct ThreadEnd {
    ended: Arc<Event>,
    generation: u32,
}

#[pymethods]
impl ThreadEnd {
    #[new]
    fn new() -> Self {
        Self { ended: Arc::new(Event::new()), generation: fork::generation() }
    }

    /// Makes the calling thread's end the one that is told of.
    fn watch(&self) {
        let watch = SetAtExit { ended: self.ended.clone(), generation: fork::generation() };
        AT_EXIT.with_borrow_mut(|at_exit| *at_exit = Some(watch));
    }

    /// Looks for the end for a moment; whether it has come. No answer means nothing: ask the thread itself.
    fn look(&self, py: Python<'_>) -> bool {
        if self.generation != fork::generation() {
            // A thread of the parent: gone, and perhaps in the middle of setting the event when the fork came.
            return true;
        }
        let Some(node) = self.ended.enrol() else { return true };
        if !spin::pays() {
            return self.ended.cancel(&node);
        }
        attach::look(py, &node) || self.ended.cancel(&node)
    }
}
