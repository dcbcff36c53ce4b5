//! Tasks that wait for one another in a circle.
//!
//! A task waits for a lock, which waits for the task that took it; for another task; or for all of those that it gathers. The way
//! is followed only when a task is about to wait for a lock, and from what the tasks are suspended at: nothing is noted for it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::base::calls;
use crate::base::deadlock::{self, Mode};

use super::creating::{self, Found};
use super::lazy::LazyCoroutine;
use super::synchronization::LoopLock;
use super::{future_state, gather, tasks};

/// As many tasks are looked at: whoever waits for more is not held up by the search.
const MOST_TASKS: usize = 1000;

static REPORT: Found = Found::new("tress._task_deadlock", "report");
static CONDITION_WAIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A task, and the lock, task or future that it waits for.
type Link<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

struct Search<'py> {
    /// Who is about to wait.
    seeker: Bound<'py, PyAny>,
    links: Vec<Link<'py>>,
    left: usize,
}

enum Blocker<'py> {
    Lock(Bound<'py, LoopLock>),
    Task(Bound<'py, PyAny>),
    All(Bound<'py, PyAny>),
}

/// Where the way from a task leads.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// To the task that is about to wait.
    Back,
    /// Round in a circle without that one.
    Round,
    /// To somebody who may go on, or cannot be told.
    Out,
}

/// The lock of the condition that `coroutine` waits for, if that is what it does.
fn lock_of_condition<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, LoopLock>>> {
    let py = coroutine.py();
    let wait = CONDITION_WAIT.get_or_try_init(py, || {
        let class = py.import("asyncio.locks")?.getattr("Condition")?;
        class.getattr("wait")?.getattr("__code__").map(Bound::unbind)
    })?;
    if !coroutine.getattr_opt(intern!(py, "cr_code"))?.is_some_and(|code| code.is(wait)) {
        return Ok(None);
    }
    let locals = coroutine.getattr(intern!(py, "cr_frame"))?.getattr(intern!(py, "f_locals"))?;
    let lock = locals.get_item(intern!(py, "self"))?.getattr(intern!(py, "_lock"))?;
    Ok(lock.cast_into().ok())
}

fn is_task(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future.is_instance(&creating::NATIVE_TASK.get(future.py())?.to_owned())
}

/// What a task waits for, of the kinds that are followed.
fn what_blocks<'py>(task: &Bound<'py, PyAny>) -> PyResult<Option<Blocker<'py>>> {
    let py = task.py();
    // Another library's task may be anything.
    let Some(future) = task.getattr_opt(intern!(py, "_fut_waiter"))? else { return Ok(None) };
    // Without a future it is about to run.
    if future.is_none() {
        return Ok(None);
    }
    // With one that is done as well: its turn has come, or it has been cancelled.
    let is_done = future_state::is_done(&future)?;
    if !is_done && is_task(&future)? {
        return Ok(Some(Blocker::Task(future)));
    }
    if !is_done && future.get_type().is(gather::OUTER.get(py)?) {
        return Ok(Some(Blocker::All(future)));
    }
    let (awaiting, awaited) = tasks::end_of_chain(calls::method(task, intern!(py, "get_coro"), None)?)?;
    if let Ok(lazy) = awaited.cast_exact::<LazyCoroutine>()
        && let Some(lock) = lazy.get().lock(py)
    {
        return Ok((!is_done).then_some(Blocker::Lock(lock)));
    }
    // However the wait for a condition ends, the task goes on only when it has the lock again.
    match awaiting {
        Some(awaiting) => Ok(lock_of_condition(&awaiting)?.map(Blocker::Lock)),
        None => Ok(None),
    }
}

impl<'py> Search<'py> {
    /// Where the way from `task` leads; the links are there if it is back.
    fn follow(&mut self, mut task: Bound<'py, PyAny>) -> PyResult<Way> {
        let before = self.links.len();
        let way = loop {
            if task.is(&self.seeker) {
                return Ok(Way::Back);
            }
            if self.links.iter().any(|(on_the_way, _)| on_the_way.is(&task)) {
                break Way::Round;
            }
            self.left = self.left.saturating_sub(1);
            let blocked = if self.left == 0 { None } else { what_blocks(&task)? };
            let (thing, next) = match blocked {
                None => break Way::Out,
                Some(Blocker::Task(next)) => (next.clone(), Some(next)),
                Some(Blocker::Lock(lock)) => {
                    let owner = lock.get().owner(lock.py());
                    (lock.into_any(), owner)
                }
                Some(Blocker::All(gathered)) => {
                    self.links.push((task, gathered.clone()));
                    match self.follow_all(&gathered)? {
                        Way::Back => return Ok(Way::Back),
                        way => break way,
                    }
                }
            };
            let Some(next) = next else { break Way::Out };
            self.links.push((task, thing));
            task = next;
        };
        self.links.truncate(before);
        Ok(way)
    }

    /// The same for what is gathered: whatever still runs of it could fail, and so end the wait.
    fn follow_all(&mut self, gathered: &Bound<'py, PyAny>) -> PyResult<Way> {
        let py = gathered.py();
        let before = self.links.len();
        let mut back = None;
        // Those that have not begun are at the end.
        for child in gathered.getattr(intern!(py, "_children"))?.call_method0("__reversed__")?.try_iter()? {
            let child = child?;
            if future_state::is_done(&child)? {
                continue;
            }
            let way = if is_task(&child)? { self.follow(child)? } else { Way::Out };
            match way {
                Way::Out => {
                    self.links.truncate(before);
                    return Ok(Way::Out);
                }
                Way::Back => {
                    back.get_or_insert_with(|| self.links[before..].to_vec());
                }
                Way::Round => {}
            }
            self.links.truncate(before);
        }
        let Some(back) = back else { return Ok(Way::Round) };
        self.links.extend(back);
        Ok(Way::Back)
    }
}

/// The running task is about to wait for `lock`.
///
/// # Errors
/// DeadlockError if it would wait for itself, unless another mode is set; what a warning raises.
pub fn check(lock: &Bound<'_, LoopLock>) -> PyResult<()> {
    let py = lock.py();
    if deadlock::mode() == Mode::Off {
        return Ok(());
    }
    let (Some(owner), Some(seeker)) = (lock.get().owner(py), tasks::current(py)?) else { return Ok(()) };
    let first = (seeker.clone(), lock.clone().into_any());
    let mut search = Search { seeker, links: vec![first], left: MOST_TASKS };
    if search.follow(owner)? != Way::Back {
        return Ok(());
    }
    REPORT.get(py)?.call1((search.links, deadlock::mode() == Mode::Raise)).map(drop)
}
