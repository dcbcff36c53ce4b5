//! One outcome, delivered once.
//!
//! | state     | meaning                                  | may become                   |
//! |-----------|------------------------------------------|------------------------------|
//! | PENDING   | not begun                                | RUNNING, CANCELLED, FINISHED |
//! | RUNNING   | somebody works on it                     | FINISHED                     |
//! | CANCELLED | final for who waits; its worker may come | NOTIFIED                     |
//! | NOTIFIED  | final: its worker knows of the end       |                              |
//! | FINISHED  | final: the outcome is there              |                              |
//!
//! Waiters ([`Completion::enrol`]) wait for any of the last three. Collectors ([`Completion::observe`]) wait for NOTIFIED
//! or FINISHED: what is merely cancelled may still be in somebody's queue.
//!
//! Transitions happen under the mutex, but for PENDING -> RUNNING, which is one compare-and-swap: whoever cancels under the
//! mutex competes with it by a compare-and-swap, and whoever finishes may overwrite either state.
//!
//! GUARDED is set for good when the embedder hands the completion to code that brings a lock of its own ("hold this lock,
//! and nothing will change"). From then on a transition is refused unless the caller says that it holds that lock.

use super::collector::Collector;
use super::sync::atomic::{AtomicU32, Ordering};
use super::sync::{Arc, Mutex, MutexGuard};
use super::waiter::{Cancel as CancelWait, Signal, Waiter};
use super::waitlist::{WaitList, Wakes};

const GUARDED: u32 = 8;

/// See the table of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Not begun.
    Pending = 0,
    /// Begun.
    Running = 1,
    /// Given up before it began.
    Cancelled = 2,
    /// Given up, and whoever was to begin it has been told.
    Notified = 3,
    /// The outcome is there.
    Finished = 4,
}

impl State {
    fn of(word: u32) -> Self {
        match word & !GUARDED {
            0 => Self::Pending,
            1 => Self::Running,
            2 => Self::Cancelled,
            3 => Self::Notified,
            _ => Self::Finished,
        }
    }

    /// Whether it is final for whoever waits for the outcome.
    pub fn is_done(self) -> bool {
        self as u32 >= Self::Cancelled as u32
    }

    /// Whether it was given up.
    pub fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::Notified)
    }

    /// Whether collectors have been told.
    pub fn is_settled(self) -> bool {
        self as u32 >= Self::Notified as u32
    }
}

/// Whether the caller holds the lock that guards the completion, should there be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does not.
    Free,
    /// It does.
    Guarded,
}

/// Why a transition did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not possible from this state.
    State(State),
    /// Take the lock that guards the completion, then try again with [`Access::Guarded`].
    Guarded,
}

/// What came of [`Completion::begin`].
#[derive(Debug)]
#[must_use]
pub enum Begin {
    /// The caller is to do the work.
    Begun,
    /// It was cancelled: there is nothing to do.
    Cancelled(Wakes),
}

/// What came of [`Completion::cancel`].
#[derive(Debug)]
#[must_use]
pub enum Cancel {
    /// It is cancelled now.
    Now(Ended),
    /// It was cancelled before.
    Before,
    /// Too late: it is running or finished.
    Late,
}

/// A completion that has just ended.
#[derive(Debug)]
#[must_use = "call wakes.wake()"]
pub struct Ended {
    /// Who is to be woken.
    pub wakes: Wakes,
    /// Whether the embedder's extension exists: it may hold something to call.
    pub extended: bool,
}

#[derive(Debug)]
struct Observer {
    collector: Arc<Collector>,
    token: usize,
}

/// What most completions never need.
#[derive(Debug, Default)]
struct More<E> {
    waiters: WaitList,
    // The first costs no allocation.
    observer: Option<Observer>,
    observers: Vec<Observer>,
    extension: E,
}

impl<E> More<E> {
    fn tell_observers(&mut self, failed: bool, wakes: &mut Wakes) {
        for observer in self.observer.take().into_iter().chain(std::mem::take(&mut self.observers)) {
            observer.collector.arrived(observer.token, failed, wakes);
        }
    }
}

#[derive(Debug)]
struct Inner<T, E> {
    outcome: Option<T>,
    more: Option<Box<More<E>>>,
}

/// See the module's documentation. `E` is the embedder's own, made when it is first asked for and guarded by the same mutex.
#[derive(Debug)]
pub struct Completion<T, E = ()> {
    state: AtomicU32,
    inner: Mutex<Inner<T, E>>,
}

