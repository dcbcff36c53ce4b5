//! What several processes share: memory, words to sleep on, and what is built of them.

pub mod condition;
pub mod event;
#[cfg(not(loom))]
pub mod identity;
#[cfg(loom)]
#[path = "identity_model.rs"]
pub mod identity;
pub mod lock;
pub mod patience;
#[cfg(not(loom))]
pub mod segment;
pub mod semaphore;
#[cfg(not(loom))]
pub mod slots;
#[cfg(loom)]
#[path = "slots_model.rs"]
pub mod slots;
mod table;
pub mod word;
