//! What threads share, as Python classes.

pub mod blocking;
pub mod event;
pub mod lock;
