//! What threads share, as Python classes.

pub mod barrier;
pub mod blocking;
pub mod condition;
pub mod event;
pub mod lock;
pub mod queue;
pub mod rlock;
pub mod semaphore;
