//! Small shared objects, many to a segment: a file descriptor and a mapping for each would be too dear.
//!
//! Nobody can tell when the last process has let go of an object, so a slot is used once; the segment goes when the last
//! object in it has gone, in each process for itself.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::segment::Segment;
use crate::base::fork;
use crate::base::sync::Mutex;

/// The length of a slot, and what it is aligned to: a cache line.
pub const SLOT: usize = 64;

/// The length of the segments that hold slots.
pub const SEGMENT: usize = 64 * SLOT;

/// Shared memory of [`SLOT`] bytes, all zero when new.
#[derive(Clone, Debug)]
pub struct Slot {
    segment: Arc<Segment>,
    offset: usize,
}

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
        let mut current = Process::this().current.lock();
        if current.segment.is_none() || current.next == SEGMENT {
            let segment = Segment::create(SEGMENT)?;
            segment.commit(0, SEGMENT)?;
            current.segment = Some(Arc::new(segment));
            current.next = 0;
        }
        let offset = current.next;
        current.next += SLOT;
        let Some(segment) = current.segment.clone() else { unreachable!("made just above") };
        Ok(Self { segment, offset })
    }

    /// The slot at `offset` of the segment behind `fd`, as another process describes it.
    ///
    /// # Errors
    /// `InvalidData` if there is no such slot; else the kernel's.
    pub fn open(fd: OwnedFd, offset: usize) -> io::Result<Self> {
        if offset % SLOT != 0 || offset >= SEGMENT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no slot of shared memory begins there"));
        }
        let segment = Segment::open(fd, SEGMENT)?;
        let id = segment.id()?;
        let mut foreign = Process::this().foreign.lock();
        if let Some(known) = foreign.get(&id).and_then(Weak::upgrade) {
            return Ok(Self { segment: known, offset });
        }
        foreign.retain(|_, segment| segment.strong_count() > 0);
        let segment = Arc::new(segment);
        foreign.insert(id, Arc::downgrade(&segment));
        Ok(Self { segment, offset })
    }

    /// The segment to pass to another process.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where in the segment it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The word at `offset` of the slot.
    #[inline]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset < SLOT);
        self.segment.word(self.offset + offset)
    }

    /// The double word at `offset` of the slot.
    #[inline]
    pub fn double_word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset < SLOT);
        self.segment.double_word(self.offset + offset)
    }
}
