//! Room for what is too large for a slot or a ring: one process lends blocks of it to others, which give them back.
//!
//! Only the lender decides where a block is; whether a block is back is a word in the block itself, which its borrower sets
//! and the lender looks at when it needs room. So a borrower may die at any moment: its blocks stay lent until the lender, who
//! knows whom it gave them to, takes them back.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::Segment;
use crate::base::fork;

/// Before the bytes of a block stands this much of its own; the bytes are aligned to as much.
const HEADER: usize = 64;
const PAGE: usize = 4096;

const FREE: u32 = 0;
const LENT: u32 = 1;

/// How many bytes of blocks that are back are kept with memory behind them, until [`Arena::trim`]: that is what makes the
/// next use fast.
pub const WARM: usize = 256 << 20;

/// Blocks of so many bytes take longer to be filled for the first time than all others to be looked at.
const WORTH_A_SWEEP: usize = 128 << 10;

/// A block that is lent: which one, and which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Where its bytes begin in the segment.
    pub offset: usize,
    serial: u64,
}

#[derive(Debug)]
struct Lent {
    lease: Lease,
    whole: usize,
}

/// The lender's side.
#[derive(Debug)]
pub struct Arena {
    segment: Arc<Segment>,
    start: usize,
    end: usize,
    /// What has never been part of a block begins here.
    next: usize,
    lent: Vec<Lent>,
    serial: u64,
    sweep_at: usize,
    /// By length: blocks with memory behind them, then those without.
    warm: BTreeMap<usize, Vec<usize>>,
    cold: BTreeMap<usize, Vec<usize>>,
    warm_bytes: usize,
    lent_bytes: usize,
}

/// A block that was lent to this process; it goes back when the value is dropped, but not when the copy is that the child of a
/// fork inherits.
#[derive(Debug)]
pub struct Block {
    segment: Arc<Segment>,
    generation: u32,
    offset: usize,
    len: usize,
}

/// The length of the block for so many bytes: one of four to each doubling, so that blocks fit again.
fn block_len(len: usize) -> Option<usize> {
    let needed = len.checked_add(HEADER)?.checked_next_multiple_of(PAGE)?;
    let step = (needed.checked_next_power_of_two()? / 8).max(PAGE);
    needed.checked_next_multiple_of(step)
}

impl Arena {
    /// An arena in the bytes from `start` to `end` of `segment`, whole pages that nobody else uses.
    pub fn new(segment: Arc<Segment>, start: usize, end: usize) -> Self {
        let start = start.next_multiple_of(PAGE);
        Self {
            segment,
            start,
            end,
            next: start,
            lent: Vec::new(),
            serial: 0,
            sweep_at: 16,
            warm: BTreeMap::new(),
            cold: BTreeMap::new(),
            warm_bytes: 0,
            lent_bytes: 0,
        }
    }

