//! What threads share, as Python classes.

pub mod awaiting;
pub mod barrier;
pub mod blocking;
pub mod collector;
pub mod condition;
pub mod event;
pub mod executor;
pub mod future;
pub mod future_class;
pub mod future_transitions;
pub mod lock;
pub mod queue;
pub mod raw_methods;
pub mod rlock;
pub mod semaphore;
pub mod start;
pub mod with_lock;
pub mod work;
pub mod worker;
