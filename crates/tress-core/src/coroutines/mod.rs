//! What an event loop is made of: what is due when, what is ready, and how it sleeps and is woken.

pub mod bell;
#[cfg(not(loom))]
pub mod poller;
pub mod timers;
