//! What several processes share: memory, words to sleep on, and what is built of them.

#[cfg(not(loom))]
pub mod arena;
pub mod idle;
pub mod listening;
#[cfg(not(loom))]
pub mod pool;
pub mod rest;
#[cfg(not(loom))]
pub mod results;
#[cfg(not(loom))]
pub mod segment;
#[cfg(not(loom))]
pub mod slots;
pub mod tasks;
#[cfg(not(loom))]
pub mod watch;
#[cfg(not(loom))]
pub mod word;
#[cfg(not(loom))]
pub mod worker;
