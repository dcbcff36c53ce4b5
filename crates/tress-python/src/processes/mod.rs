//! What processes share, as Python classes.

pub mod payload;
pub mod pool;
pub mod worker;
