//! Items of any length from several processes to several others, through a ring of bytes in shared memory.
//!
//! * Writers take turns by one lock, readers by another; each lock names its holder and is taken over from a dead one.
//! * An item is in the ring once the tail has moved beyond it, and gone once the head has: one store each. A writer that is
//!   killed before leaves what the next one overwrites; a reader that is killed before leaves the item to the next one.
//! * What is longer than a quarter of the ring goes through it in pieces, with the lock held from the first to the last. When a
//!   writer ends in the middle, whoever has the writers' lock next, or the reader that waits for the next piece and takes the
//!   lock over for that, writes that the item is abandoned. When a reader does, the next one passes over the rest of the pieces.
//!   Either way one item is lost, and the reader that finds out is told.
//! * Nothing that is read from the ring is believed before it was checked: it is as long as what is published at most.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::doorbell::Doorbell;
use super::identity::ProcessId;
use super::lock::{Lock, Taken};
use super::patience::Patience;
use super::pieces::{Frame, HEADER, Kind, Pieces, padded};
use super::positions::Positions;
use super::segment::Segment;
use super::slots::{SLOT, Slot};
use super::word::Slept;
use crate::base::deadline::Deadline;

/// The capacity of a ring, unless its maker says another.
pub const CAPACITY: usize = 1 << 20;

/// The least and the most bytes that a ring has.
pub const LEAST: usize = 4096;
/// See [`LEAST`].
pub const MOST: usize = 1 << 30;

const SLOTS: usize = 5;
const PUT_LOCK: usize = 2;
const GET_LOCK: usize = 3;
const BELL_LOCK: usize = 4;

/// A ring, as one process sees it.
#[derive(Debug)]
pub struct Ring {
    slot: Slot,
    segment: Segment,
    positions: Positions,
    put: Lock,
    get: Lock,
    bell: Doorbell,
}

/// An item that there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What its writer said of it.
    pub tag: u8,
    /// Its length in bytes.
    pub len: usize,
}

/// What a reader comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An item, to be read by [`Getting::read`].
    Item(Item),
    /// An item was lost, as the process that wrote or read it ended in the middle; its id, where that is known.
    Lost(Option<u32>),
    /// What is in the ring is not what a writer writes: some process has spoilt it.
    Malformed,
}

impl Ring {
    /// A new one of `capacity` bytes, a multiple of 64 in `LEAST..=MOST`.
    ///
    /// # Errors
    /// `InvalidInput` for another capacity; the kernel's: no memory or no file descriptor left.
    pub fn create(capacity: usize) -> io::Result<Self> {
        check(capacity)?;
        let slot = Slot::new_run(SLOTS)?;
        for place in [PUT_LOCK, GET_LOCK, BELL_LOCK] {
            Lock::make_in(part(&slot, place, 1)?);
        }
        let segment = Segment::create(capacity)?;
        segment.commit(0, capacity)?;
        let bell = Doorbell::new(Lock::of(part(&slot, BELL_LOCK, 1)?))?;
        Self::of(slot, segment, bell)
    }

