//! The owner's side of a pool of processes.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tress_core::base::completion::{Access, Begin};
use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::fork;
use tress_core::base::sync::Mutex;
use tress_core::processes::pool::{Answer, Pool, Refused};
use tress_core::processes::segment::Segment;
use tress_core::processes::word::Slept;

use crate::attach;
use crate::base::argument::Timeout;
use crate::base::calls;
use crate::error::OrRaise;
use crate::threads::future::{Future, Outcome};

use super::payload::{self, Outgoing};
use super::ready::Ready;

/// Answers of this kind and below (0 is a result) end a future; the rest is the Python side's.
const EXCEPTION: u32 = 1;

/// Tasks of so many bytes are copied without the interpreter.
const LARGE: usize = 1 << 20;

/// A leader looks at its own future as often as that, whoever ends it.
const LOOK_NS: u64 = 50_000_000;

struct Entry {
    future: Py<Future>,
    /// Where the future goes when it has ended.
    ready: Option<Py<Ready>>,
    position: Option<u64>,
}

/// Answers that are nothing to a future: worker, kind, task, pickle.
type Event = (u32, u32, u64, Py<PyAny>);

/// Who reads answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The thread of the pool.
    Collector,
    /// A thread that waits for a result.
    Waiter,
    /// A thread that waits for results, and offers more tasks itself when it has some.
    Feeder,
}

/// The shared memory of a pool of processes, and the futures of the tasks in it.
#[pyclass(module = "tress._native", frozen)]
pub struct ProcessPool {
    pool: Pool,
    entries: Mutex<HashMap<u64, Entry>>,
    events: Mutex<Vec<Event>>,
    /// Answers that are the collector's to hand on.
    deferred: Mutex<Vec<Answer>>,
    next_id: AtomicU64,
    hungry: AtomicBool,
    answered: AtomicU64,
    generation: u32,
}

/// What one worker is given: to be kept until the worker has it.
#[pyclass(module = "tress._native", frozen)]
pub struct WorkerSeat {
    #[pyo3(get)]
    number: u32,
    segment: Arc<Segment>,
}

#[pymethods]
impl WorkerSeat {
    /// The file descriptor and the length of the worker's own memory.
    #[getter]
    fn memory(&self) -> (RawFd, usize) {
        (self.segment.fd().as_raw_fd(), self.segment.len())
    }
}

impl ProcessPool {
    /// Ends the futures that `answers` are for. Only the collector calls done-callbacks, and runs whatever else may want a lock
    /// that a thread which waits for a result holds.
    fn settle(&self, py: Python<'_>, answers: Vec<Answer>, reader: Reader) -> PyResult<()> {
        let collects = reader == Reader::Collector;
        let mut left = false;
        for answer in answers {
            if answer.kind > EXCEPTION {
                let (pickle, _) = match payload::open(py, answer.payload) {
                    Ok(opened) => opened,
                    Err(_) => (PyBytes::new(py, b"").into_any(), None),
                };
                self.events.lock().push((answer.worker, answer.kind, answer.id, pickle.unbind()));
                left = true;
                continue;
            }
            let entry = {
                let entries = self.entries.lock();
                entries.get(&answer.id).map(|entry| {
                    (entry.future.clone_ref(py), entry.ready.as_ref().map(|ready| ready.clone_ref(py)))
                })
            };
            let Some((future, ready)) = entry else { continue };
            let future = future.into_bound(py);
            if !collects && future.get().has_callbacks(py) {
                self.deferred.lock().push(answer);
                left = true;
                continue;
            }
            drop(self.forget(answer.id));
            self.answered.fetch_add(1, Ordering::Relaxed);
            let outcome = unpickle(py, answer);
            if let Err(error) = Future::finish(&future, outcome) {
                // It was cancelled, or ended by somebody else.
                if !future.get().completion().state().is_done() {
                    return Err(error);
                }
            } else if let Some(ready) = ready {
                ready.get().put(py, future.into_any().unbind())?;
            }
        }
        if !collects && (left || (reader == Reader::Waiter && self.hungry.load(Ordering::Relaxed))) {
            self.pool.wake_collector();
        }
        Ok(())
    }

