//! The worker's side of a pool of processes.

use std::os::fd::RawFd;
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tress_core::base::sync::Mutex;
use tress_core::processes::segment::Segment;
use tress_core::processes::worker::Worker;

use crate::attach;
use crate::error::OrRaise;

use super::descriptor::duplicate;
use super::payload::{self, Outgoing};

/// What a worker process takes tasks from and answers to.
#[pyclass(module = "tress._native", frozen)]
pub struct PoolWorker {
    /// One thread at a time: a worker's loop has one.
    worker: Mutex<Option<Worker>>,
}

/// The memory behind a file descriptor that stays its owner's.
fn segment(fd: RawFd, len: usize) -> PyResult<Arc<Segment>> {
    Ok(Arc::new(Segment::open(duplicate(fd)?, len).or_raise()?))
}

impl PoolWorker {
    /// Runs `f` with the worker, detached calls included: nobody else may use it meanwhile.
    fn with<T>(&self, f: impl FnOnce(&mut Worker) -> PyResult<T>) -> PyResult<T> {
        let mut worker = self
            .worker
            .lock()
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("a worker of a pool serves in one thread"))?;
        let done = f(&mut worker);
        *self.worker.lock() = Some(worker);
        done
    }
}

#[pymethods]
impl PoolWorker {
    #[new]
    fn new(number: u32, pool: (RawFd, usize), own: (RawFd, usize), collector: RawFd) -> PyResult<Self> {
        let worker =
            Worker::new(segment(pool.0, pool.1)?, segment(own.0, own.1)?, number, duplicate(collector)?);
        Ok(Self { worker: Mutex::new(Some(worker)) })
    }

    /// The next task, waiting for one: its number, its pickle, and the pickle's buffers or None. None when the pool is closed.
    #[allow(clippy::type_complexity, reason = "it is Python's to unpack")]
    fn take<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(u64, Bound<'py, PyAny>, Option<Bound<'py, PyTuple>>)>> {
        let task = self.with(|worker| {
            // Without a task nothing is waited for but the attempt below: most often one is there.
            match worker.take().or_raise()? {
                None => match attach::wait_shared(py, None, |until| worker.take_or_sleep(until))? {
                    Some(taken) => Ok(taken?),
                    None => Ok(None),
                },
                task => Ok(task),
            }
        })?;
        task.map(|task| {
            let (pickle, buffers) = payload::open(py, task.payload)?;
            Ok((task.id, pickle, buffers))
        })
        .transpose()
    }

    /// Answers: `kind` and `id`, and a pickle with its buffers. Waits while the pool's owner has no room for it.
    #[pyo3(signature = (kind, id, pickle, buffers=None))]
    fn answer(
        &self,
        py: Python<'_>,
        kind: u32,
        id: u64,
        pickle: &Bound<'_, PyList>,
        buffers: Option<&Bound<'_, PyList>>,
    ) -> PyResult<()> {
        let outgoing = Outgoing::new(pickle, buffers)?;
        let parts = outgoing.parts();
        self.with(|worker| {
            let placed = worker.place(&parts).or_raise()?;
            if !worker.answer_at_once(kind, id, &parts, placed.as_ref()) {
                attach::wait_shared(py, None, |until| {
                    worker.answer(kind, id, &parts, placed.as_ref(), until)
                })?;
            }
            if worker.is_cut_off() {
                let error = (libc::EBADF, "a call has closed the descriptors of the worker that made it");
                return Err(PyOSError::new_err(error));
            }
            Ok(())
        })
    }

    /// Whether the pool's owner wants the present task broken off.
    fn is_interrupted(&self) -> PyResult<bool> {
        self.with(|worker| Ok(worker.is_interrupted()))
    }

    /// The task is over, and whatever becomes of this process from here on is nothing to it. False if the pool's owner has decided
    /// to kill this process: it must not take another.
    fn finish(&self) -> PyResult<bool> {
        self.with(|worker| Ok(worker.finish()))
    }
}

/// Ends this process, at once, when process `pid`, its owner, has ended.
#[pyfunction]
pub fn end_with(pid: i32) -> PyResult<()> {
    tress_core::processes::watch::end_with(pid).or_raise()
}