    /// The one that another process has made, with its slots in `slot`, its bytes behind `fd` and its doorbell's descriptor.
    ///
    /// # Errors
    /// `InvalidData` or `InvalidInput` if there is no such ring; else the kernel's.
    pub fn open(slot: Slot, fd: OwnedFd, capacity: usize, bell: OwnedFd) -> io::Result<Self> {
        check(capacity)?;
        if slot.len() != SLOTS * SLOT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not the slots of a ring"));
        }
        let segment = Segment::open(fd, capacity)?;
        let bell = Doorbell::of(Lock::of(part(&slot, BELL_LOCK, 1)?), bell);
        Self::of(slot, segment, bell)
    }

    fn of(slot: Slot, segment: Segment, bell: Doorbell) -> io::Result<Self> {
        let positions = Positions::of(part(&slot, 0, 2)?, segment.len() as u64);
        let (put, get) = (Lock::of(part(&slot, PUT_LOCK, 1)?), Lock::of(part(&slot, GET_LOCK, 1)?));
        Ok(Self { slot, segment, positions, put, get, bell })
    }

    /// Where its small parts are.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The memory of its bytes.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How far it is written and read.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The descriptor to pass on with the ring.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.fd()
    }

    /// A descriptor that is ready to be read as long as the ring has something in it, from now on.
    pub fn watch(&self) -> BorrowedFd<'_> {
        self.positions.watch();
        self.settle();
        self.bell.fd()
    }

    fn settle(&self) {
        if self.positions.is_watched() {
            self.bell.settle(|| !self.positions.is_empty());
        }
    }

    /// The longest item that goes through in one piece.
    pub fn longest_whole(&self) -> usize {
        self.segment.len() / 4 - 2 * HEADER
    }

    fn publish(&self, tail: u64) {
        if self.positions.publish(tail) {
            self.settle();
        }
    }

    fn take(&self, head: u64) {
        if self.positions.take(head) {
            self.settle();
        }
    }

    fn offset(&self, position: u64) -> usize {
        (position % self.segment.len() as u64) as usize
    }

    fn write_frame(&self, at: u64, frame: Frame) {
        self.segment.double_word(self.offset(at)).store(frame.bits(), Ordering::Relaxed);
    }

    /// Copies the next `len` bytes of `pieces` to the position `at`. The caller holds the writers' lock, and there is room.
    fn write(&self, at: u64, pieces: &mut Pieces<'_>, len: usize) {
        let first = len.min(self.segment.len() - self.offset(at));
        let to = self.segment.at(self.offset(at), first);
        // SAFETY: the range is inside, as `at` has checked. It lies behind the tail, where only the holder of the writers'
        // lock writes and nobody reads.
        unsafe { pieces.copy(to.as_ptr(), first) };
        if first < len {
            let to = self.segment.at(0, len - first);
            // SAFETY: as above.
            unsafe { pieces.copy(to.as_ptr(), len - first) };
        }
    }

    /// Copies from the position `at`. The caller holds the readers' lock, and so much is published.
    fn read(&self, at: u64, into: &mut [MaybeUninit<u8>]) {
        let (one, other) = into.split_at_mut(into.len().min(self.segment.len() - self.offset(at)));
        for (from, into) in [(self.offset(at), one), (0, other)] {
            let from = self.segment.at(from, into.len());
            // SAFETY: both are so long, and do not overlap, as one is this process's own. What is published and not yet taken
            // nobody writes.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
        }
    }

    /// Says that the item of which there were pieces gets no more. The caller holds the writers' lock, and there is room.
    fn abandon(&self, writer: Option<ProcessId>) {
        let pid = writer.and_then(ProcessId::pid).unwrap_or(0);
        let tail = self.positions.tail();
        self.write_frame(tail, Frame { kind: Kind::Abandoned, tag: 0, len: u64::from(pid) });
        self.positions.set_stream(false);
        self.publish(tail + HEADER as u64);
    }

    /// Puts an item in if that takes no longer than a copy: whether it could.
    pub fn try_put(&self, tag: u8, parts: &[&[u8]]) -> bool {
        let mut pieces = Pieces::new(parts);
        let len = pieces.left();
        if len > self.longest_whole() || !self.put.try_acquire() {
            return false;
        }
        let is_free = !self.positions.is_stream() && self.positions.has_room((HEADER + padded(len)) as u64);
        if is_free {
            self.put_whole(tag, &mut pieces);
        }
        let _ = self.put.release();
        is_free
    }

    fn put_whole(&self, tag: u8, pieces: &mut Pieces<'_>) {
        let (tail, len) = (self.positions.tail(), pieces.left());
        self.write_frame(tail, Frame { kind: Kind::Whole, tag, len: len as u64 });
        self.write(tail + HEADER as u64, pieces, len);
        self.publish(tail + (HEADER + padded(len)) as u64);
    }

    /// Whether an item of `len` bytes would go in soon: it is not too long, there is room, and whoever writes is about to end.
    pub fn is_open(&self, len: usize) -> bool {
        len <= self.longest_whole()
            && !self.positions.is_stream()
            && !self.positions.is_writer_asleep()
            && self.positions.has_room((HEADER + padded(len)) as u64)
    }

    /// Begins to put an item in, however long that takes.
    pub fn put<'a>(&'a self, tag: u8, parts: &'a [&'a [u8]]) -> Putting<'a> {
        let pieces = Pieces::new(parts);
        Putting {
            ring: self,
            tag,
            total: pieces.left(),
            pieces,
            has_lock: false,
            dead: None,
            patience: Patience::new(),
        }
    }

    /// Begins to take an item out.
    pub fn get(&self) -> Getting<'_> {
        Getting { ring: self, has_lock: false, rest: None, dead: None, patience: Patience::new() }
    }
}

