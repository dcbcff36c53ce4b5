//! What several processes share: memory, words to sleep on, and what is built of them.

#[cfg(not(loom))]
pub mod arena;
pub mod condition;
pub mod current;
#[cfg(not(loom))]
pub mod doorbell;
pub mod event;
pub mod frames;
#[cfg(not(loom))]
pub mod identity;
#[cfg(loom)]
#[path = "identity_model.rs"]
pub mod identity;
pub mod idle;
pub mod letter;
#[cfg(not(loom))]
pub mod line;
pub mod listening;
pub mod lock;
pub mod patience;
#[cfg(not(loom))]
mod pieces;
#[cfg(not(loom))]
pub mod pool;
pub mod positions;
pub mod rest;
#[cfg(not(loom))]
pub mod results;
#[cfg(not(loom))]
pub mod ring;
#[cfg(not(loom))]
pub mod segment;
pub mod semaphore;
#[cfg(not(loom))]
pub mod slots;
#[cfg(loom)]
#[path = "slots_model.rs"]
pub mod slots;
mod table;
pub mod tasks;
#[cfg(not(loom))]
pub mod watch;
#[cfg(not(loom))]
pub mod wire;
pub mod word;
#[cfg(not(loom))]
pub mod worker;
