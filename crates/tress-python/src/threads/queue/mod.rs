//! `Queue` and its kin.
//!
//! `class` is what Python sees; `wait` puts and gets with blocking; `sorted` compares; `open` is how a queue goes over to the
//! standard library's own way of working, for those who reach into it.

mod argument;
pub mod class;
mod errors;
mod open;
pub mod simple;
mod sorted;
mod wait;
