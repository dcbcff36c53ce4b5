//! The engine of tress: waiting, locks, queues, completions and pools, with no Python in it.
//!
//! [`base`] is the foundation: how a thread parks and is woken, who waits for what, fork. [`threads`] is built on it.
//! Nothing here calls foreign code while it holds a lock, and nothing here blocks but [`base::waiter::Waiter::park`]:
//! a primitive offers `try_*`, `enrol`, `cancel` and an operation that returns the waiters to wake, and the caller decides
//! how and where to wait. That is what lets the same primitive serve a thread, an interpreter lock around it, and a model
//! checker.
#![warn(missing_docs)]

pub mod base;
pub mod threads;