    /// Waits, as the thread that reads the answers, until `is_over`, or a feeder until it has read some. False when another reads.
    fn lead(
        &self,
        py: Python<'_>,
        is_over: &(dyn Fn() -> bool + Sync),
        deadline: Option<Deadline>,
        reader: Reader,
    ) -> PyResult<bool> {
        while !is_over() && !deadline.is_some_and(Deadline::has_passed) {
            if (reader == Reader::Waiter && self.hungry.load(Ordering::Relaxed)) || !self.pool.lead() {
                return Ok(false);
            }
            if is_over() {
                // It was ended while nobody was to be told.
                self.pool.stop_leading();
                break;
            }
            let mut read = Vec::new();
            let outcome = attach::wait_shared(py, deadline, |until| {
                let look = Deadline::after_ns(LOOK_NS);
                let sooner = until.map_or(look, |until| until.min(look));
                match self.pool.read_leading(Some(sooner)) {
                    Ok(answers) => {
                        read = answers;
                        Ok(())
                    }
                    Err(_) if is_over() => Ok(()),
                    Err(Slept::TimedOut) if until.is_none_or(|until| now_ns() < until.as_ns()) => {
                        Err(Slept::Woken)
                    }
                    Err(slept) => Err(slept),
                }
            });
            // Foreign code runs from here on, and others must not wait for it.
            self.pool.stop_leading();
            let some = !read.is_empty();
            self.settle(py, read, reader)?;
            outcome?;
            if some && reader == Reader::Feeder {
                break;
            }
        }
        Ok(true)
    }
}

/// The outcome that `answer` brings.
fn unpickle(py: Python<'_>, answer: Answer) -> Outcome {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static LOADS_APART: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static UNREADABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let failed = answer.kind == EXCEPTION;
    let loaded = payload::open(py, answer.payload).and_then(|(pickle, buffers)| {
        let (loads, arguments) = match buffers {
            None => (LOADS.import(py, "pickle", "loads")?, PyTuple::new(py, [pickle])?),
            Some(buffers) => {
                let loads = LOADS_APART.import(py, "tress.concurrent.futures._pickling", "loads_apart")?;
                (loads, PyTuple::new(py, [pickle, buffers.into_any()])?)
            }
        };
        match calls::call(loads, &arguments) {
            Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => {
                // It is meant for whoever waits here, and not for the result: once more, and then for them.
                let again = calls::call(loads, &arguments);
                // SAFETY: it sets a flag, and may be called at any time.
                unsafe { pyo3::ffi::PyErr_SetInterrupt() };
                again
            }
            loaded => loaded,
        }
    });
    match loaded {
        Ok(value) if failed => Outcome::Exception(value.unbind()),
        Ok(value) => Outcome::Result(value.unbind()),
        Err(error) => {
            let made = UNREADABLE
                .import(py, "tress.concurrent.futures._pickling", "unreadable")
                .and_then(|unreadable| unreadable.call1(("the result of the call", error.value(py))));
            Outcome::Exception(match made {
                Ok(error) => error.unbind(),
                Err(error) => error.into_value(py).into_any(),
            })
        }
    }
}

/// Notes that the call of `future` has begun, unless it has ended or somebody else did.
#[pyfunction]
pub fn mark_begun(future: &Bound<'_, Future>) {
    if let Ok(Begin::Cancelled(wakes)) = future.get().completion().begin(Access::Free) {
        wakes.wake();
    }
}

