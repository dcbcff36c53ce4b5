//! Small shared objects, many to a segment: a file descriptor and a mapping for each would be too dear.
//!
//! Nobody can tell when the last process has let go of an object, so a slot is used once; the segment goes when the last
//! object in it has gone, in each process for itself.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::segment::Segment;
use super::word::{self, Slept};
use crate::base::deadline::Deadline;
use crate::base::fork;
use crate::base::sync::Mutex;

/// The length of a slot, and what it is aligned to: a cache line.
pub const SLOT: usize = 64;

/// The length of the segments that hold slots.
pub const SEGMENT: usize = 64 * SLOT;

/// The most slots that one object may have, side by side.
pub const LONGEST: usize = 8;

/// Shared memory of [`SLOT`] bytes or a few times as much, all zero when new.
#[derive(Clone, Debug)]
pub struct Slot {
    segment: Arc<Segment>,
    /// Its address: where its offset is in the segment's mapping, which lives as long as the segment.
    at: NonNull<u8>,
    offset: usize,
    len: usize,
}

// SAFETY: as for a segment, whose atomics are all that a slot gives out.
unsafe impl Send for Slot {}
// SAFETY: as for Send.
unsafe impl Sync for Slot {}

/// The segment that new slots come from, and the next one's offset.
#[derive(Debug)]
struct Current {
    segment: Option<Arc<Segment>>,
    next: usize,
}

/// What a process knows of slots.
#[derive(Debug)]
struct Process {
    generation: u32,
    current: Mutex<Current>,
    /// Segments of other processes that are mapped here, by their number.
    foreign: Mutex<HashMap<u64, Weak<Segment>>>,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

impl Process {
    /// This process's own. The child of a fork begins anew: its parent goes on with the segment that it inherits, and a thread
    /// that is not in the child may have held either mutex.
    fn this() -> &'static Self {
        loop {
            let known = PROCESS.load(Ordering::Acquire);
            // SAFETY: null, or made below, published by a release, and never freed.
            if let Some(process) = unsafe { known.as_ref() } {
                if process.generation == fork::generation() {
                    return process;
                }
            }
            let new = Box::into_raw(Box::new(Self {
                generation: fork::generation(),
                current: Mutex::new(Current { segment: None, next: 0 }),
                foreign: Mutex::new(HashMap::new()),
            }));
            if PROCESS.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: it was made by the box just above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

impl Slot {
    /// A new slot.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Self::new_run(1)
    }

    /// A new one as long as `count` slots.
    ///
    /// # Errors
    /// As for [`Slot::new`].
    ///
    /// # Panics
    /// If `count` is 0 or more than [`LONGEST`].
    pub fn new_run(count: usize) -> io::Result<Self> {
        assert!((1..=LONGEST).contains(&count), "no such number of slots");
        let len = count * SLOT;
        let mut current = Process::this().current.lock();
        if current.segment.is_none() || current.next + len > SEGMENT {
            let segment = Segment::create(SEGMENT)?;
            segment.commit(0, SEGMENT)?;
            current.segment = Some(Arc::new(segment));
            current.next = 0;
        }
        let offset = current.next;
        current.next += len;
        let Some(segment) = current.segment.clone() else { unreachable!("made just above") };
        Ok(Self::of(segment, offset, len))
    }

    /// Panics if it is not inside.
    fn of(segment: Arc<Segment>, offset: usize, len: usize) -> Self {
        let at = segment.at(offset, len);
        Self { segment, at, offset, len }
    }

    /// The `len` bytes at `offset` of the segment behind `fd`, as another process describes a slot of its.
    ///
    /// # Errors
    /// `InvalidData` if there is no such slot; else the kernel's.
    pub fn open(fd: OwnedFd, offset: usize, len: usize) -> io::Result<Self> {
        check(offset, len)?;
        let segment = Segment::open(fd, SEGMENT)?;
        let id = segment.id()?;
        let mut foreign = Process::this().foreign.lock();
        if let Some(known) = foreign.get(&id).and_then(Weak::upgrade) {
            return Ok(Self::of(known, offset, len));
        }
        foreign.retain(|_, segment| segment.strong_count() > 0);
        let segment = Arc::new(segment);
        foreign.insert(id, Arc::downgrade(&segment));
        Ok(Self::of(segment, offset, len))
    }

    /// Another slot of the same segment.
    ///
    /// # Errors
    /// `InvalidData` if there is no such slot.
    pub fn beside(&self, offset: usize, len: usize) -> io::Result<Self> {
        check(offset, len)?;
        Ok(Self::of(self.segment.clone(), offset, len))
    }

    /// The segment to pass to another process.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where in the segment it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "memory, not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The word at `offset` of the slot.
    ///
    /// # Panics
    /// If it is not inside, or `offset` is no multiple of 4.
    #[inline]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset < self.len, "no word of the slot");
        // SAFETY: inside, as its length is a multiple of 64, and aligned, as slots are; it lives as long as self, which has
        // the segment; shared memory is accessed by atomics.
        unsafe { self.at.add(offset).cast().as_ref() }
    }

    /// The double word at `offset` of the slot.
    ///
    /// # Panics
    /// If it is not inside, or `offset` is no multiple of 8.
    #[inline]
    pub fn double_word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset % 8 == 0 && offset < self.len, "no double word of the slot");
        // SAFETY: as for a word.
        unsafe { self.at.add(offset).cast().as_ref() }
    }

    /// Sleeps if the lower half of the double word at `offset` is `expected`.
    pub(super) fn sleep(&self, offset: usize, expected: u32, until: Option<Deadline>) -> Slept {
        word::sleep(self.lower_half(offset), expected, until, word::ALL)
    }

    /// Wakes up to `count` who sleep so; how many there were.
    pub(super) fn wake(&self, offset: usize, count: u32) -> usize {
        word::wake(self.lower_half(offset), count, word::ALL)
    }

    /// Where the kernel finds sleepers: it is never read or written here.
    fn lower_half(&self, offset: usize) -> &AtomicU32 {
        self.word(offset + if cfg!(target_endian = "big") { 4 } else { 0 })
    }
}

fn check(offset: usize, len: usize) -> io::Result<()> {
    let is_run = len > 0 && len % SLOT == 0 && len <= LONGEST * SLOT;
    if is_run && offset % SLOT == 0 && offset <= SEGMENT - len {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "no slot of shared memory begins there"))
}