fn check(capacity: usize) -> io::Result<()> {
    if capacity % 64 == 0 && (LEAST..=MOST).contains(&capacity) {
        return Ok(());
    }
    let message = "the capacity must be a multiple of 64 from 4 KiB to 1 GiB";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn part(slot: &Slot, place: usize, count: usize) -> io::Result<Slot> {
    slot.beside(slot.offset() + place * SLOT, count * SLOT)
}

/// An item on its way into a ring. Dropped before its end it leaves nothing, or an item that is abandoned.
#[derive(Debug)]
pub struct Putting<'a> {
    ring: &'a Ring,
    tag: u8,
    total: usize,
    pieces: Pieces<'a>,
    has_lock: bool,
    /// From whom the lock was taken over.
    dead: Option<ProcessId>,
    patience: Patience,
}

impl Putting<'_> {
    /// Goes on until the item is in, or sleeps for a moment at most, and not beyond `until`. To be called again after
    /// [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn attempt(&mut self, until: Option<Deadline>) -> Result<(), Slept> {
        let ring = self.ring;
        if !self.has_lock {
            if let Taken::FromDead(dead) = ring.put.attempt(&mut self.patience, until)? {
                self.dead = Some(dead);
            }
            self.has_lock = true;
            self.patience = Patience::new();
        }
        let is_begun = self.pieces.left() < self.total;
        if !is_begun && ring.positions.is_stream() {
            self.await_room(HEADER, until)?;
            ring.abandon(self.dead);
        }
        if self.total <= ring.longest_whole() {
            self.await_room(HEADER + padded(self.total), until)?;
            ring.put_whole(self.tag, &mut self.pieces);
        } else {
            self.put_pieces(until)?;
        }
        self.has_lock = false;
        let _ = ring.put.release();
        Ok(())
    }

    fn put_pieces(&mut self, until: Option<Deadline>) -> Result<(), Slept> {
        let ring = self.ring;
        while self.pieces.left() > 0 {
            let is_first = self.pieces.left() == self.total;
            let len = self.pieces.left().min(ring.longest_whole());
            let before = if is_first { 2 * HEADER } else { HEADER };
            self.await_room(before + padded(len), until)?;
            let tail = ring.positions.tail();
            let kind = match (is_first, len == self.pieces.left()) {
                (true, _) => Kind::First,
                (false, false) => Kind::Continued,
                (false, true) => Kind::Last,
            };
            ring.write_frame(tail, Frame { kind, tag: self.tag, len: len as u64 });
            if is_first {
                ring.segment
                    .double_word(ring.offset(tail + HEADER as u64))
                    .store(self.total as u64, Ordering::Relaxed);
            }
            ring.write(tail + before as u64, &mut self.pieces, len);
            // If it ends between the two, a reader that is in the middle finds no piece and nobody who writes one.
            ring.positions.set_stream(kind != Kind::Last);
            ring.publish(tail + (before + padded(len)) as u64);
        }
        Ok(())
    }

    fn await_room(&mut self, need: usize, until: Option<Deadline>) -> Result<(), Slept> {
        self.ring.positions.await_room(need as u64, &mut self.patience, until)?;
        self.patience = Patience::new();
        Ok(())
    }
}