impl<T, E: Default> Default for Completion<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E: Default> Completion<T, E> {
    /// A pending one.
    pub fn new() -> Self {
        Self {
            state: AtomicU32::new(State::Pending as u32),
            inner: Mutex::new(Inner { outcome: None, more: None }),
        }
    }

    /// Where it stands.
    #[inline]
    pub fn state(&self) -> State {
        State::of(self.state.load(Ordering::Acquire))
    }

    /// The state word, if the caller may change it.
    fn word(&self, access: Access) -> Result<u32, Refused> {
        let word = self.state.load(Ordering::Relaxed);
        if word & GUARDED != 0 && access == Access::Free { Err(Refused::Guarded) } else { Ok(word) }
    }

    /// Begins the work, unless it was cancelled; a cancelled one becomes NOTIFIED.
    ///
    /// # Errors
    /// [`Refused`] when it was begun or ended before, or is guarded.
    #[inline]
    pub fn begin(&self, access: Access) -> Result<Begin, Refused> {
        let pending = self.state.load(Ordering::Relaxed) & if access == Access::Free { 0 } else { GUARDED };
        let running = pending | State::Running as u32;
        match self.state.compare_exchange(pending, running, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(Begin::Begun),
            Err(_) => self.begin_anyhow(access),
        }
    }

    #[cold]
    fn begin_anyhow(&self, access: Access) -> Result<Begin, Refused> {
        let mut inner = self.inner.lock();
        let mut word = self.word(access)?;
        loop {
            let target = match State::of(word) {
                State::Pending => State::Running,
                State::Cancelled => State::Notified,
                state => return Err(Refused::State(state)),
            };
            let new = (word & GUARDED) | target as u32;
            match self.state.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if target == State::Running => return Ok(Begin::Begun),
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        let mut wakes = Wakes::none();
        if let Some(more) = inner.more.as_mut() {
            more.tell_observers(false, &mut wakes);
        }
        Ok(Begin::Cancelled(wakes))
    }

    /// Gives up, unless the work has begun.
    ///
    /// # Errors
    /// [`Refused::Guarded`].
    pub fn cancel(&self, access: Access) -> Result<Cancel, Refused> {
        let mut inner = self.inner.lock();
        let word = self.word(access)?;
        let cancelled = (word & GUARDED) | State::Cancelled as u32;
        if State::of(word) == State::Pending {
            if let Err(now) =
                self.state.compare_exchange(word, cancelled, Ordering::AcqRel, Ordering::Relaxed)
            {
                // Only the beginning of the work does not take the mutex.
                debug_assert_eq!(State::of(now), State::Running);
                return Ok(Cancel::Late);
            }
            return Ok(Cancel::Now(Self::end(&mut inner, false, false)));
        }
        Ok(if State::of(word).is_cancelled() { Cancel::Before } else { Cancel::Late })
    }

    /// Ends it with its outcome; `failed` is what collectors that stop at a failure go by.
    ///
    /// # Errors
    /// [`Refused`] when it has ended before or is guarded, with the outcome that was not taken.
    #[inline]
    pub fn finish(&self, access: Access, outcome: T, failed: bool) -> Result<Ended, (Refused, T)> {
        let mut inner = self.inner.lock();
        let word = match self.word(access) {
            Ok(word) if State::of(word).is_done() => return Err((Refused::State(State::of(word)), outcome)),
            Ok(word) => word,
            Err(refused) => return Err((refused, outcome)),
        };
        // An outcome that the embedder had put there before must not be dropped under the mutex.
        let old = inner.outcome.replace(outcome);
        self.state.store((word & GUARDED) | State::Finished as u32, Ordering::Release);
        let ended = Self::end(&mut inner, true, failed);
        drop(inner);
        drop(old);
        Ok(ended)
    }

    #[inline]
    fn end(inner: &mut MutexGuard<'_, Inner<T, E>>, settled: bool, failed: bool) -> Ended {
        let mut wakes = Wakes::none();
        let Some(more) = inner.more.as_mut() else { return Ended { wakes, extended: false } };
        std::mem::take(&mut more.waiters).grant_all(Signal::Handed, &mut wakes);
        if settled {
            more.tell_observers(failed, &mut wakes);
        }
        Ended { wakes, extended: true }
    }

    /// Enrols a wait for the end, unless it has come: `None` then.
    pub fn enrol(&self) -> Option<Arc<Waiter>> {
        let mut inner = self.inner.lock();
        if self.state().is_done() {
            return None;
        }
        let node = Arc::new(Waiter::new());
        inner.more.get_or_insert_default().waiters.push(node.clone());
        Some(node)
    }

    /// Ends a wait that timed out or was interrupted: true when the end had come meanwhile.
    #[must_use]
    pub fn cancel_wait(&self, node: &Waiter) -> bool {
        if let CancelWait::Granted(_) = node.cancel() {
            return true;
        }
        if let Some(more) = self.inner.lock().more.as_mut() {
            more.waiters.note_cancelled();
        }
        false
    }

    /// Has `collector` told of the end under `token`; false, and nothing is told, when it is settled already.
    pub fn observe(&self, collector: &Arc<Collector>, token: usize) -> bool {
        let mut inner = self.inner.lock();
        if self.state().is_settled() {
            return false;
        }
        let more = inner.more.get_or_insert_default();
        let observer = Observer { collector: collector.clone(), token };
        if more.observer.is_none() {
            more.observer = Some(observer);
        } else {
            more.observers.push(observer);
        }
        true
    }

    /// Has `collector` told no more.
    pub fn unobserve(&self, collector: &Arc<Collector>) {
        if let Some(more) = self.inner.lock().more.as_mut() {
            if more.observer.as_ref().is_some_and(|observer| Arc::ptr_eq(&observer.collector, collector)) {
                more.observer = None;
            }
            more.observers.retain(|observer| !Arc::ptr_eq(&observer.collector, collector));
        }
    }

    /// What `read` makes of the outcome. It runs under the mutex: no foreign code, no other lock.
    #[inline]
    pub fn outcome<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        read(self.inner.lock().outcome.as_ref())
    }

