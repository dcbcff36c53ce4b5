#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod base;
pub mod coroutines;
pub mod processes;
pub mod threads;
