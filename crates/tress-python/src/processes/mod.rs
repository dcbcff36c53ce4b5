//! What processes share, as Python classes.

pub mod condition;
pub mod event;
pub mod fast;
pub mod semlock;
pub mod slot;
