//! What threads share: locks, counters, signals, meeting points.

pub mod barrier;
pub mod condition;
pub mod event;
pub mod heap;
pub mod lock;
pub mod pool;
pub mod queue;
pub mod rlock;
pub mod semaphore;