#[pymethods]
impl ProcessPool {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self {
            pool: Pool::create().or_raise()?,
            entries: Mutex::new(HashMap::new()),
            events: Mutex::new(Vec::new()),
            deferred: Mutex::new(Vec::new()),
            next_id: AtomicU64::new(0),
            hungry: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            generation: fork::generation(),
        })
    }

    /// RuntimeError in a child of a fork: it shares the memory with its parent, whose pool it is.
    fn check_here(&self) -> PyResult<()> {
        if self.generation == fork::generation() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this pool of processes belongs to the parent process; make one of your own after a fork",
        ))
    }

    /// The file descriptor and the length of the memory that every worker is given.
    #[getter]
    fn memory(&self) -> (RawFd, usize) {
        (self.pool.segment().fd().as_raw_fd(), self.pool.segment().len())
    }

    /// The file descriptor that becomes readable when the collector is to look; every worker is given it.
    #[getter]
    fn collector(&self) -> RawFd {
        self.pool.collector().as_raw_fd()
    }

    /// Room for one more worker.
    fn add_worker(&self) -> PyResult<WorkerSeat> {
        self.check_here()?;
        match self.pool.add_worker().or_raise()? {
            Some((number, segment)) => Ok(WorkerSeat { number, segment }),
            None => Err(PyRuntimeError::new_err("a pool of processes has at most 1024 workers")),
        }
    }

    /// Offers a task: its number, or None if there is no room for it now. The future goes to `ready` when an answer has ended it.
    #[pyo3(signature = (future, pickle, buffers=None, ready=None))]
    fn offer(
        &self,
        future: &Bound<'_, Future>,
        pickle: &Bound<'_, PyList>,
        buffers: Option<&Bound<'_, PyList>>,
        ready: Option<Py<Ready>>,
    ) -> PyResult<Option<u64>> {
        self.check_here()?;
        let outgoing = Outgoing::new(pickle, buffers)?;
        let parts = outgoing.parts();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // A worker may have answered before it is known where the task stands.
        let entry = Entry { future: future.clone().unbind(), ready, position: None };
        self.entries.lock().insert(id, entry);
        let offered = if parts.iter().map(|part| part.len()).sum::<usize>() < LARGE {
            self.pool.offer(id, &parts)
        } else {
            future.py().detach(|| self.pool.offer(id, &parts))
        };
        match offered {
            Ok(position) => {
                if let Some(entry) = self.entries.lock().get_mut(&id) {
                    entry.position = Some(position);
                }
                self.pool.wake_one();
                Ok(Some(id))
            }
            Err(refused) => {
                drop(self.forget(id));
                match refused {
                    Refused::Full => Ok(None),
                    Refused::OutOfMemory(error) => {
                        Err(PyMemoryError::new_err(format!("no shared memory for the task: {error}")))
                    }
                }
            }
        }
    }

    /// Takes out a task that is not to be answered any more: its future.
    fn forget(&self, id: u64) -> Option<Py<Future>> {
        self.entries.lock().remove(&id).map(|entry| entry.future)
    }

    /// Takes a task back that no worker has begun; whether that was so.
    fn take_back(&self, id: u64) -> bool {
        let position = self.entries.lock().get(&id).and_then(|entry| entry.position);
        let taken = position.is_some_and(|position| self.pool.take_back(id, position));
        if taken {
            drop(self.forget(id));
        }
        taken
    }

    /// Whether a worker has begun the task.
    fn is_begun(&self, id: u64) -> bool {
        let position = self.entries.lock().get(&id).map(|entry| entry.position);
        position.is_none_or(|position| position.is_some_and(|position| self.pool.is_begun(position)))
    }

    /// Waits until `future` has ended or `timeout` seconds have passed, reading answers if nobody else does.
    /// One that feeds comes back as soon as it has read some, to offer more.
    #[pyo3(signature = (future, timeout=None, feeds=false))]
    fn wait_for(
        &self,
        future: &Bound<'_, Future>,
        timeout: Option<&Bound<'_, PyAny>>,
        feeds: bool,
    ) -> PyResult<()> {
        let py = future.py();
        let deadline = Timeout::optional(timeout)?.deadline();
        let reader = if feeds { Reader::Feeder } else { Reader::Waiter };
        let completion = future.get().completion();
        let is_over = || completion.state().is_done();
        if self.generation != fork::generation() || !self.lead(py, &is_over, deadline, reader)? {
            Future::wait_until(future, deadline, "Future.result")?;
        }
        Ok(())
    }

    /// Waits until something is in `ready` or `timeout` seconds have passed, or until this thread has read answers. `bell` is a new
    /// future, by which others tell it.
    #[pyo3(signature = (ready, bell, timeout=None, feeds=true))]
    fn wait_ready(
        &self,
        ready: &Bound<'_, Ready>,
        bell: &Bound<'_, Future>,
        timeout: Option<&Bound<'_, PyAny>>,
        feeds: bool,
    ) -> PyResult<()> {
        let py = ready.py();
        let deadline = Timeout::optional(timeout)?.deadline();
        let reader = if feeds { Reader::Feeder } else { Reader::Waiter };
        let ready = ready.get();
        ready.arm(bell.clone().unbind());
        let is_over = || !ready.is_empty();
        let mut waited = Ok(());
        let led = self.generation == fork::generation() && self.lead(py, &is_over, deadline, reader)?;
        if !led && ready.is_empty() {
            waited = Future::wait_until(bell, deadline, "next").map(drop);
        }
        ready.disarm(bell.clone().unbind());
        waited
    }

    /// For the collector: ends the futures of what has been answered; the answers that are for no future.
    fn collect(&self, py: Python<'_>) -> PyResult<Vec<Event>> {
        let deferred = std::mem::take(&mut *self.deferred.lock());
        self.settle(py, deferred, Reader::Collector)?;
        let answers = self.pool.read();
        let some = !answers.is_empty();
        self.settle(py, answers, Reader::Collector)?;
        if some {
            self.pool.wake_leader();
        }
        Ok(std::mem::take(&mut *self.events.lock()))
    }

    /// For the collector, before it sleeps until `collector` is readable.
    fn before_sleep(&self) {
        self.pool.before_collector_sleeps();
    }

    /// For the collector, when it has slept.
    fn after_sleep(&self) {
        self.pool.after_collector_slept();
    }

    /// Has the collector look.
    fn wake_collector(&self) {
        self.pool.wake_collector();
    }

    /// Takes out a worker that is dead: the futures of the tasks that it had begun and not answered.
    fn bury(&self, py: Python<'_>, worker: u32) -> PyResult<Vec<Py<Future>>> {
        let (answers, lost) = self.pool.bury(worker);
        self.settle(py, answers, Reader::Collector)?;
        let mut entries = self.entries.lock();
        let futures = lost.iter().filter_map(|id| entries.remove(id)).map(|entry| entry.future).collect();
        drop(entries);
        Ok(futures)
    }

    /// The futures of all tasks that have not been answered; they are nothing to the pool any more.
    fn abandon(&self) -> Vec<Py<Future>> {
        let entries = std::mem::take(&mut *self.entries.lock());
        entries.into_values().map(|entry| entry.future).collect()
    }

    /// The futures of all tasks that have not been answered.
    fn futures(&self, py: Python<'_>) -> Vec<Py<Future>> {
        self.entries.lock().values().map(|entry| entry.future.clone_ref(py)).collect()
    }

    /// Says whether every answer is the collector's: it has calls that wait for room, or is to end with the last one.
    fn set_hungry(&self, hungry: bool) {
        self.hungry.store(hungry, Ordering::Relaxed);
    }

    /// Has a leader look whether what it waits for has happened.
    fn wake_leader(&self) {
        self.pool.wake_leader();
    }

    /// Has every worker end once no task is offered any more.
    fn close(&self) {
        self.pool.close();
    }

    /// How many tasks have been offered and not been answered.
    #[getter]
    fn unfinished(&self) -> usize {
        self.entries.lock().len()
    }

    /// How many tasks have been answered.
    #[getter]
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many workers sleep.
    #[getter]
    fn idle(&self) -> usize {
        self.pool.idle()
    }

    /// Notes that the call which `worker` is at is to be broken off; whether it is at one.
    fn interrupt(&self, worker: u32) -> bool {
        self.pool.interrupt(worker)
    }

    /// The task that `worker` is at, and since when, in nanoseconds of the monotonic clock.
    fn current(&self, worker: u32) -> Option<(u64, u64)> {
        self.pool.current(worker)
    }

    /// Decides that `worker` is to be killed for task `id`; False if it is not at that.
    fn condemn(&self, worker: u32, id: u64) -> bool {
        self.pool.condemn(worker, id)
    }

    /// Gives memory of large tasks that workers are done with to the system; whether no more is to come back.
    fn trim(&self) -> bool {
        self.pool.trim()
    }

    /// How many bytes of large tasks are with workers, or wait for one.
    #[getter]
    fn lent_bytes(&self) -> usize {
        self.pool.lent_bytes()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(entries) = self.entries.try_lock() {
            for entry in entries.values() {
                visit.call(&entry.future)?;
                if let Some(ready) = &entry.ready {
                    visit.call(ready)?;
                }
            }
        }
        if let Some(events) = self.events.try_lock() {
            for (_, _, _, pickle) in events.iter() {
                visit.call(pickle)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        drop(self.abandon());
        drop(std::mem::take(&mut *self.events.lock()));
    }
}
