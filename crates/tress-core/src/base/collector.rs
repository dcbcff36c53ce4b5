//! One wait for many completions.
//!
//! A collector is enrolled with each [`Completion`](super::completion::Completion) under a token; each tells it once, when
//! it ends. It either counts (`wait for all of these`) or keeps the tokens in the order of their arrival (`one after the
//! other`). Each arrival costs a constant time, and the thread that waits is woken once, however many arrive meanwhile.

use std::collections::VecDeque;

use super::sync::{Arc, Mutex};
use super::waiter::{Cancel, Signal, Waiter};
use super::waitlist::{WaitList, Wakes};

#[derive(Debug)]
enum Wanted {
    /// So many arrivals more, or one failure.
    Count { missing: usize, stop_on_failure: bool },
    /// The next token.
    Tokens(VecDeque<usize>),
}

impl Wanted {
    fn is_met(&self) -> bool {
        match self {
            Self::Count { missing, .. } => *missing == 0,
            Self::Tokens(tokens) => !tokens.is_empty(),
        }
    }
}

#[derive(Debug)]
struct Collected {
    wanted: Wanted,
    waiters: WaitList,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Collector {
    inner: Mutex<Collected>,
}

impl Collector {
    /// One that waits for `count` completions or, with `stop_on_failure`, for the first that failed.
    pub fn counting(count: usize, stop_on_failure: bool) -> Self {
        Self::wanting(Wanted::Count { missing: count, stop_on_failure })
    }

    /// One that gives out tokens in the order in which their completions ended.
    pub fn streaming() -> Self {
        Self::wanting(Wanted::Tokens(VecDeque::new()))
    }

    fn wanting(wanted: Wanted) -> Self {
        Self { inner: Mutex::new(Collected { wanted, waiters: WaitList::new() }) }
    }

    /// Notes that the completion enrolled under `token` has ended.
    pub fn arrived(&self, token: usize, failed: bool, wakes: &mut Wakes) {
        let mut inner = self.inner.lock();
        match &mut inner.wanted {
            Wanted::Count { missing, stop_on_failure } => {
                *missing = if failed && *stop_on_failure { 0 } else { missing.saturating_sub(1) };
            }
            Wanted::Tokens(tokens) => tokens.push_back(token),
        }
        if inner.wanted.is_met() && !inner.waiters.is_empty() {
            inner.waiters.grant_all(Signal::Retry, wakes);
        }
    }

    /// The token that has waited longest, if any has arrived.
    pub fn take(&self) -> Option<usize> {
        match &mut self.inner.lock().wanted {
            Wanted::Count { .. } => None,
            Wanted::Tokens(tokens) => tokens.pop_front(),
        }
    }

    /// Whether what is waited for is there.
    pub fn is_met(&self) -> bool {
        self.inner.lock().wanted.is_met()
    }

    /// Enrols a wait, unless there is no need to: `None` then.
    pub fn enrol(&self) -> Option<Arc<Waiter>> {
        let mut inner = self.inner.lock();
        if inner.wanted.is_met() {
            return None;
        }
        let node = Arc::new(Waiter::new());
        inner.waiters.push(node.clone());
        Some(node)
    }

    /// Ends a wait that timed out or was interrupted: true when what it waited for came meanwhile. A token that came is not
    /// lost: the next [`Collector::take`] has it.
    #[must_use]
    pub fn cancel(&self, node: &Waiter) -> bool {
        if let Cancel::Granted(_) = node.cancel() {
            return true;
        }
        let mut inner = self.inner.lock();
        inner.waiters.note_cancelled();
        inner.wanted.is_met()
    }
}
