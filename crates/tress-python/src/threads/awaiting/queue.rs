//! What is awaited of queues: an item, room for one, and the end of the work.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::sync::Arc;
use tress_core::base::waiter::{Signal, Who};
use tress_core::base::waitlist::Node;
use tress_core::threads::queue::{Cancelled, Enrol, Get, Join, Put, QueueWait, Turn};

use super::super::queue::class::Queue;
use super::super::queue::simple::SimpleQueue;
use super::super::queue::wait::{self, Core};
use super::super::queue::{errors, open, sorted};
use super::{Progress, Want};

type Waiting = Arc<QueueWait<Py<PyAny>>>;

/// The wait that is enrolled.
enum Enrolled {
    Nothing,
    /// For an item, for room, or for the end.
    Wait(Waiting),
    /// For the buffer of a sorted queue, which another thread is sorting.
    Turn(Waiting),
}

impl Enrolled {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Nothing)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Wait(node) => node.visit(|item| visit.call(item)),
            Self::Nothing | Self::Turn(_) => Ok(()),
        }
    }

    /// The wait for the buffer, of one who `waits`.
    fn for_turn(core: &Core, turn: Turn<Py<PyAny>>, waits: bool) -> PyResult<Self> {
        match turn {
            Turn::OwnDoing => Err(PyRuntimeError::new_err(wait::OWN_DOING)),
            Turn::Wait(node) if waits => Ok(Self::Turn(node)),
            Turn::Wait(node) => {
                core.cancel_wait(&node);
                Ok(Self::Nothing)
            }
        }
    }
}

enum Source {
    Queue(Py<Queue>),
    Simple(Py<SimpleQueue>),
}

/// An item.
pub struct Item {
    source: Source,
    enrolled: Enrolled,
}

impl Item {
    pub fn of_queue(queue: &Bound<'_, Queue>) -> Self {
        Self { source: Source::Queue(queue.clone().unbind()), enrolled: Enrolled::Nothing }
    }

    pub fn of_simple(queue: &Bound<'_, SimpleQueue>) -> Self {
        Self { source: Source::Simple(queue.clone().unbind()), enrolled: Enrolled::Nothing }
    }

    fn core(&self) -> &Core {
        match &self.source {
            Source::Queue(queue) => queue.get().core(),
            Source::Simple(queue) => queue.get().core(),
        }
    }

    fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match &self.source {
            Source::Queue(queue) => queue.bind(py).clone().into_any(),
            Source::Simple(queue) => queue.bind(py).clone().into_any(),
        }
    }
}

impl Want for Item {
    fn attempt<'py>(&mut self, py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        loop {
            let core = self.core();
            match core.get_as(who.unwrap_or(Who::Thread), who.is_some()) {
                Get::Item(item, wakes) => {
                    wakes.wake();
                    return Ok(Progress::Over(item.into_bound(py)));
                }
                Get::Empty => return Ok(Progress::NotYet),
                Get::Closed => return Err(errors::shut_down(py)),
                Get::Moved => {
                    let arguments = (self.object(py),);
                    return open::call(py, intern!(py, "aget"), arguments).map(Progress::Delegate);
                }
                Get::Sort(items) => {
                    if let Some(item) = sorted::get(py, core, items)? {
                        return Ok(Progress::Over(item.into_bound(py)));
                    }
                }
                Get::Turn(turn) => {
                    self.enrolled = Enrolled::for_turn(core, turn, who.is_some())?;
                    return Ok(Progress::NotYet);
                }
                Get::Wait(node) => {
                    self.enrolled = Enrolled::Wait(node);
                    return Ok(Progress::NotYet);
                }
            }
        }
    }

    fn arrive<'py>(&mut self, py: Python<'py>) -> PyResult<Progress<'py>> {
        let Enrolled::Wait(node) = self.enrolled.take() else { return Ok(Progress::NotYet) };
        let (item, wakes) = self.core().arrive_get(&node);
        wakes.wake();
        Ok(item.map_or(Progress::NotYet, |item| Progress::Over(item.into_bound(py))))
    }

    fn give_up(&mut self, py: Python<'_>) {
        match self.enrolled.take() {
            Enrolled::Nothing => {}
            Enrolled::Turn(node) => self.core().cancel_wait(&node),
            Enrolled::Wait(node) => {
                let (cancelled, wakes) = self.core().cancel_get(&node);
                wakes.wake();
                if let Cancelled::Item(item) = cancelled {
                    wait::put_back(&self.object(py), self.core(), item, "Queue.aget");
                }
            }
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.source {
            Source::Queue(queue) => visit.call(queue),
            Source::Simple(queue) => visit.call(queue),
        }?;
        self.enrolled.traverse(visit)
    }
}

