//! What several processes share: memory, words to sleep on, and what is built of them.

pub mod segment;
pub mod slots;
pub mod word;
