//! What several processes share: memory, words to sleep on, and what is built of them.

pub mod condition;
pub mod event;
pub mod identity;
pub mod lock;
pub mod patience;
pub mod segment;
pub mod semaphore;
pub mod slots;
mod table;
pub mod word;
