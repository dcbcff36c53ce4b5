//! What stands in a ring before each piece of an item, and the parts of an item as they are copied piece by piece.

/// What stands before each piece.
pub(super) const HEADER: usize = 8;

const LEN_BITS: u32 = 48;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An item.
    Whole = 1,
    /// The first of several pieces; behind its header stands the length of all of them.
    First = 2,
    /// Neither the first nor the last.
    Continued = 3,
    /// The last of several.
    Last = 4,
    /// No piece: there will be no more of the item.
    Abandoned = 5,
}

/// The header of a piece: what it is, what its writer said of the item, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: Kind,
    pub tag: u8,
    pub len: u64,
}

impl Frame {
    pub fn bits(self) -> u64 {
        self.len & LEN_MASK | u64::from(self.tag) << LEN_BITS | (self.kind as u64) << 56
    }

    pub fn from_bits(bits: u64) -> Option<Self> {
        let kind = match bits >> 56 {
            1 => Kind::Whole,
            2 => Kind::First,
            3 => Kind::Continued,
            4 => Kind::Last,
            5 => Kind::Abandoned,
            _ => return None,
        };
        Some(Self { kind, tag: (bits >> LEN_BITS) as u8, len: bits & LEN_MASK })
    }

    /// The process that has ended in the middle of the item.
    pub fn abandoned_by(self) -> Option<u32> {
        (self.kind == Kind::Abandoned).then_some(self.len as u32).filter(|pid| *pid != 0)
    }
}

/// The room that so many bytes take: headers are aligned.
pub(super) const fn padded(len: usize) -> usize {
    len.next_multiple_of(HEADER)
}

/// Parts of an item that are copied out one after the other.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    parts: &'a [&'a [u8]],
    /// How much of the first part is done.
    done: usize,
    left: usize,
}

impl<'a> Pieces<'a> {
    pub fn new(parts: &'a [&'a [u8]]) -> Self {
        Self { parts, done: 0, left: parts.iter().map(|part| part.len()).sum() }
    }

    pub fn left(&self) -> usize {
        self.left
    }

    /// Copies the next `len` bytes.
    ///
    /// # Safety
    /// So many can be written to `to`, which nobody else reads or writes meanwhile.
    ///
    /// # Panics
    /// If there are not so many left.
    pub unsafe fn copy(&mut self, mut to: *mut u8, mut len: usize) {
        assert!(len <= self.left, "not so many bytes left");
        self.left -= len;
        while len > 0 {
            let part = &self.parts[0][self.done..];
            let now = len.min(part.len());
            // SAFETY: `now` is no more than either has, by the caller's promise, and what is written is no part of the item.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, now);
                to = to.add(now);
            }
            len -= now;
            self.done += now;
            if now == part.len() {
                self.parts = &self.parts[1..];
                self.done = 0;
            }
        }
    }
}
