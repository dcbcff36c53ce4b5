//! Where a shared object is, for whoever passes it to another process.

use std::os::fd::AsRawFd;

use pyo3::prelude::*;
use tress_core::processes::slots;

use crate::error::OrRaise;

use super::descriptor::duplicate;

/// A piece of shared memory that an object lives in.
#[pyclass(module = "tress._native", frozen)]
pub struct Slot {
    slot: slots::Slot,
}

impl Slot {
    pub fn of(slot: &slots::Slot) -> Self {
        Self { slot: slot.clone() }
    }

    pub fn get(&self) -> slots::Slot {
        self.slot.clone()
    }
}

#[pymethods]
impl Slot {
    /// The one of `length` bytes at `offset` of the memory behind the file descriptor `fd`, which stays the caller's.
    #[staticmethod]
    fn open(fd: i32, offset: usize, length: usize) -> PyResult<Self> {
        Ok(Self { slot: slots::Slot::open(duplicate(fd)?, offset, length).or_raise()? })
    }

    /// Another one of the same memory.
    fn beside(&self, offset: usize, length: usize) -> PyResult<Self> {
        Ok(Self { slot: self.slot.beside(offset, length).or_raise()? })
    }

    /// The file descriptor of the memory, in which there are other objects' slots, too. It is open as long as one of them.
    #[getter]
    fn fd(&self) -> i32 {
        self.slot.segment().fd().as_raw_fd()
    }

    /// Where in the memory it begins, in bytes.
    #[getter]
    fn offset(&self) -> usize {
        self.slot.offset()
    }

    /// Its length in bytes.
    #[getter]
    fn length(&self) -> usize {
        self.slot.len()
    }
}
