//! A pool of worker processes, seen from one of them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arena::{Arena, Block};
use super::listening::Whom;
use super::pool::{
    BLOCK, BLOCKS, IN_BLOCK, INLINE, INLINE_ANSWER, OF_TASK, Payload, RING, Shared, WORKER_BLOCKS, slot_bytes,
};
use super::results::Ring;
use super::segment::Segment;
use super::word::{self, Slept};
use crate::base::deadline::{Deadline, now_ns};

/// After so much idleness a worker gives memory back that it had lent.
const TRIM_NS: u64 = 1_000_000_000;

/// A worker.
#[derive(Debug)]
pub struct Worker {
    shared: Shared,
    number: u32,
    /// The task that it is at.
    task: Option<u64>,
    ring: Ring,
    arena: Arena,
    collector: OwnedFd,
    /// When to give back memory that had been lent, if there is any and this worker has nothing to do.
    trim_at: Option<Deadline>,
    /// Whether the collector could not be woken.
    is_cut_off: bool,
}

/// A task that this worker has begun.
#[derive(Debug)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// Its bytes.
    pub payload: Payload,
}

/// The place of a block, as it stands in a frame.
pub(super) fn place(payload: &[u8]) -> io::Result<(usize, usize)> {
    let double = |from: usize| -> Option<usize> {
        Some(u64::from_ne_bytes(payload.get(from..from + 8)?.try_into().ok()?) as usize)
    };
    double(0).zip(double(8)).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a malformed frame"))
}

impl Worker {
    /// Worker `number` of the pool whose memory is `pool`, with `own` as its own memory.
    pub fn new(pool: Arc<Segment>, own: Arc<Segment>, number: u32, collector: OwnedFd) -> Self {
        let ring = Ring::new(Arc::clone(&own), 0, RING);
        let end = own.len();
        Self {
            shared: Shared { segment: pool },
            number,
            task: None,
            ring,
            arena: Arena::new(own, WORKER_BLOCKS, end),
            collector,
            trim_at: None,
            is_cut_off: false,
        }
    }

