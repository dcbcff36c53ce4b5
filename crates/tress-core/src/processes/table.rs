//! Who holds how many permits of a semaphore: a table in shared memory, changed together with the semaphore's word.
//!
//! A process can be killed between any two instructions, and must not leave a permit taken and not noted, or the other way
//! round. So a change of the word names the change of the table that belongs to it, and that is made afterwards, by
//! whoever comes first: the process itself, or the next one that has to do with the semaphore ([`Table::settle`]). Nobody changes the word
//! before the table agrees with it; hence the table stands still for one who looks at it, as long as the word does.
//!
//! | bits of an entry | |
//! |---|---|
//! | 0..22, 22..34 | the process: its id, and the lowest bits of when it started; 0 for none |
//! | 34..44 | how many permits it holds |
//! | 44..64 | the tag: one more with every change |
//!
//! A change carries the tag that its entry will have. An entry that has it already has been changed, so that a change is
//! made once, however many try; a straggler that slept between its look and its swap would have to sleep through a million
//! changes of that entry to be fooled.

use super::identity::{self, ProcessId, Watch};
use super::slots::{SLOT, Slot};
use crate::base::sync::atomic::{AtomicU64, Ordering};

const PID_MASK: u64 = (1 << 22) - 1;
const START_SHIFT: u32 = 22;
const START_MASK: u64 = (1 << 12) - 1;
const OWNER_MASK: u64 = (1 << 34) - 1;
const COUNT_SHIFT: u32 = 34;
const COUNT_MASK: u64 = MOST;
const TAG_SHIFT: u32 = 44;
const TAG_MASK: u64 = (1 << 20) - 1;

/// The most permits that can be noted for one process.
pub(super) const MOST: u64 = (1 << 10) - 1;

/// Where in the slot the entries begin, and how long each is.
pub(super) const BEGIN: usize = 24;
const ENTRY: usize = 8;

/// How many slots a table of so many entries takes, with what comes before it.
pub(super) fn slots_for(entries: usize) -> usize {
    (BEGIN + entries * ENTRY).div_ceil(SLOT)
}

/// What a change does to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One permit more.
    Take,
    /// One permit fewer.
    Give,
    /// It is nobody's.
    Clear,
}

/// A change of one entry, as the semaphore's word names it: 32 bits, 0 for none.
///
/// | bits | |
/// |---|---|
/// | 0..9 | which entry, counted from 1 |
/// | 9..11 | the kind |
/// | 12..32 | the tag |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change(u32);

impl Change {
    pub(super) const NONE: Self = Self(0);

    fn new(kind: Kind, index: usize, entry: Entry) -> Self {
        let tag = (entry.tag() + 1) & TAG_MASK;
        Self((index as u32 + 1) | (kind as u32) << 9 | (tag as u32) << 12)
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// Bit 11 is not the change's.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits & !(1 << 11))
    }

    fn kind(self) -> Kind {
        match self.0 >> 9 & 3 {
            0 => Kind::Take,
            1 => Kind::Give,
            _ => Kind::Clear,
        }
    }

    fn index(self) -> Option<usize> {
        (self.0 as usize & 0x1ff).checked_sub(1)
    }

    fn tag(self) -> u64 {
        u64::from(self.0 >> 12)
    }
}

/// One entry, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    fn owner(self) -> u64 {
        self.0 & OWNER_MASK
    }

    pub(super) fn count(self) -> u64 {
        self.0 >> COUNT_SHIFT & COUNT_MASK
    }

    fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    fn with_owner(self, owner: u64) -> Self {
        Self(self.0 & !OWNER_MASK | owner)
    }

    fn after(self, kind: Kind) -> Self {
        let tag = (self.tag() + 1) & TAG_MASK;
        let (owner, count) = match kind {
            Kind::Take => (self.owner(), MOST.min(self.count() + 1)),
            Kind::Give => (self.owner(), self.count().saturating_sub(1)),
            Kind::Clear => (0, 0),
        };
        Self(owner | count << COUNT_SHIFT | tag << TAG_SHIFT)
    }

    /// Its process, if that has ended.
    fn dead(self, watch: &mut Watch) -> Option<ProcessId> {
        let start = self.owner() >> START_SHIFT & START_MASK;
        let pid = (self.owner() & PID_MASK) as u32;
        let ended = pid != 0
            && self.owner() != owner(identity::current())
            && watch.has(self.owner(), pid, |found| start == 0 || start == found & START_MASK);
        if ended { ProcessId::from_bits(self.owner()) } else { None }
    }
}

