//! A worker of a thread pool: the loop that takes calls, makes them and delivers what they return.
//!
//! The loop is written without anything to clean up: until 3.14 the interpreter ends a thread that outlives it by unwinding
//! its stack from wherever it asks for the interpreter lock, which is somewhere inside the calls made here. So the frame that
//! makes them has no destructor to run, is declared to let an unwinding pass, and calls Python through declarations that say
//! the same. Everything else happens in functions that have returned by then. Each tells PyO3 that the thread is attached
//! (`Python::attach`), without which PyO3 could not drop what it holds.
//!
//! Whoever waits for a result is woken at the last moment before that could take long: when the queue is empty, after this
//! thread has let go of the interpreter, and otherwise right before the next call. A wake-up while the interpreter is held
//! only moves the woken thread to another queue.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use tress_core::base::completion::{Access, Begin};
use tress_core::base::deadline::now_ns;
use tress_core::base::waitlist::Wakes;
use tress_core::base::waits::{self, What};
use tress_core::threads::pool::{Arrival, Next};

use super::executor::WorkQueue;
use super::future::{Future, Outcome};
use super::future_transitions::invoke_callbacks;
use super::work::{Call, RawCall, Work};
use crate::attach;
use crate::base::calls::unwinding;

/// After so many calls the worker looks at the clock: see [`Turn::give_way`].
const TURNS: u32 = 16;

/// What the loop is to do now. Plain pointers: the loop owns nothing.
#[derive(Clone, Copy)]
enum Step {
    /// Make this call, then `deliver` what it returns.
    Call(RawCall),
    /// Make this call, then `finish_item`.
    Item { method: *mut PyObject, argument: *mut PyObject },
    /// It is over.
    End,
}

/// The callbacks of a future are to be called: `invoke` with `future`, then `finish_callbacks`.
#[derive(Clone, Copy)]
struct Callbacks {
    invoke: *mut PyObject,
    future: *mut PyObject,
}

/// The state of the loop, none of which needs a destructor.
struct Turn {
    arrival: Arrival,
    /// The call being made.
    call: MaybeUninit<Call>,
    /// Who waits for the outcome that was delivered last.
    owed: ManuallyDrop<Wakes>,
    turns: u32,
    /// When others may have the interpreter next, on the clock of [`now_ns`].
    give_way_ns: u64,
}

impl Turn {
    fn new() -> Self {
        Self {
            arrival: Arrival::New,
            call: MaybeUninit::uninit(),
            owed: ManuallyDrop::new(Wakes::none()),
            turns: 0,
            give_way_ns: 0,
        }
    }

    /// Lets others have the interpreter now and then: a callable in C does not, as Python code does by itself.
    ///
    /// Seldom, though. Who wants the interpreter asks its holder for it after a switch interval in which it was not let go of;
    /// a holder that lets go more often, and takes it again before the other is awake, is never asked and never gives way.
    fn give_way(&mut self, py: Python<'_>) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns % TURNS != 0 || now_ns() < self.give_way_ns {
            return;
        }
        attach::give_way(py);
        match attach::switch_interval_ns(py) {
            Ok(interval_ns) => self.give_way_ns = now_ns().saturating_add(2 * interval_ns),
            Err(error) => report(py, error),
        }
    }

    /// Who is to be woken, which the caller does now.
    fn take_owed(&mut self) -> Wakes {
        std::mem::take(&mut *self.owed)
    }

    /// Wakes who is owed it, and owes `wakes` from now on.
    fn owe(&mut self, wakes: Wakes) {
        std::mem::replace(&mut *self.owed, wakes).wake();
    }
}