    /// What `change` makes of the embedder's extension, under the mutex.
    pub fn extend<R>(&self, change: impl FnOnce(&mut E) -> R) -> R {
        change(&mut self.inner.lock().more.get_or_insert_default().extension)
    }

    /// As [`Completion::extend`] while it has not ended; `None` when it has.
    pub fn extend_open<R>(&self, change: impl FnOnce(&mut E) -> R) -> Option<R> {
        let mut inner = self.inner.lock();
        if self.state().is_done() {
            return None;
        }
        Some(change(&mut inner.more.get_or_insert_default().extension))
    }

    /// What `read` makes of the extension, if there is one, under the mutex.
    pub fn extension<R>(&self, read: impl FnOnce(Option<&E>) -> R) -> R {
        read(self.inner.lock().more.as_ref().map(|more| &more.extension))
    }

    /// What `read` makes of outcome and extension, unless the mutex is held: for a garbage collector.
    pub fn try_read<R>(&self, read: impl FnOnce(Option<&T>, Option<&E>) -> R) -> Option<R> {
        let inner = self.inner.try_lock()?;
        Some(read(inner.outcome.as_ref(), inner.more.as_ref().map(|more| &more.extension)))
    }

    /// Takes outcome and extension out: for a garbage collector.
    pub fn clear(&self) -> (Option<T>, Option<E>) {
        let mut inner = self.inner.lock();
        let extension = inner.more.as_mut().map(|more| std::mem::take(&mut more.extension));
        (inner.outcome.take(), extension)
    }

    /// From now on transitions want the embedder's own lock held.
    pub fn guard(&self) {
        let _inner = self.inner.lock();
        self.state.fetch_or(GUARDED, Ordering::Relaxed);
    }

    /// Sets the state, whatever it was: for an embedder that lets its user do so. Waits end if it is a final one.
    pub fn assign_state(&self, state: State) -> Ended {
        let mut inner = self.inner.lock();
        let guarded = self.state.load(Ordering::Relaxed) & GUARDED;
        self.state.store(guarded | state as u32, Ordering::Release);
        if state.is_done() {
            Self::end(&mut inner, state.is_settled(), false)
        } else {
            Ended { wakes: Wakes::none(), extended: false }
        }
    }

    /// Changes the outcome, whatever it was; returns what `change` does not keep, to be dropped by the caller.
    pub fn assign_outcome<R>(&self, change: impl FnOnce(&mut Option<T>) -> R) -> R {
        change(&mut self.inner.lock().outcome)
    }

    /// How many threads wait for the end, and how many collectors.
    pub fn waiting(&self) -> (usize, usize) {
        self.inner.lock().more.as_ref().map_or((0, 0), |more| {
            (more.waiters.len(), usize::from(more.observer.is_some()) + more.observers.len())
        })
    }
}
