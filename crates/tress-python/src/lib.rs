//! `tress._native`: the door between tress-core and Python. A table of contents, nothing more.
#![allow(
    missing_docs,
    reason = "the documentation of what Python sees is in the docstrings, which are checked there"
)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("tress supports 64-bit Linux (x86-64, aarch64) only");

#[cfg(not(Py_3_11))]
compile_error!("tress supports CPython 3.11 and later only");

mod attach;
mod base;
mod coroutines;
mod error;
mod processes;
mod threads;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _native {
    use super::*;

    #[pymodule_export]
    use crate::base::deadlock::{deadlock_mode, set_deadlock_mode};
    #[pymodule_export]
    use crate::base::own::own_methods;
    #[pymodule_export]
    use crate::base::signals::tell_eventfd;
    #[pymodule_export]
    use crate::base::timer::Timers;
    #[pymodule_export]
    use crate::base::waits::{Waiting, waits};
    #[pymodule_export]
    use crate::coroutines::accepting::accept;
    #[pymodule_export]
    use crate::coroutines::connecting::literal_address;
    #[pymodule_export]
    use crate::coroutines::creating::create_task;
    #[pymodule_export]
    use crate::coroutines::event_loop::EventLoop;
    #[pymodule_export]
    use crate::coroutines::gather::gather;
    #[pymodule_export]
    use crate::coroutines::handle::{Handle, TimerHandle};
    #[pymodule_export]
    use crate::coroutines::lazy::LazyCoroutine;
    #[pymodule_export]
    use crate::coroutines::queue::LoopQueue;
    #[pymodule_export]
    use crate::coroutines::sleeping::{sleep, wake_sleeper};
    #[pymodule_export]
    use crate::coroutines::stream_protocol::StreamReaderProtocol;
    #[pymodule_export]
    use crate::coroutines::stream_reader::StreamReader;
    #[pymodule_export]
    use crate::coroutines::stream_writer::StreamWriter;
    #[pymodule_export]
    use crate::coroutines::synchronization::{LoopEvent, LoopLock, LoopSemaphore};
    #[pymodule_export]
    use crate::coroutines::task_group::TaskGroup;
    #[pymodule_export]
    use crate::coroutines::tasks::awaited_by;
    #[pymodule_export]
    use crate::coroutines::timeouts::Timeout;
    #[pymodule_export]
    use crate::coroutines::tls::TlsProtocol;
    #[pymodule_export]
    use crate::coroutines::transport::SocketTransport;
    #[pymodule_export]
    use crate::processes::condition::SharedCondition;
    #[pymodule_export]
    use crate::processes::connection::{OnFd, wait_readable};
    #[pymodule_export]
    use crate::processes::event::SharedEvent;
    #[pymodule_export]
    use crate::processes::fast::OnSemLock;
    #[pymodule_export]
    use crate::processes::payload::SharedBlock;
    #[pymodule_export]
    use crate::processes::pool::{ProcessPool, WorkerSeat, mark_begun};
    #[pymodule_export]
    use crate::processes::ready::Ready;
    #[pymodule_export]
    use crate::processes::ring::SharedRing;
    #[pymodule_export]
    use crate::processes::semlock::SemLock;
    #[pymodule_export]
    use crate::processes::slot::Slot;
    #[pymodule_export]
    use crate::processes::worker::{PoolWorker, end_with};
    #[pymodule_export]
    use crate::threads::barrier::Barrier;
    #[pymodule_export]
    use crate::threads::collector::{Completed, FutureObserver, wait_futures};
    #[pymodule_export]
    use crate::threads::condition::Condition;
    #[pymodule_export]
    use crate::threads::event::Event;
    #[pymodule_export]
    use crate::threads::executor::{ThreadPoolExecutor, WorkQueue, note_interpreter_shutdown};
    #[pymodule_export]
    use crate::threads::future::{Future, result_or_cancel};
    #[pymodule_export]
    use crate::threads::future_class::set_future_class;
    #[pymodule_export]
    use crate::threads::lock::Lock;
    #[pymodule_export]
    use crate::threads::queue::class::Queue;
    #[pymodule_export]
    use crate::threads::queue::simple::SimpleQueue;
    #[pymodule_export]
    use crate::threads::rlock::RLock;
    #[pymodule_export]
    use crate::threads::semaphore::Semaphore;
    #[pymodule_export]
    use crate::threads::start::Start;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        tress_core::base::fork::install();
        // Under another name than its own, which the class has here.
        module.setattr("allocate_lock", wrap_pyfunction!(crate::threads::lock::allocate_lock, module)?)?;
        crate::threads::future_class::prepare(module.py())?;
        crate::threads::raw_methods::add(module.py())?;
        crate::coroutines::fast::install(module)?;
        crate::threads::queue::fast::install(module.py())?;
        crate::processes::fast::install(module.py())
    }
}
