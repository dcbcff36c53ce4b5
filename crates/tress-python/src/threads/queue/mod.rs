//! `Queue` and its kin.
//!
//! `class` is what Python sees, `fast` its hottest calls; `wait` puts and gets with blocking; `sorted` and `compare` keep a priority queue in order; `open` is how a queue goes over to the
//! standard library's own way of working, for those who reach into it, and `at_once` what an open queue does without waiting.

mod argument;
mod at_once;
pub mod class;
mod compare;
pub mod errors;
pub mod fast;
pub mod open;
pub mod simple;
pub mod sorted;
pub mod wait;
