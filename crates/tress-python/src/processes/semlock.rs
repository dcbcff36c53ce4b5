//! `SemLock`: what every lock of multiprocessing is made of, with the interface of `_multiprocessing.SemLock`.
//!
//! The lock itself is in shared memory and knows processes. Which thread of this process has it, and how often, is noted
//! here, in the process's own object, as in the standard one. A fork leaves the child with an object that has nothing.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use pyo3::exceptions::{PyAssertionError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tress_core::base::deadline::Deadline;
use tress_core::base::waits;
use tress_core::base::{fork, thread_id};
use tress_core::processes::identity::ProcessId;
use tress_core::processes::lock::{self, Taken, TooMany};
use tress_core::processes::patience::Patience;
use tress_core::processes::semaphore;
use tress_core::processes::slots;
use tress_core::processes::word::Slept;

use crate::attach;
use crate::base::argument::{Timeout, Truth};
use crate::base::waits::what;
use crate::error::OrRaise;

use super::slot::Slot;

const RECURSIVE_MUTEX: i32 = 0;
const SEMAPHORE: i32 = 1;

/// What is shared.
enum Shared {
    Lock(lock::Lock),
    Semaphore(semaphore::Semaphore),
}

impl Shared {
    fn slot(&self) -> &slots::Slot {
        match self {
            Self::Lock(lock) => lock.slot(),
            Self::Semaphore(semaphore) => semaphore.slot(),
        }
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        match self {
            Self::Lock(lock) => lock.try_acquire(),
            Self::Semaphore(semaphore) => semaphore.try_acquire(),
        }
    }

    fn attempt(&self, patience: &mut Patience, until: Option<Deadline>) -> Result<Taken, Slept> {
        match self {
            Self::Lock(lock) => lock.attempt(patience, until),
            Self::Semaphore(semaphore) => semaphore.attempt(patience, until),
        }
    }

    #[inline]
    fn release(&self) -> Result<(), TooMany> {
        match self {
            Self::Lock(lock) => lock.release(),
            Self::Semaphore(semaphore) => semaphore.release(),
        }
    }

    fn value(&self) -> u32 {
        match self {
            Self::Lock(lock) => u32::from(!lock.is_held()),
            Self::Semaphore(semaphore) => semaphore.value(),
        }
    }
}

/// A lock, a recursive lock or a semaphore that processes share, as `_multiprocessing.SemLock`.
#[pyclass(module = "tress._native", frozen, weakref)]
pub struct SemLock {
    shared: Shared,
    kind: i32,
    maxvalue: i32,
    name: Option<String>,
    /// How often this process has it; meaningful in the fork generation that it was noted in.
    count: AtomicI64,
    generation: AtomicU32,
    /// The thread that took it last.
    taker: AtomicU64,
    /// Whether a holder's death is raised, rather than warned of.
    raises: AtomicBool,
}

impl SemLock {
    fn made_of(shared: Shared, kind: i32, maxvalue: i32, name: Option<String>) -> Self {
        Self {
            shared,
            kind,
            maxvalue,
            name,
            count: AtomicI64::new(0),
            generation: AtomicU32::new(fork::generation()),
            taker: AtomicU64::new(0),
            raises: AtomicBool::new(false),
        }
    }

    #[inline]
    fn count(&self) -> i64 {
        if self.generation.load(Ordering::Relaxed) != fork::generation() {
            self.forget();
        }
        self.count.load(Ordering::Relaxed)
    }

    #[cold]
    fn forget(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.generation.store(fork::generation(), Ordering::Relaxed);
    }

    #[inline]
    fn is_mine(&self) -> bool {
        self.count() > 0 && self.taker.load(Ordering::Relaxed) == thread_id::current()
    }

    #[inline]
    fn add(&self, more: i64) {
        self.count.store(self.count() + more, Ordering::Relaxed);
    }

    #[inline]
    fn taken(&self) {
        self.taker.store(thread_id::current(), Ordering::Relaxed);
        self.add(1);
    }

    /// Takes it without waiting, if that can be.
    #[inline]
    pub fn take_now(&self) -> bool {
        if self.kind == RECURSIVE_MUTEX && self.is_mine() {
            self.add(1);
            return true;
        }
        let taken = self.shared.try_acquire();
        if taken {
            self.taken();
        }
        taken
    }