/// `WorkQueue._work(context)`: works until the queue is closed and empty.
///
/// # Safety
/// As the interpreter calls a method that takes one argument: `queue` is a `WorkQueue`, and the thread is attached.
pub unsafe extern "C-unwind" fn work(queue: *mut PyObject, context: *mut PyObject) -> *mut PyObject {
    let vectorcall = unwinding!(
        PyObject_Vectorcall(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject
    );
    let mut turn = Turn::new();
    loop {
        // SAFETY: by the contract of this function. What `take_turn` returns is alive until the call that follows is
        // finished below: the call is in `turn`, and an item's pointers are owned.
        match unsafe { take_turn(queue, context, &mut turn) } {
            Step::Call(call) => {
                // SAFETY: the pointers are live objects, and slot -1 of the arguments is the callee's to use.
                let made = unsafe {
                    vectorcall(
                        call.callable,
                        call.arguments,
                        call.positional | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                        call.names,
                    )
                };
                // SAFETY: `made` is what the call in `turn` returned.
                let callbacks = unsafe { deliver(&mut turn, made) };
                if !callbacks.invoke.is_null() {
                    // SAFETY: both are live: `invoke` for as long as the process, `future` until the next line.
                    let made = unsafe { vectorcall(callbacks.invoke, &callbacks.future, 1, ptr::null_mut()) };
                    // SAFETY: both references are owned here and given away.
                    unsafe { finish_callbacks(callbacks.future, made) };
                }
            }
            Step::Item { method, argument } => {
                let count = usize::from(!argument.is_null());
                // SAFETY: the pointers are live objects.
                let made = unsafe { vectorcall(method, &argument, count, ptr::null_mut()) };
                // SAFETY: both references are owned here and given away.
                unsafe { finish_callbacks(method, made) };
            }
            Step::End => {
                // SAFETY: the thread is attached.
                return unsafe { Python::assume_attached() }.None().into_ptr();
            }
        }
    }
}

/// Waits for the next thing to do.
///
/// # Safety
/// As for [`work`].
#[inline(never)]
unsafe fn take_turn(queue: *mut PyObject, context: *mut PyObject, turn: &mut Turn) -> Step {
    Python::attach(|py| {
        // SAFETY: by the caller's promise; the caller of the method holds a reference.
        let queue = unsafe { Borrowed::from_ptr(py, queue).cast_unchecked::<WorkQueue>() };
        let pool = &queue.get().shared().pool;
        loop {
            match pool.next(turn.arrival) {
                Next::Work(work, wakes) => {
                    turn.owe(wakes);
                    turn.take_owed().wake();
                    turn.give_way(py);
                    match work {
                        Work::Call(call) => match call.future().get().completion().begin(Access::Free) {
                            Ok(Begin::Begun) => {
                                turn.arrival = Arrival::Done;
                                return Step::Call(turn.call.write(call).raw());
                            }
                            begun => {
                                if begin_anyhow(py, &call, begun, turn) {
                                    turn.arrival = Arrival::Done;
                                    return Step::Call(turn.call.write(call).raw());
                                }
                                turn.arrival = Arrival::Skipped;
                                drop(call);
                            }
                        },
                        Work::Item(item) => {
                            turn.arrival = Arrival::Done;
                            if let Some(step) = item_step(py, item, context) {
                                return step;
                            }
                        }
                    }
                }
                Next::Idle(waiter) => {
                    turn.arrival = Arrival::Woken;
                    let owed = turn.take_owed();
                    let what = What { operation: "ThreadPoolExecutor.idle", object: queue.as_ptr() as usize };
                    // Signal handlers run in the main thread: nothing but a grant ends the wait.
                    let waited =
                        attach::wait_entered(py, || owed.wake(), &waiter, None, || waits::enter(what, None));
                    if let Err(error) = waited {
                        report(py, error);
                    }
                }
                Next::Closed => {
                    turn.take_owed().wake();
                    return Step::End;
                }
            }
        }
    })
}

/// What is to be done about a call whose future did not begin at once; true when it has begun after all.
#[cold]
fn begin_anyhow(
    py: Python<'_>,
    call: &Call,
    begun: Result<Begin, tress_core::base::completion::Refused>,
    turn: &mut Turn,
) -> bool {
    match begun {
        Ok(Begin::Begun) => true,
        Ok(Begin::Cancelled(wakes)) => {
            turn.owe(wakes);
            false
        }
        Err(_) => match Future::begin(call.future().bind(py)) {
            Ok(begun) => begun,
            Err(error) => {
                report(py, error);
                false
            }
        },
    }
}

/// How to run a work item of the standard library's kind.
#[cold]
fn item_step(py: Python<'_>, item: Py<PyAny>, context: *mut PyObject) -> Option<Step> {
    match item.into_bound(py).getattr("run") {
        Ok(method) => {
            let argument = if cfg!(Py_3_14) { context } else { ptr::null_mut() };
            Some(Step::Item { method: method.into_ptr(), argument })
        }
        Err(error) => {
            report(py, error);
            None
        }
    }
}

/// Ends the future of the call in `turn` with what the call returned.
///
/// # Safety
/// The thread is attached, `turn` has a call, and `made` is an owned reference, or null with an exception set.
#[inline(never)]
unsafe fn deliver(turn: &mut Turn, made: *mut PyObject) -> Callbacks {
    Python::attach(|py| {
        let outcome = if made.is_null() {
            Outcome::Exception(take_exception(py))
        } else {
            // SAFETY: an owned reference, by the caller's promise.
            Outcome::Result(unsafe { Bound::from_owned_ptr(py, made) }.unbind())
        };
        // SAFETY: by the caller's promise; it is not read again before another call is written.
        let call = unsafe { turn.call.assume_init_read() };
        // Callable and arguments go first: when the outcome is seen, the pool has no reference to them.
        let future = call.into_future().into_bound(py);
        let none = Callbacks { invoke: ptr::null_mut(), future: ptr::null_mut() };
        let failed = matches!(outcome, Outcome::Exception(_));
        match future.get().completion().finish(Access::Free, outcome, failed) {
            Ok(ended) => {
                turn.owe(ended.wakes);
                if ended.extended && future.get().has_callbacks(py) {
                    turn.take_owed().wake();
                    match invoke_callbacks(py) {
                        Ok(invoke) => {
                            return Callbacks { invoke: invoke.as_ptr(), future: future.into_ptr() };
                        }
                        Err(error) => report(py, error),
                    }
                }
            }
            Err((refused, outcome)) => {
                if let Err(error) = Future::finish_refused(&future, refused, outcome) {
                    report(py, error);
                }
            }
        }
        none
    })
}

/// The exception that is set, taken.
fn take_exception(py: Python<'_>) -> Py<PyAny> {
    #[cfg(Py_3_12)]
    {
        // SAFETY: the thread is attached; the reference is owned, or null when a callable broke the protocol.
        let exception = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyErr_GetRaisedException()) };
        if let Some(exception) = exception {
            return exception.unbind();
        }
    }
    // Makes an exception where there is none, and puts the traceback into it where the interpreter keeps that apart.
    PyErr::fetch(py).into_value(py).into_any()
}

/// Drops `owned` and what a call returned; an exception is logged.
///
/// # Safety
/// The thread is attached, and both are owned references; `made` may be null with an exception set.
#[inline(never)]
unsafe fn finish_callbacks(owned: *mut PyObject, made: *mut PyObject) {
    Python::attach(|py| {
        // SAFETY: by the caller's promise.
        drop(unsafe { Bound::from_owned_ptr(py, owned) });
        // SAFETY: by the caller's promise.
        if unsafe { Bound::from_owned_ptr_or_opt(py, made) }.is_none() {
            report(py, PyErr::fetch(py));
        }
    });
}

/// Logs what must not end the worker.
#[cold]
fn report(py: Python<'_>, error: PyErr) {
    let logged = py
        .import("tress.concurrent.futures.thread")
        .and_then(|module| module.getattr("_log_exception_in_worker")?.call1((error.value(py),)).map(drop));
    if let Err(error) = logged {
        error.write_unraisable(py, None);
    }
}
