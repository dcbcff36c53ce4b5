//! The foundation as Python sees it.

pub mod argument;
pub mod deadlock;
pub mod timer;
pub mod waits;
