//! The foundation: everything that waits, waits through this.

pub mod collector;
pub mod completion;
pub mod deadline;
pub mod fork;
mod futex;
#[cfg(not(loom))]
pub mod spin;
pub mod sync;
pub mod thread_id;
pub mod timer;
pub mod waiter;
pub mod waitlist;
#[cfg(not(loom))]
pub mod waits;