    /// Copies `parts` into a block, one after the other, and lends it.
    ///
    /// # Errors
    /// `StorageFull` if the arena has no room for it now, `OutOfMemory` if the system has none.
    pub fn lend(&mut self, parts: &[&[u8]]) -> io::Result<Lease> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let whole = block_len(len).ok_or(io::ErrorKind::StorageFull)?;
        // Memory that was used before is worth a look at every block that is lent, if it is much.
        if whole >= WORTH_A_SWEEP || self.lent.len() >= self.sweep_at {
            self.sweep();
        }
        let (offset, whole, warm) = match self.find(whole) {
            Some(found) => found,
            None => {
                self.sweep();
                if self.lent.is_empty() {
                    self.begin_anew();
                }
                self.find(whole).ok_or(io::ErrorKind::StorageFull)?
            }
        };
        if !warm {
            if let Err(error) = self.segment.commit(offset, whole) {
                self.cold.entry(whole).or_default().push(offset);
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, error));
            }
        }
        // SAFETY: the block is ours alone: it is not lent, and only the lender gives ranges away.
        unsafe { self.segment.fill(offset + HEADER, parts) };
        self.segment.word(offset).store(LENT, Ordering::Release);
        self.serial += 1;
        let lease = Lease { offset: offset + HEADER, serial: self.serial };
        self.lent.push(Lent { lease, whole });
        self.lent_bytes += whole;
        Ok(lease)
    }

    /// A block of at least `whole` bytes that is nobody's, its length, and whether it has memory behind it: one that fits, else
    /// a new one, else a larger one.
    fn find(&mut self, whole: usize) -> Option<(usize, usize, bool)> {
        if let Some(offset) = self.warm.get_mut(&whole).and_then(Vec::pop) {
            self.warm_bytes -= whole;
            return Some((offset, whole, true));
        }
        if let Some(offset) = self.cold.get_mut(&whole).and_then(Vec::pop) {
            return Some((offset, whole, false));
        }
        if whole <= self.end.saturating_sub(self.next) {
            self.next += whole;
            return Some((self.next - whole, whole, false));
        }
        let larger = |blocks: &mut BTreeMap<usize, Vec<usize>>| {
            blocks.range_mut(whole..).find_map(|(whole, offsets)| Some((offsets.pop()?, *whole)))
        };
        if let Some((offset, whole)) = larger(&mut self.cold) {
            return Some((offset, whole, false));
        }
        let (offset, whole) = larger(&mut self.warm)?;
        self.warm_bytes -= whole;
        Some((offset, whole, true))
    }

    /// Blocks are neither split nor joined; those of lengths that nobody asks for any more would take all room in the end.
    fn begin_anew(&mut self) {
        self.warm.clear();
        self.cold.clear();
        self.warm_bytes = 0;
        self.segment.discard(self.start, self.next - self.start);
        self.next = self.start;
    }

    /// Looks which blocks are back.
    fn sweep(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        for block in lent {
            let offset = block.lease.offset - HEADER;
            if self.segment.word(offset).load(Ordering::Acquire) == LENT {
                self.lent.push(block);
            } else {
                self.put_back(offset, block.whole);
            }
        }
        self.sweep_at = (self.lent.len() * 2).max(16);
    }

    fn put_back(&mut self, offset: usize, whole: usize) {
        self.lent_bytes -= whole;
        if self.warm_bytes + whole <= WARM {
            self.warm_bytes += whole;
            self.warm.entry(whole).or_default().push(offset);
        } else {
            self.segment.discard(offset, whole);
            self.cold.entry(whole).or_default().push(offset);
        }
    }

    /// Takes a block back whose borrower is dead, or never got it. Nothing if it is back already.
    pub fn take_back(&mut self, lease: Lease) {
        if let Some(index) = self.lent.iter().position(|block| block.lease == lease) {
            let block = self.lent.swap_remove(index);
            self.segment.word(lease.offset - HEADER).store(FREE, Ordering::Relaxed);
            self.put_back(lease.offset - HEADER, block.whole);
        }
    }

    /// Whether a block is still lent, as far as its borrower has said.
    pub fn is_lent(&self, lease: Lease) -> bool {
        self.lent.iter().any(|block| block.lease == lease)
            && self.segment.word(lease.offset - HEADER).load(Ordering::Acquire) == LENT
    }

    /// Gives the memory of blocks that are back to the system; whether nothing is lent any more.
    pub fn trim(&mut self) -> bool {
        self.sweep();
        for (whole, offsets) in std::mem::take(&mut self.warm) {
            for offset in &offsets {
                self.segment.discard(*offset, whole);
            }
            self.cold.entry(whole).or_default().extend(offsets);
        }
        self.warm_bytes = 0;
        self.lent.is_empty()
    }

    /// Whether a block has been lent since the last [`Arena::trim`] that found all of them back.
    pub fn is_used(&self) -> bool {
        self.warm_bytes > 0 || !self.lent.is_empty()
    }

    /// How many bytes are lent.
    pub fn lent_bytes(&mut self) -> usize {
        self.sweep();
        self.lent_bytes
    }
}

impl Block {
    /// The `len` bytes at `offset` of an arena in `segment` from `start` on, as its lender describes them.
    ///
    /// # Errors
    /// `InvalidData` if there can be no such block.
    pub fn borrow(segment: &Arc<Segment>, start: usize, offset: usize, len: usize) -> io::Result<Self> {
        let inside = offset >= start + HEADER && offset % HEADER == 0 && offset <= segment.len();
        if !inside || len > segment.len() - offset {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a block outside the shared memory"));
        }
        Ok(Self { segment: Arc::clone(segment), generation: fork::generation(), offset, len })
    }

    /// The bytes; their number is [`Block::len`].
    pub fn as_ptr(&self) -> *mut u8 {
        self.segment.at(self.offset, self.len).as_ptr()
    }

    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "memory, not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return;
        }
        let start = self.offset - HEADER;
        if let Some(whole) = block_len(self.len).filter(|whole| *whole > WARM) {
            // Too large for the lender to keep it warm, and it may not look for long. The first page has the word below.
            self.segment.discard(start + PAGE, whole.min(self.segment.len() - start) - PAGE);
        }
        self.segment.word(self.offset - HEADER).store(FREE, Ordering::Release);
    }
}
