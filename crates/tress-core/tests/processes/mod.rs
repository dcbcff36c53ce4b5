//! Workers of a pool as an embedder has them, and what reads their answers.
#![cfg(not(loom))]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::os::fd::AsRawFd;
use std::sync::Arc;

use tress_core::processes::pool::{Answer, Payload, Pool, Refused};
use tress_core::processes::segment::Segment;
use tress_core::processes::worker::{Task, Worker};

/// A new worker, with mappings of its own as in a process of its own.
pub fn hire(pool: &Pool) -> (u32, Worker) {
    let (number, own) = pool.add_worker().unwrap().expect("there are few");
    let map = |segment: &Segment| {
        Arc::new(Segment::open(segment.fd().try_clone_to_owned().unwrap(), segment.len()).unwrap())
    };
    let collector = pool.collector().try_clone_to_owned().unwrap();
    (number, Worker::new(map(pool.segment()), map(&own), number, collector))
}

/// Takes tasks and answers them with what they bring, until the pool is closed.
pub fn echo(worker: &mut Worker) {
    while let Some(task) = next(worker) {
        answer(worker, task.id, &bytes(&task.payload));
        drop(task);
        assert!(worker.finish());
    }
}

/// The next task; None when the pool is closed.
pub fn next(worker: &mut Worker) -> Option<Task> {
    loop {
        if let Ok(taken) = worker.take_or_sleep(None) {
            return taken.unwrap();
        }
    }
}

/// Answers task `id` with kind 1 and `bytes`.
pub fn answer(worker: &mut Worker, id: u64, bytes: &[u8]) {
    let placed = worker.place(&[bytes]).unwrap();
    while worker.answer(1, id, &[bytes], placed.as_ref(), None).is_err() {}
}

pub fn bytes(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Bytes(bytes) => bytes.clone(),
        // SAFETY: the block's bytes are inside the mapping that it keeps, and are nobody else's while it is lent.
        Payload::Block(block) => unsafe { std::slice::from_raw_parts(block.as_ptr(), block.len()) }.to_vec(),
    }
}

/// So many bytes that tell which task they are of.
pub fn content(id: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (id as usize * 31 + at * 7 + at / 251) as u8).collect()
}

/// Offers a task, and wakes a worker for it; false if there is no room.
pub fn offer(pool: &Pool, id: u64, bytes: &[u8]) -> bool {
    match pool.offer(id, &[bytes]) {
        Ok(_) => pool.wake_one(),
        Err(Refused::Full) => return false,
        Err(Refused::OutOfMemory(error)) => panic!("{error}"),
    }
    true
}

/// One turn of the collector, which sleeps until there is something to read.
pub fn collect(pool: &Pool) -> Vec<Answer> {
    pool.before_collector_sleeps();
    let mut ready = libc::pollfd { fd: pool.collector().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which outlives the call.
    let count = unsafe { libc::poll(&mut ready, 1, 30_000) };
    assert_eq!(count, 1, "nobody wakes the collector");
    pool.after_collector_slept();
    pool.read()
}