    /// Waits for it; None when the deadline passed, else the process that ended while it held it, if one did.
    fn wait(slf: &Bound<'_, Self>, deadline: Option<Deadline>) -> PyResult<Option<Option<ProcessId>>> {
        let this = slf.get();
        let mut patience = Patience::new();
        let _entry = waits::enter(what("SemLock.acquire", slf), deadline);
        let attempt = |until| this.shared.attempt(&mut patience, until);
        Ok(attach::wait_shared(slf.py(), deadline, attempt)?.map(|taken| {
            this.taken();
            match taken {
                Taken::Free => None,
                Taken::FromDead(dead) => Some(dead),
            }
        }))
    }

    /// Says that `dead` ended while it held it.
    fn tell(slf: &Bound<'_, Self>, dead: ProcessId) -> PyResult<()> {
        static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let tell = TELL.import(slf.py(), "tress._owner_died", "tell")?;
        tell.call1((dead.pid(), slf.get().raises.load(Ordering::Relaxed))).map(|_| ())
    }

    #[cold]
    fn acquire_waiting(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<bool> {
        if timeout == Timeout::Now {
            return Ok(false);
        }
        let Some(dead) = Self::wait(slf, timeout.deadline())? else { return Ok(false) };
        if let Some(dead) = dead {
            if let Err(error) = Self::tell(slf, dead) {
                slf.get().release()?;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Takes it, however long that takes.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<bool> {
        if slf.get().take_now() {
            return Ok(true);
        }
        Self::acquire_waiting(slf, Timeout::Never)
    }

    /// Releases it; `fast.rs` has the method.
    #[inline]
    pub fn release(&self) -> PyResult<()> {
        if self.kind == RECURSIVE_MUTEX {
            if !self.is_mine() {
                return Err(PyAssertionError::new_err(
                    "attempt to release recursive lock not owned by thread",
                ));
            }
            if self.count() > 1 {
                self.add(-1);
                return Ok(());
            }
        }
        self.shared
            .release()
            .map_err(|TooMany| PyValueError::new_err("semaphore or lock released too many times"))?;
        self.add(-1);
        Ok(())
    }
}

/// `timeout` in seconds, negative for none at all; however long.
fn timeout_of(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Timeout> {
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) else { return Ok(Timeout::Never) };
    let seconds: f64 = timeout.extract()?;
    if seconds.is_nan() {
        return Err(PyOSError::new_err((libc::EINVAL, "Invalid argument")));
    }
    Ok(if seconds <= 0.0 { Timeout::Now } else { Timeout::Ns((seconds * 1e9).ceil() as u64) })
}

#[pymethods]
impl SemLock {
    #[classattr]
    const SEM_VALUE_MAX: i32 = i32::MAX;

    /// `kind` is 0 for a recursive lock, 1 for any other; `value` is what it begins with, `maxvalue` the most that releases
    /// can make of it. `name` is kept, unless `unlink` is true, and means nothing: nothing of this has a name in the system.
    #[new]
    fn new(kind: i32, value: i32, maxvalue: i32, name: String, unlink: Truth) -> PyResult<Self> {
        if kind != RECURSIVE_MUTEX && kind != SEMAPHORE {
            return Err(PyValueError::new_err("unrecognized kind"));
        }
        let (Ok(first), Ok(bound)) = (u32::try_from(value), u32::try_from(maxvalue)) else {
            return Err(PyOSError::new_err((libc::EINVAL, "Invalid argument")));
        };
        let shared = if bound == 1 && first <= 1 {
            Shared::Lock(lock::Lock::new(first == 0).or_raise()?)
        } else {
            Shared::Semaphore(semaphore::Semaphore::new(first, bound).or_raise()?)
        };
        Ok(Self::made_of(shared, kind, maxvalue, Some(name).filter(|_| !unlink.0)))
    }

    /// The one that another process has made in the slot `handle`.
    #[staticmethod]
    fn _rebuild(
        handle: &Bound<'_, Slot>,
        kind: i32,
        maxvalue: i32,
        name: Option<String>,
        is_lock: bool,
    ) -> Self {
        let slot = handle.get().get();
        let shared = if is_lock {
            Shared::Lock(lock::Lock::of(slot))
        } else {
            Shared::Semaphore(semaphore::Semaphore::of(slot))
        };
        Self::made_of(shared, kind, maxvalue, name)
    }

    /// Acquires the semaphore or lock, waiting for it if `block` is true, `timeout` seconds at most.
    ///
    /// True if it was acquired. A timeout or a signal takes nothing. When the process that held it has ended, this one gets it
    /// all the same, and is told by a warning or an exception; the exception leaves it to others.
    #[pyo3(signature = (block=Truth(true), timeout=None), text_signature = "($self, block=True, timeout=None)")]
    pub fn acquire(
        slf: &Bound<'_, Self>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let timeout = timeout_of(timeout)?;
        if slf.get().take_now() {
            return Ok(true);
        }
        Self::acquire_waiting(slf, if block.0 { timeout } else { Timeout::Now })
    }

    /// Takes it `count` times over for a condition, whatever a signal handler raises meanwhile: that is raised once it is
    /// held, and so is what there is to say of a holder that has ended.
    fn _reacquire(slf: &Bound<'_, Self>, count: i64) -> PyResult<()> {
        let this = slf.get();
        let one_at_a_time = this.kind != RECURSIVE_MUTEX;
        let mut raised: Option<PyErr> = None;
        let mut keep = |error: PyErr| {
            if let Some(earlier) = raised.take() {
                error.set_context(slf.py(), Some(earlier));
            }
            raised = Some(error);
        };
        let mut left = if one_at_a_time { count } else { count.min(1) };
        while left > 0 {
            if this.take_now() {
                left -= 1;
                continue;
            }
            match Self::wait(slf, None) {
                Ok(dead) => {
                    left -= 1;
                    if let Some(Err(error)) = dead.flatten().map(|dead| Self::tell(slf, dead)) {
                        keep(error);
                    }
                }
                Err(error) => keep(error),
            }
        }
        if !one_at_a_time {
            this.add(count - 1);
        }
        raised.map_or(Ok(()), Err)
    }

    /// How often this process has acquired it, less how often it has released it.
    fn _count(&self) -> i64 {
        self.count()
    }

    /// Whether the calling thread has it.
    fn _is_mine(&self) -> bool {
        self.is_mine()
    }

    /// Its value: how often it can be acquired.
    fn _get_value(&self) -> u32 {
        self.shared.value()
    }

    /// Whether its value is zero.
    fn _is_zero(&self) -> bool {
        self.shared.value() == 0
    }

    /// Forgets what the parent of a fork had.
    fn _after_fork(&self) {
        self.forget();
    }

    /// Says what becomes of the news that a holder has ended: raised if true, else warned of.
    fn _raise_owner_died(&self, raises: bool) {
        self.raises.store(raises, Ordering::Relaxed);
    }

    /// Says that permits are acquired in one process and released in another: they do not come back when a process ends.
    fn _let_permits_travel(&self) {
        if let Shared::Semaphore(semaphore) = &self.shared {
            semaphore.let_permits_travel();
        }
    }

    /// The id of the process that has the lock; None if none has, if it is unknown, and for a semaphore of several permits.
    fn _holder(&self) -> Option<u32> {
        match &self.shared {
            Shared::Lock(lock) => lock.holder().and_then(ProcessId::pid),
            Shared::Semaphore(_) => None,
        }
    }

    /// A number that no other object in this process has: where it is in memory.
    #[getter]
    fn handle(&self) -> usize {
        let slot = self.shared.slot();
        slot.segment().at(slot.offset(), slot.len()).as_ptr() as usize
    }

    /// Where it is, to be passed on.
    #[getter]
    fn slot(&self) -> Slot {
        Slot::of(self.shared.slot())
    }

    #[getter]
    fn kind(&self) -> i32 {
        self.kind
    }

    #[getter]
    fn maxvalue(&self) -> i32 {
        self.maxvalue
    }

    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it is a lock, which knows its holder, rather than a counter.
    #[getter]
    fn is_lock(&self) -> bool {
        matches!(self.shared, Shared::Lock(_))
    }
}
