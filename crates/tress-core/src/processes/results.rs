//! Frames from one process to another: a ring of bytes with one writer and one reader.
//!
//! A frame is published whole, by one store, so a writer that dies leaves whole frames or none. The reader checks every
//! length before it uses it: what is in the ring is another process's word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::segment::Segment;
use super::word;

/// The bytes of a ring's own, before its data.
pub const HEADER: usize = 192;

const TAIL: usize = 0; // written by the writer
const HEAD: usize = 64; // written by the reader
const SPACE: usize = 128; // 1 while the writer sleeps for room
const PREFIX: usize = 24; // of a frame: total length, kind, id, length of the payload

/// A ring in shared memory, of either side.
#[derive(Debug)]
pub struct Ring {
    segment: Arc<Segment>,
    start: usize,
    capacity: usize,
    /// How far this side has come; the other side's word for it is never asked for.
    position: u64,
}

/// A frame: what it is, whose, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the writer says that it is.
    pub kind: u32,
    /// The task it belongs to.
    pub id: u64,
    /// The rest.
    pub payload: Vec<u8>,
}

/// There is no room for the frame now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Ring {
    /// A ring of `capacity` bytes, a power of two, whose header begins at `start` of `segment`.
    ///
    /// # Panics
    /// If the capacity is no power of two.
    pub fn new(segment: Arc<Segment>, start: usize, capacity: usize) -> Self {
        assert!(capacity.is_power_of_two());
        Self { segment, start, capacity, position: 0 }
    }

    /// The largest payload that [`Ring::write`] takes.
    pub fn largest(&self) -> usize {
        self.capacity / 4
    }

    /// Publishes a frame.
    ///
    /// # Panics
    /// If the payload is above [`Ring::largest`].
    ///
    /// # Errors
    /// [`Full`]: nothing is written then.
    pub fn write(&mut self, kind: u32, id: u64, parts: &[&[u8]]) -> Result<(), Full> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        assert!(len <= self.largest(), "too large for the ring");
        let whole = (PREFIX + len).next_multiple_of(8);
        // SeqCst, as the reader's store and both accesses to `space`: of a writer that says it sleeps and then looks here, and a
        // reader that moves the head and then looks who sleeps, one sees the other.
        let head = self.segment.double_word(self.start + HEAD).load(Ordering::SeqCst);
        let used = self.position.wrapping_sub(head) as usize;
        if used > self.capacity || whole > self.capacity - used {
            return Err(Full);
        }
        let mut prefix = [0; PREFIX];
        prefix[..4].copy_from_slice(&(whole as u32).to_ne_bytes());
        prefix[4..8].copy_from_slice(&kind.to_ne_bytes());
        prefix[8..16].copy_from_slice(&id.to_ne_bytes());
        prefix[16..].copy_from_slice(&(len as u64).to_ne_bytes());
        let mut at = self.position;
        self.copy_in(&mut at, &prefix);
        for part in parts {
            self.copy_in(&mut at, part);
        }
        self.position += whole as u64;
        self.segment.double_word(self.start + TAIL).store(self.position, Ordering::SeqCst);
        Ok(())
    }

    fn copy_in(&self, at: &mut u64, bytes: &[u8]) {
        let offset = *at as usize & (self.capacity - 1);
        let first = bytes.len().min(self.capacity - offset);
        let data = self.segment.at(self.start + HEADER, self.capacity).as_ptr();
        // SAFETY:
        // - the range lies in the ring's data: each piece ends before its end, and the second begins at its start;
        // - it is the writer's alone until the tail moves past it: the reader's head has passed what was there before.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.add(offset), first);
            std::ptr::copy_nonoverlapping(bytes.as_ptr().add(first), data, bytes.len() - first);
        }
        *at += bytes.len() as u64;
    }

    fn copy_out(&self, at: u64, bytes: &mut [u8]) {
        let offset = at as usize & (self.capacity - 1);
        let first = bytes.len().min(self.capacity - offset);
        let data = self.segment.at(self.start + HEADER, self.capacity).as_ptr();
        // SAFETY: as for `copy_in`; the bytes between head and tail are the reader's. A writer that breaks the rules changes
        // bytes, which are checked or handed on as bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(data.add(offset), bytes.as_mut_ptr(), first);
            std::ptr::copy_nonoverlapping(data, bytes.as_mut_ptr().add(first), bytes.len() - first);
        }
    }

    /// The oldest frame that has not been read.
    ///
    /// # Errors
    /// `InvalidData` if the writer broke the rules; nothing more can be read then.
    pub fn read(&mut self) -> io::Result<Option<Frame>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a malformed frame");
        let tail = self.segment.double_word(self.start + TAIL).load(Ordering::SeqCst);
        let there = tail.wrapping_sub(self.position);
        if there == 0 {
            return Ok(None);
        }
        if there > self.capacity as u64 || there < PREFIX as u64 {
            return Err(invalid());
        }
        let mut prefix = [0; PREFIX];
        self.copy_out(self.position, &mut prefix);
        let [w0, w1, w2, w3, k0, k1, k2, k3, ref rest @ ..] = prefix;
        let whole = u64::from(u32::from_ne_bytes([w0, w1, w2, w3]));
        let kind = u32::from_ne_bytes([k0, k1, k2, k3]);
        let double = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&rest[from..from + 8]);
            u64::from_ne_bytes(bytes)
        };
        let (id, len) = (double(0), double(8));
        if whole % 8 != 0 || whole > there || len > self.largest() as u64 || whole < PREFIX as u64 + len {
            return Err(invalid());
        }
        let mut payload = vec![0; len as usize];
        self.copy_out(self.position + PREFIX as u64, &mut payload);
        self.position += whole;
        self.segment.double_word(self.start + HEAD).store(self.position, Ordering::SeqCst);
        Ok(Some(Frame { kind, id, payload }))
    }

    /// The word that a writer sets to 1 and sleeps on while there is no room.
    pub fn space(&self) -> &AtomicU32 {
        self.segment.word(self.start + SPACE)
    }

    /// For the reader, when it has read: the writer that is to be woken, if it sleeps for room.
    pub fn writer(&self) -> Option<Writer> {
        let sleeps = self.space().swap(0, Ordering::SeqCst) == 1;
        sleeps.then(|| Writer { segment: Arc::clone(&self.segment), space: self.start + SPACE })
    }
}

/// A writer that sleeps.
#[derive(Debug)]
#[must_use]
pub struct Writer {
    segment: Arc<Segment>,
    space: usize,
}

impl Writer {
    /// Wakes it, which is not to be done under a mutex.
    pub fn wake(self) {
        word::wake(self.segment.word(self.space), 1, word::ALL);
    }
}
