//! The foundation as Python sees it.

pub mod argument;
pub mod attached;
pub mod calls;
pub mod deadlock;
pub mod freelist;
pub mod held;
pub mod hidden;
pub mod own;
pub mod raw;
pub mod signals;
pub mod timer;
pub mod waits;
