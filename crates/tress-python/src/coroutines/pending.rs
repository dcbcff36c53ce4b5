//! The tasks of a loop that have begun and not ended.
//!
//! A task that waits is referred to by the future that it waits for. Where nobody else refers to that one, the garbage collector would
//! take both: so the loop holds the tasks. What runs at once to its end never gets in here.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem::ManuallyDrop;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::base::attached::Attached;
use crate::base::calls;

use super::event_loop::EventLoop;
use super::{creating, future_state};

/// Addresses are different enough as they are: the low bits, which are all zero, go to the other end.
#[derive(Default)]
struct OfAddress(u64);

impl Hasher for OfAddress {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an address is a usize");
    }

    fn write_usize(&mut self, address: usize) {
        // The golden ratio spreads them over all bits, of which the table looks at both ends.
        self.0 = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// See the module's documentation.
pub struct PendingTasks(Attached<Option<Held>>);

type Held = HashSet<Task, BuildHasherDefault<OfAddress>>;

/// By its address, which is all that there is of it.
struct Task(Py<PyAny>);

impl Task {
    /// To look it up with.
    fn borrowed(task: &Bound<'_, PyAny>) -> ManuallyDrop<Self> {
        // SAFETY: a live object; the reference that this pretends to own is not given up.
        ManuallyDrop::new(Self(unsafe { Bound::from_owned_ptr(task.py(), task.as_ptr()) }.unbind()))
    }
}

impl Hash for Task {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_usize(self.0.as_ptr() as usize);
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl Eq for Task {}

impl PendingTasks {
    pub const fn new() -> Self {
        Self(Attached::new(None))
    }

    fn hold(&self, task: &Bound<'_, PyAny>) {
        self.0.with(task.py(), |held| {
            let held = held.get_or_insert_default();
            let held_before = held.contains(&*Task::borrowed(task));
            if !held_before {
                held.insert(Task(task.clone().unbind()));
            }
        });
    }

    pub fn release(&self, task: &Bound<'_, PyAny>) {
        let py = task.py();
        let out = self.0.with(py, |held| held.as_mut()?.take(&*Task::borrowed(task)));
        drop(out.map(|task| task.0.into_bound(py)));
    }

    /// A task has made a step.
    ///
    /// # Safety
    /// It is an instance of the interpreter's own class, or of a subclass.
    #[inline]
    pub unsafe fn note_step(&self, task: &Bound<'_, PyAny>) {
        // SAFETY: as above.
        if unsafe { future_state::has_ended(task) } { self.release(task) } else { self.hold(task) }
    }

    /// A task has been made by a way of the program's own: it may have made a step already, and the loop may not know its steps.
    ///
    /// # Errors
    /// What asking it raises.
    pub fn note_made(owner: &Bound<'_, EventLoop>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = owner.py();
        let this = &owner.get().pending_tasks;
        if task.is_instance(&creating::NATIVE_TASK.get(py)?.to_owned())? {
            if !future_state::is_done(task)? {
                this.hold(task);
            }
            return Ok(());
        }
        // Any object may be called a task.
        let Some(add) = task.getattr_opt(intern!(py, "add_done_callback"))? else { return Ok(()) };
        this.hold(task);
        let release = owner.getattr(intern!(py, "_release_task"))?;
        calls::call(&add, &(release,).into_pyobject(py)?).map(drop)
    }

    pub fn all<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.0.with(py, |held| held.iter().flatten().map(|task| task.0.bind(py).clone()).collect())
    }

    pub fn drop_all(&self, py: Python<'_>) {
        let out = self.0.with(py, Option::take);
        drop(out);
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.0.collected(|held| held.iter().flatten().try_for_each(|task| visit.call(&task.0)));
        visited.unwrap_or(Ok(()))
    }

    pub fn clear(&self) {
        let out = self.0.collected(Option::take);
        drop(out);
    }
}
