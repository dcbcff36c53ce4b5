#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod base;
#[cfg(not(loom))]
pub mod processes;
pub mod threads;
