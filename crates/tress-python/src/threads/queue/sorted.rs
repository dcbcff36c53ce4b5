//! Sorting items, while the buffer of a sorted queue is lent to this thread.

use std::collections::VecDeque;

use pyo3::prelude::*;
use tress_core::threads::heap;
use tress_core::threads::queue::Queue;

use super::compare::less;

pub type Items = VecDeque<Py<PyAny>>;

/// Sorts an item in and brings the buffer back; `count` is 1 for a put, 0 for an item that returns.
///
/// # Errors
/// What a comparison raised. As with the standard library, the item is in the queue then, but does not count as unfinished.
pub fn put(
    py: Python<'_>,
    queue: &Queue<Py<PyAny>>,
    item: Py<PyAny>,
    mut items: Items,
    count: u64,
) -> PyResult<()> {
    let outcome = heap::push(&mut items, item, |left, right| less(py, left, right));
    queue.bring_back(items, if outcome.is_ok() { count } else { 0 }, 0).wake();
    outcome
}

/// Takes the least item out and brings the buffer back.
///
/// # Errors
/// What a comparison raised. Every item is in the queue then, as before.
pub fn get(py: Python<'_>, queue: &Queue<Py<PyAny>>, mut items: Items) -> PyResult<Option<Py<PyAny>>> {
    let outcome = heap::pop(&mut items, |left, right| less(py, left, right));
    let got = matches!(outcome, Ok(Some(_)));
    queue.bring_back(items, 0, got.into()).wake();
    outcome
}