fn owner(process: ProcessId) -> u64 {
    u64::from(process.pid().unwrap_or(0)) | (process.start() & START_MASK) << START_SHIFT
}

/// What a process that takes or gives a permit finds in the table.
pub(super) enum Found {
    /// The change that notes it.
    Change(Change),
    /// Nothing to note it in, or nothing noted.
    Nothing,
    /// A change that has to be made first, and has nothing to do with any permit: it makes room.
    First(Change),
    /// The table has just changed: look again.
    Again,
}

/// The entries of a semaphore.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'slot> {
    slot: &'slot Slot,
}

impl<'slot> Table<'slot> {
    pub(super) fn of(slot: &'slot Slot) -> Self {
        Self { slot }
    }

    fn len(self) -> usize {
        (self.slot.len() - BEGIN) / ENTRY
    }

    #[inline]
    fn at(self, index: usize) -> &'slot AtomicU64 {
        self.slot.double_word(BEGIN + index * ENTRY)
    }

    #[inline]
    fn entry(self, index: usize) -> Entry {
        Entry(self.at(index).load(Ordering::Acquire))
    }

    /// Makes the change that the word names, unless it has been made. `is_current` tells whether the word still is the one
    /// that named it: if not, it has been made.
    #[inline]
    pub(super) fn settle(self, change: Change, is_current: impl Fn() -> bool) {
        let Some(index) = change.index().filter(|index| *index < self.len()) else { return };
        loop {
            let entry = self.entry(index);
            if entry.tag() == change.tag() || !is_current() {
                return;
            }
            let changed = entry.after(change.kind()).0;
            let swap = self.at(index).compare_exchange(entry.0, changed, Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                return;
            }
        }
    }

    /// How `process` notes a permit that it takes.
    #[inline]
    pub(super) fn to_take(self, process: ProcessId) -> Found {
        let ours = owner(process);
        let (mut free, mut idle) = (None, None);
        for index in 0..self.len() {
            let entry = self.entry(index);
            if entry.owner() == ours {
                let has_room = entry.count() < MOST;
                return if has_room {
                    Found::Change(Change::new(Kind::Take, index, entry))
                } else {
                    Found::Nothing
                };
            }
            if entry.owner() == 0 {
                free = free.or(Some((index, entry)));
            } else if entry.count() == 0 {
                idle = idle.or(Some((index, entry)));
            }
        }
        if let Some((index, entry)) = free {
            let claimed = entry.with_owner(ours).0;
            let _ = self.at(index).compare_exchange(entry.0, claimed, Ordering::AcqRel, Ordering::Relaxed);
            return Found::Again;
        }
        idle.map_or(Found::Nothing, |(index, entry)| Found::First(Change::new(Kind::Clear, index, entry)))
    }

    /// How `process` notes a permit that it gives back.
    #[inline]
    pub(super) fn to_give(self, process: ProcessId) -> Found {
        let ours = owner(process);
        for index in 0..self.len() {
            let entry = self.entry(index);
            if entry.owner() == ours && entry.count() > 0 {
                return Found::Change(Change::new(Kind::Give, index, entry));
            }
        }
        Found::Nothing
    }

    /// A process that holds permits and has ended: which one, how many permits, and the change that forgets them.
    pub(super) fn dead(self, watch: &mut Watch) -> Option<(ProcessId, u64, Change)> {
        (0..self.len()).find_map(|index| {
            let entry = self.entry(index);
            let dead = (entry.count() > 0).then(|| entry.dead(watch)).flatten()?;
            Some((dead, entry.count(), Change::new(Kind::Clear, index, entry)))
        })
    }

    /// How many permits `process` holds.
    pub(super) fn held_by(self, process: ProcessId) -> u64 {
        let ours = owner(process);
        (0..self.len())
            .map(|index| self.entry(index))
            .filter(|entry| entry.owner() == ours)
            .map(Entry::count)
            .sum()
    }
}
