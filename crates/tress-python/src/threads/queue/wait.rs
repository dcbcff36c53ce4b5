//! Putting and getting with blocking, for every class that stands on the core queue.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::base::waits::What;
use tress_core::threads::queue::{Cancelled, Enrol, Get, Put, Queue, QueueWait, Turn, Unget};

use super::sorted::{self, Items};
use crate::attach;
use crate::base::waits::what;

pub type Core = Queue<Py<PyAny>>;
type Wait = QueueWait<Py<PyAny>>;

/// How long a put or get may wait.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Not at all.
    No,
    /// Until then, or for ever.
    Until(Option<Deadline>),
}

impl Patience {
    fn deadline(self) -> Option<Deadline> {
        match self {
            Self::No => None,
            Self::Until(deadline) => deadline,
        }
    }

    fn waits(self) -> bool {
        matches!(self, Self::Until(_))
    }
}

/// What came of a get.
pub enum Got {
    Item(Py<PyAny>),
    Empty,
    Closed,
    /// To be had from the open queue, if at all.
    Moved,
}

/// What came of a put; what is not in comes back.
pub enum Placed<C> {
    Done,
    Full(C),
    Closed(C),
    /// To be put into the open queue.
    Moved(C),
    /// It is in, but this was raised meanwhile.
    Raised(PyErr),
}

/// Takes an item out.
///
/// # Errors
/// What a signal handler raised, or a comparison of a sorted queue. No item has left the queue then.
pub fn get(py: Python<'_>, queue: &Core, patience: Patience, what: What) -> PyResult<Got> {
    let mut wait = patience.waits();
    loop {
        match queue.get(wait) {
            Get::Item(item, wakes) => {
                wakes.wake();
                return Ok(Got::Item(item));
            }
            Get::Empty => return Ok(Got::Empty),
            Get::Closed => return Ok(Got::Closed),
            Get::Moved => return Ok(Got::Moved),
            Get::Sort(items) => {
                if let Some(item) = sorted::get(py, queue, items)? {
                    return Ok(Got::Item(item));
                }
            }
            Get::Turn(turn) => take_turn(py, queue, turn, what)?,
            Get::Wait(node) => match attach::wait(py, node.waiter(), patience.deadline(), what) {
                Ok(Outcome::Granted(_)) => {
                    let (item, wakes) = queue.arrive_get(&node);
                    wakes.wake();
                    // A signal that came together with the item has its say while the item can still go back.
                    let signals = py.check_signals();
                    match (item, signals) {
                        (Some(item), Ok(())) => return Ok(Got::Item(item)),
                        (Some(item), Err(error)) => {
                            put_back_of(py, queue, item, what);
                            return Err(error);
                        }
                        (None, signals) => signals?,
                    }
                }
                Ok(_) => {
                    let (cancelled, wakes) = queue.cancel_get(&node);
                    wakes.wake();
                    match cancelled {
                        Cancelled::Item(item) => return Ok(Got::Item(item)),
                        // A last look, wherever the queue is now.
                        Cancelled::Nothing | Cancelled::Retry => wait = false,
                    }
                }
                Err(error) => {
                    let (cancelled, wakes) = queue.cancel_get(&node);
                    wakes.wake();
                    if let Cancelled::Item(item) = cancelled {
                        put_back_of(py, queue, item, what);
                    }
                    return Err(error);
                }
            },
        }
    }
}

/// Puts an item in.
///
/// # Errors
/// What a signal handler raised; the item is not in.
pub fn put(
    py: Python<'_>,
    queue: &Core,
    mut item: Py<PyAny>,
    patience: Patience,
    what: What,
) -> PyResult<Placed<Py<PyAny>>> {
    let mut enrol = if patience.waits() { Enrol::Last } else { Enrol::Never };
    loop {
        match queue.put(item, enrol) {
            Put::Done(wakes) => {
                wakes.wake();
                return Ok(Placed::Done);
            }
            Put::Full(item, wakes) => {
                wakes.wake();
                return Ok(Placed::Full(item));
            }
            Put::Closed(item) => return Ok(Placed::Closed(item)),
            Put::Moved(item) => return Ok(Placed::Moved(item)),
            Put::Sort(item, items) => {
                return Ok(match sorted::put(py, queue, item, items, 1) {
                    Ok(()) => Placed::Done,
                    Err(error) => Placed::Raised(error),
                });
            }
            Put::Turn(back, turn) => {
                take_turn(py, queue, turn, what)?;
                item = back;
            }
            Put::Wait(node, wakes) => {
                wakes.wake();
                match await_room(py, queue, &node, patience, what) {
                    Ok((mut rest, next)) => match rest.pop_front() {
                        Some(back) => (item, enrol) = (back, next),
                        None => return Ok(Placed::Done),
                    },
                    Err((error, rest)) if rest.is_empty() => return Ok(Placed::Raised(error)),
                    Err((error, _)) => return Err(error),
                }
            }
        }
    }
}