    /// The next task, if one is offered.
    ///
    /// # Errors
    /// `InvalidData` if what the owner wrote makes no sense.
    pub fn take(&mut self) -> io::Result<Option<Task>> {
        let tasks = self.shared.tasks();
        let Some(position) = tasks.take(self.number) else { return Ok(None) };
        self.trim_at = None;
        let slot = tasks.slot(position);
        let get = |index| self.shared.slot_word(slot, index).load(Ordering::Relaxed);
        let (id, len) = (get(0), get(1));
        self.shared.began(self.number).store(now_ns(), Ordering::Relaxed);
        self.shared.current(self.number).begin(id);
        self.task = Some(id);
        let payload = if len == IN_BLOCK {
            Payload::Block(Block::borrow(&self.shared.segment, BLOCKS, get(2) as usize, get(3) as usize)?)
        } else if len <= INLINE as u64 {
            let mut bytes = vec![0; len as usize];
            let from = self.shared.segment.at(slot_bytes(slot), bytes.len()).as_ptr();
            // SAFETY: the slot is this worker's until it is freed, and so many bytes are inside, as just checked.
            unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
            Payload::Bytes(bytes)
        } else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a malformed task"));
        };
        tasks.free(position);
        Ok(Some(Task { id, payload }))
    }

    /// As [`Worker::take`], or sleeps until there may be a task: Ok(None) when the pool is closed and no task is left.
    ///
    /// # Errors
    /// How the sleep ended, or what [`Worker::take`] reports.
    pub fn take_or_sleep(&mut self, until: Option<Deadline>) -> Result<io::Result<Option<Task>>, Slept> {
        match self.take() {
            Ok(None) => {}
            done => return Ok(done),
        }
        if crate::base::spin::until(|| self.shared.rest().is_over()) {
            return self.take_or_end();
        }
        let awake = self.shared.awake(self.number);
        // The caller may have it wake up more often than that.
        if self.trim_at.is_none() && self.arena.is_used() {
            self.trim_at = Some(Deadline::after_ns(TRIM_NS));
        }
        let trims = self.trim_at.filter(|trim_at| until.is_none_or(|until| *trim_at <= until));
        let sleeps = self.shared.rest().enter(self.number, awake);
        let mut slept = if sleeps { word::sleep(awake, 0, trims.or(until), word::ALL) } else { Slept::Woken };
        self.shared.rest().leave(self.number);
        if trims.is_some() && slept == Slept::TimedOut {
            self.arena.trim();
            self.trim_at = None;
            slept = Slept::Woken;
        }
        match self.take_or_end() {
            Err(Slept::Woken) => Err(slept),
            taken => taken,
        }
    }

    fn take_or_end(&mut self) -> Result<io::Result<Option<Task>>, Slept> {
        let closed = self.shared.rest().is_closed();
        match self.take() {
            Ok(None) if !closed => Err(Slept::Woken),
            done => Ok(done),
        }
    }

    /// Puts `parts` into a block if they are too long for a frame; what is to be written then.
    ///
    /// # Errors
    /// No memory for them.
    pub fn place(&mut self, parts: &[&[u8]]) -> io::Result<Option<[u8; 16]>> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len <= INLINE_ANSWER {
            return Ok(None);
        }
        let lease = self.arena.lend(parts)?;
        let mut place = [0; 16];
        place[..8].copy_from_slice(&(lease.offset as u64).to_ne_bytes());
        place[8..].copy_from_slice(&(len as u64).to_ne_bytes());
        Ok(Some(place))
    }

    /// Answers, if there is room for it now; `placed` is what [`Worker::place`] said of `parts`. A kind is below 2^30; with the
    /// number of the task that the worker is at, it answers that.
    pub fn answer_at_once(&mut self, kind: u32, id: u64, parts: &[&[u8]], placed: Option<&[u8; 16]>) -> bool {
        debug_assert!(kind < OF_TASK, "the upper bits of a kind are taken");
        let kind = if self.task == Some(id) { kind | OF_TASK } else { kind };
        let written = match placed {
            Some(place) => self.ring.write(kind | BLOCK, id, &[place]),
            None => self.ring.write(kind, id, parts),
        };
        if written.is_ok() {
            self.post();
        }
        written.is_ok()
    }

    /// As [`Worker::answer_at_once`], but sleeps until there may be room.
    ///
    /// # Errors
    /// How the sleep ended; nothing is written then.
    pub fn answer(
        &mut self,
        kind: u32,
        id: u64,
        parts: &[&[u8]],
        placed: Option<&[u8; 16]>,
        until: Option<Deadline>,
    ) -> Result<(), Slept> {
        if self.answer_at_once(kind, id, parts, placed) {
            return Ok(());
        }
        self.ring.space().store(1, Ordering::SeqCst);
        if self.answer_at_once(kind, id, parts, placed) {
            return Ok(());
        }
        Err(word::sleep(self.ring.space(), 1, until, word::ALL))
    }

    /// Whether the owner could not be told of an answer, as a task has closed the descriptor for it. The owner finds it when
    /// this process ends, which it should do at once.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Whether the owner wants the present task broken off.
    pub fn is_interrupted(&self) -> bool {
        let interrupted = self.shared.interrupted(self.number).load(Ordering::SeqCst).checked_sub(1);
        interrupted.is_some() && interrupted == self.shared.current(self.number).task()
    }

    /// The task is over. False if the owner has decided to kill this worker: it takes no other.
    #[must_use]
    pub fn finish(&mut self) -> bool {
        self.task.take().is_none_or(|id| self.shared.current(self.number).finish(id))
    }

    /// Tells the pool's owner that there is something to read.
    fn post(&mut self) {
        match self.shared.listening().post(self.number) {
            Whom::Nobody => {}
            Whom::Leader => self.shared.ring(),
            Whom::Collector => {
                // A full counter is readable, so that it does not matter.
                let written = rustix::io::write(&self.collector, &1u64.to_ne_bytes());
                self.is_cut_off |= written.is_err_and(|error| error != rustix::io::Errno::AGAIN);
            }
        }
    }
}