impl Drop for Putting<'_> {
    fn drop(&mut self) {
        if !self.has_lock {
            return;
        }
        let is_begun = self.pieces.left() < self.total;
        if is_begun && self.ring.positions.has_room(HEADER as u64) {
            self.ring.abandon(None);
        }
        // Without room for that, whoever has the lock next does it.
        let _ = self.ring.put.release();
    }
}

/// An item on its way out of a ring. Dropped before its end it leaves the item there, unless some of its pieces are taken: then
/// the next reader finds it lost.
#[derive(Debug)]
pub struct Getting<'a> {
    ring: &'a Ring,
    has_lock: bool,
    /// In the middle of an item in pieces: how much of it is to come, and None if it is passed over.
    rest: Option<Option<usize>>,
    /// From whom the lock was taken over.
    dead: Option<ProcessId>,
    patience: Patience,
}

impl Getting<'_> {
    /// What comes next, if that is there and nobody else is reading.
    pub fn try_next(&mut self) -> Option<Next> {
        if !self.has_lock {
            let ring = self.ring;
            if ring.positions.is_empty() {
                return None;
            }
            if !ring.get.try_acquire() {
                self.dead = Some(ring.get.try_take_over()?);
            }
            self.has_lock = true;
        }
        while !self.ring.positions.is_empty() {
            if let Some(next) = self.look() {
                return Some(next);
            }
        }
        None
    }

    /// Waits for what comes next, or sleeps for a moment at most, and not beyond `until`. To be called again after
    /// [`Slept::Woken`].
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn next(&mut self, until: Option<Deadline>) -> Result<Next, Slept> {
        if !self.has_lock {
            if let Taken::FromDead(dead) = self.ring.get.attempt(&mut self.patience, until)? {
                self.dead = Some(dead);
            }
            self.has_lock = true;
            self.patience = Patience::new();
        }
        loop {
            self.await_data(until)?;
            if let Some(next) = self.look() {
                return Ok(next);
            }
        }
    }

    /// The item that [`Getting::next`] has come to, into `into`, which is as long as that; or what has become of it. The lock is
    /// free after an item, and only then.
    ///
    /// # Errors
    /// How a sleep ended, as for [`Getting::next`]; only in the middle of an item that comes in pieces.
    pub fn read(&mut self, into: &mut [MaybeUninit<u8>], until: Option<Deadline>) -> Result<Next, Slept> {
        let ring = self.ring;
        loop {
            self.await_data(until)?;
            let head = ring.positions.head();
            let Some((frame, available)) = self.frame(head) else { return Ok(Next::Malformed) };
            let len = frame.len as usize;
            let item = Item { tag: frame.tag, len: into.len() };
            match (frame.kind, self.rest) {
                (Kind::Whole, None) => {
                    if len != into.len() {
                        return Ok(Next::Malformed);
                    }
                    ring.read(head + HEADER as u64, into);
                    ring.take(head + (HEADER + padded(len)) as u64);
                    self.end();
                    return Ok(Next::Item(item));
                }
                (Kind::First, None) => {
                    if available < padded(len) + HEADER || len >= into.len() {
                        return Ok(Next::Malformed);
                    }
                    ring.read(head + 2 * HEADER as u64, &mut into[..len]);
                    self.rest = Some(Some(into.len() - len));
                    ring.take(head + (2 * HEADER + padded(len)) as u64);
                }
                (Kind::Continued | Kind::Last, Some(Some(rest))) => {
                    if len > rest || (frame.kind == Kind::Last) != (len == rest) {
                        return Ok(Next::Malformed);
                    }
                    let at = into.len() - rest;
                    ring.read(head + HEADER as u64, &mut into[at..at + len]);
                    self.rest = Some(Some(rest - len));
                    ring.take(head + (HEADER + padded(len)) as u64);
                    if frame.kind == Kind::Last {
                        self.end();
                        return Ok(Next::Item(item));
                    }
                }
                // Another item, or none: the writer of this one is gone.
                (Kind::Abandoned | Kind::Whole | Kind::First, Some(_)) => {
                    self.rest = None;
                    if frame.kind == Kind::Abandoned {
                        ring.take(head + HEADER as u64);
                    }
                    return Ok(Next::Lost(frame.abandoned_by()));
                }
                _ => return Ok(Next::Malformed),
            }
        }
    }

    fn end(&mut self) {
        self.rest = None;
        self.has_lock = false;
        let _ = self.ring.get.release();
    }

    /// The frame at the head, where something is published, and how many bytes are published behind its header. None if that cannot be.
    fn frame(&self, head: u64) -> Option<(Frame, usize)> {
        let ring = self.ring;
        let published = ring.positions.tail().wrapping_sub(head);
        if head % HEADER as u64 != 0 || published < HEADER as u64 || published > ring.positions.capacity() {
            return None;
        }
        let bits = ring.segment.double_word(ring.offset(head)).load(Ordering::Relaxed);
        let available = published as usize - HEADER;
        let frame = Frame::from_bits(bits)?;
        let fits = frame.kind == Kind::Abandoned
            || usize::try_from(frame.len).is_ok_and(|len| len <= available && padded(len) <= available);
        fits.then_some((frame, available))
    }

    /// What is at the head, where something is published; None if it was to be passed over.
    fn look(&mut self) -> Option<Next> {
        let ring = self.ring;
        let head = ring.positions.head();
        let Some((frame, available)) = self.frame(head) else { return Some(Next::Malformed) };
        let len = frame.len as usize;
        match frame.kind {
            Kind::Whole | Kind::First if self.rest.is_some() => {
                self.rest = None;
                Some(Next::Lost(self.dead.take().and_then(ProcessId::pid)))
            }
            Kind::Whole => Some(Next::Item(Item { tag: frame.tag, len })),
            Kind::First => {
                if available < HEADER + padded(len) {
                    return Some(Next::Malformed);
                }
                let total =
                    ring.segment.double_word(ring.offset(head + HEADER as u64)).load(Ordering::Relaxed);
                match usize::try_from(total).ok().filter(|total| *total > len) {
                    Some(total) => Some(Next::Item(Item { tag: frame.tag, len: total })),
                    None => Some(Next::Malformed),
                }
            }
            Kind::Continued => {
                self.rest = Some(None);
                ring.take(head + (HEADER + padded(len)) as u64);
                None
            }
            Kind::Last => {
                self.rest = None;
                ring.take(head + (HEADER + padded(len)) as u64);
                Some(Next::Lost(self.dead.take().and_then(ProcessId::pid)))
            }
            Kind::Abandoned => {
                self.rest = None;
                ring.take(head + HEADER as u64);
                Some(Next::Lost(frame.abandoned_by()))
            }
        }
    }

    fn await_data(&mut self, until: Option<Deadline>) -> Result<(), Slept> {
        let slept = self.ring.positions.await_data(&mut self.patience, until);
        if slept.is_ok() {
            self.patience = Patience::new();
        } else if self.rest.is_some() && self.ring.positions.is_empty() {
            self.look_after_writer();
        }
        slept
    }

    /// In the middle of an item of which nothing more is there: if nobody is writing it, says so in the ring.
    fn look_after_writer(&mut self) {
        let ring = self.ring;
        let dead = if ring.put.try_acquire() {
            None
        } else {
            match ring.put.take_over(&mut self.patience.watch) {
                Some(dead) => Some(dead),
                None => return,
            }
        };
        if ring.positions.is_empty() {
            ring.abandon(dead);
        }
        let _ = ring.put.release();
    }
}

impl Drop for Getting<'_> {
    fn drop(&mut self) {
        if self.has_lock {
            let _ = self.ring.get.release();
        }
    }
}
