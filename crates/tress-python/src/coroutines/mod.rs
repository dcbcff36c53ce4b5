//! The event loop of `tress.asyncio`.

pub mod address;
pub mod buffer;
pub mod creating;
pub mod cycle;
pub mod descriptors;
pub mod event_loop;
pub mod fast;
pub mod future_state;
pub mod gather;
pub mod handle;
pub mod kernel;
pub mod lazy;
pub mod outgoing;
pub mod owner;
pub mod pending;
pub mod queue;
pub mod ready;
pub mod sleeping;
pub mod sockets;
pub mod steps;
pub mod synchronization;
pub mod tasks;
pub mod timeouts;
pub mod transport;
pub mod waiting;