/// Puts several items in, in order; not for sorted queues.
///
/// # Errors
/// What a signal handler raised, and the items that are not in.
pub fn put_all(
    py: Python<'_>,
    queue: &Core,
    mut items: Items,
    patience: Patience,
    what: What,
) -> Result<Placed<Items>, (PyErr, Items)> {
    let mut enrol = if patience.waits() { Enrol::Last } else { Enrol::Never };
    loop {
        match queue.put_all(items, enrol) {
            Put::Done(wakes) => {
                wakes.wake();
                return Ok(Placed::Done);
            }
            Put::Full(items, wakes) => {
                wakes.wake();
                return Ok(Placed::Full(items));
            }
            Put::Closed(items) => return Ok(Placed::Closed(items)),
            Put::Moved(items) | Put::Sort(items, _) | Put::Turn(items, _) => return Ok(Placed::Moved(items)),
            Put::Wait(node, wakes) => {
                wakes.wake();
                (items, enrol) = await_room(py, queue, &node, patience, what)?;
                if items.is_empty() {
                    return Ok(Placed::Done);
                }
            }
        }
    }
}

/// Waits until what `node` brought is in; otherwise tells what is not, and how to ask again.
fn await_room(
    py: Python<'_>,
    queue: &Core,
    node: &Wait,
    patience: Patience,
    what: What,
) -> Result<(Items, Enrol), (PyErr, Items)> {
    match attach::wait(py, node.waiter(), patience.deadline(), what) {
        Ok(Outcome::Granted(Signal::Handed)) => {
            queue.arrive_put(node).wake();
            Ok((Items::new(), Enrol::Never))
        }
        Ok(Outcome::Granted(_)) => Ok((node.take(), Enrol::First)),
        Ok(_) => {
            let (rest, wakes) = queue.cancel_put(node);
            wakes.wake();
            Ok((rest, Enrol::Never))
        }
        Err(error) => {
            let (rest, wakes) = queue.cancel_put(node);
            wakes.wake();
            Err((error, rest))
        }
    }
}

/// What is said to a comparison that would wait for itself.
pub const OWN_DOING: &str = "the comparison of two items uses the queue that they are being sorted into";

/// Waits until the buffer of a sorted queue is back.
///
/// # Errors
/// What a signal handler raised; RuntimeError when it would wait for the calling thread itself.
pub fn take_turn(py: Python<'_>, queue: &Core, turn: Turn<Py<PyAny>>, what: What) -> PyResult<()> {
    let Turn::Wait(node) = turn else {
        return Err(PyRuntimeError::new_err(OWN_DOING));
    };
    loop {
        match attach::wait(py, node.waiter(), None, what) {
            Ok(Outcome::Granted(_)) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                queue.cancel_wait(&node);
                return Err(error);
            }
        }
    }
}

/// As [`put_back`], of the queue whose method this is.
fn put_back_of(py: Python<'_>, queue: &Core, item: Py<PyAny>, what: What) {
    // SAFETY: the handle is of the object whose method this is: alive.
    if let Some(object) = unsafe { crate::base::waits::object_of(py, what.object) } {
        put_back(object.bind(py), queue, item, what.operation);
    }
}

/// Puts an item back that was handed to one who cannot use it; `queue` is that of `object`.
pub fn put_back(object: &Bound<'_, PyAny>, queue: &Core, mut item: Py<PyAny>, operation: &'static str) {
    let py = object.py();
    loop {
        match queue.unget(item) {
            Unget::Done(wakes) => return wakes.wake(),
            Unget::Unwanted(item, wakes) => {
                wakes.wake();
                return drop(item);
            }
            Unget::Moved(item) => {
                if let Err(second) = super::open::put_back(object, item) {
                    second.write_unraisable(py, Some(object));
                }
                return;
            }
            Unget::Sort(item, items) => {
                if let Err(second) = sorted::put(py, queue, item, items, 0) {
                    second.write_unraisable(py, None);
                }
                return;
            }
            Unget::Turn(back, turn) => {
                item = back;
                // Another signal cannot make it lose the item: its error is on its way already.
                let _ = take_turn(py, queue, turn, what(operation, object));
            }
        }
    }
}
