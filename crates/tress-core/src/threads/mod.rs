//! What threads share: locks, counters, signals, meeting points.

pub mod condition;
pub mod event;
pub mod lock;
pub mod rlock;
pub mod semaphore;
