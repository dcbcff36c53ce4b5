//! What processes share, as Python classes.

pub mod condition;
pub mod connection;
pub mod descriptor;
pub mod event;
pub mod fast;
pub mod payload;
pub mod pickling;
pub mod pool;
pub mod ready;
pub mod ring;
pub mod semlock;
pub mod slot;
pub mod worker;