/// Room for an item.
pub struct Room {
    queue: Py<Queue>,
    /// None while it is in the queue's hands.
    item: Option<Py<PyAny>>,
    enrol: Enrol,
    enrolled: Enrolled,
}

impl Room {
    pub fn new(queue: &Bound<'_, Queue>, item: &Bound<'_, PyAny>) -> Self {
        Self {
            queue: queue.clone().unbind(),
            item: Some(item.clone().unbind()),
            enrol: Enrol::Last,
            enrolled: Enrolled::Nothing,
        }
    }
}

impl Want for Room {
    fn attempt<'py>(&mut self, py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        let Some(item) = self.item.take() else { return Ok(Progress::Done) };
        let core = self.queue.get().core();
        let enrol = if who.is_some() { self.enrol } else { Enrol::Never };
        match core.put_as(who.unwrap_or(Who::Thread), item, enrol) {
            Put::Done(wakes) => {
                wakes.wake();
                Ok(Progress::Done)
            }
            Put::Full(item, wakes) => {
                self.item = Some(item);
                wakes.wake();
                Ok(Progress::NotYet)
            }
            Put::Closed(_) => Err(errors::shut_down(py)),
            Put::Moved(item) => {
                open::call(py, intern!(py, "aput"), (self.queue.clone_ref(py), item)).map(Progress::Delegate)
            }
            Put::Sort(item, items) => sorted::put(py, core, item, items, 1).map(|()| Progress::Done),
            Put::Turn(item, turn) => {
                self.item = Some(item);
                self.enrolled = Enrolled::for_turn(core, turn, who.is_some())?;
                Ok(Progress::NotYet)
            }
            Put::Wait(node, wakes) => {
                self.enrolled = Enrolled::Wait(node);
                wakes.wake();
                Ok(Progress::NotYet)
            }
        }
    }

    fn arrive<'py>(&mut self, _py: Python<'py>) -> PyResult<Progress<'py>> {
        if let Enrolled::Wait(node) = self.enrolled.take() {
            // It was told of room, or of the end of the queue.
            self.item = node.take_one();
            self.enrol = Enrol::First;
        }
        Ok(if self.item.is_some() { Progress::NotYet } else { Progress::Done })
    }

    fn give_up(&mut self, _py: Python<'_>) {
        match self.enrolled.take() {
            Enrolled::Nothing => {}
            Enrolled::Turn(node) => self.queue.get().core().cancel_wait(&node),
            Enrolled::Wait(node) => {
                let (rest, wakes) = self.queue.get().core().cancel_put(&node);
                wakes.wake();
                drop(rest);
            }
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)?;
        visit.call(&self.item)?;
        self.enrolled.traverse(visit)
    }
}

/// The end of the work on everything that was put.
pub struct Finish {
    queue: Py<Queue>,
    node: Option<Waiting>,
}

impl Finish {
    pub fn new(queue: &Bound<'_, Queue>) -> Self {
        Self { queue: queue.clone().unbind(), node: None }
    }
}

impl Want for Finish {
    fn attempt<'py>(&mut self, py: Python<'py>, who: Option<Who<'_>>) -> PyResult<Progress<'py>> {
        let core = self.queue.get().core();
        match core.join_as(who.unwrap_or(Who::Thread)) {
            Join::Finished => Ok(Progress::Done),
            Join::Moved => {
                open::call(py, intern!(py, "ajoin"), (self.queue.clone_ref(py),)).map(Progress::Delegate)
            }
            Join::Wait(node) => {
                if who.is_some() {
                    self.node = Some(node);
                } else {
                    core.cancel_wait(&node);
                }
                Ok(Progress::NotYet)
            }
        }
    }

    fn arrive<'py>(&mut self, _py: Python<'py>) -> PyResult<Progress<'py>> {
        // Once finished, done: what has been put since is not waited for.
        let is_finished =
            self.node.take().is_some_and(|node| node.waiter().granted() == Some(Signal::Handed));
        Ok(if is_finished { Progress::Done } else { Progress::NotYet })
    }

    fn give_up(&mut self, _py: Python<'_>) {
        if let Some(node) = self.node.take() {
            self.queue.get().core().cancel_wait(&node);
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}
