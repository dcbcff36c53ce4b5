//! A pool of worker processes, seen from the process that owns it.
//!
//! Tasks lie in a ring in shared memory, from which every worker takes the oldest ([`super::tasks`]); each worker has a ring
//! of its own for what it answers. Nothing that a worker holds is needed by another, so one that is killed, at any moment,
//! costs its own task and nothing else: the words say which that was.
//!
//! Answers are read by whoever waits for one (the *leader*, asleep on a word, the bell) or, while nobody does, by the *collector*,
//! a thread that sleeps on a file descriptor together with what tells the death of workers; [`super::listening`] says whom a worker
//! wakes. Reading itself is under a mutex, so that it does no harm if both read.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::arena::{Arena, Block, Lease};
use super::current::Current;
use super::idle::Idle;
use super::listening::{Listening, Whom};
use super::rest::Rest;
use super::results::{Frame, Ring, Writer};
use super::segment::Segment;
use super::tasks::Tasks;
use super::word::{self, Slept};
use crate::base::deadline::Deadline;
use crate::base::sync::Mutex;

/// How many workers a pool has at most.
pub const MAX_WORKERS: usize = 1024;

/// How many tasks are offered at a time.
pub const SLOTS: usize = 256;

/// The longest task that lies in its slot; longer ones get a block.
pub const INLINE: usize = 256 - SLOT_HEADER;

/// The longest answer that lies in its ring.
pub const INLINE_ANSWER: usize = 8 << 10;

const SLOT_HEADER: usize = 32;
const SLOT_LEN: usize = 256;

/// What stands in a slot for the length of a task that lies in a block.
pub(super) const IN_BLOCK: u64 = u64::MAX;

/// The bit of a frame's kind that says that its payload is the place of a block.
pub(super) const BLOCK: u32 = 1 << 31;

/// The bit of a frame's kind that says that it answers the task that its worker is at, rather than having a number for some
/// other reason, which another worker's task may have as well.
pub(super) const OF_TASK: u32 = 1 << 30;

/// The kind of sleeper that a leader is, on the bell.
const LEADERS: NonZeroU32 = NonZeroU32::MIN;

/// What the shared memory of a pool is divided into: what all its processes have.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) segment: Arc<Segment>,
}

const HEAD: usize = 0;
const CLOSED: usize = 64;
const LISTENING: usize = 128;
const BELL: usize = 192;
const IDLE: usize = 256;
const POSTED: usize = 512;
const AWAKE: usize = 1024;
const CURRENT: usize = AWAKE + 4 * MAX_WORKERS;
const BEGAN: usize = CURRENT + 8 * MAX_WORKERS;
const INTERRUPTED: usize = BEGAN + 8 * MAX_WORKERS;
const STATES: usize = INTERRUPTED + 8 * MAX_WORKERS;
const DATA: usize = STATES + 8 * SLOTS;
/// Where the blocks begin.
pub(super) const BLOCKS: usize = (DATA + SLOT_LEN * SLOTS).next_multiple_of(4096);

/// Where a worker's blocks begin in its own memory, after its ring.
pub(super) const WORKER_BLOCKS: usize = 512 << 10;
pub(super) const RING: usize = 256 << 10;

/// How much address space blocks get; less if the system has no more.
const ROOM: [usize; 4] = [64 << 30, 8 << 30, 1 << 30, 64 << 20];

fn roomy(before: usize) -> io::Result<Segment> {
    let mut last = io::ErrorKind::OutOfMemory.into();
    for room in ROOM {
        match Segment::create(before + room) {
            Ok(segment) => {
                segment.commit(0, before)?;
                return Ok(segment);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Where the bytes of a task lie that is in its slot.
pub(super) fn slot_bytes(slot: usize) -> usize {
    DATA + slot * SLOT_LEN + SLOT_HEADER
}

impl Shared {
    pub(super) fn tasks(&self) -> Tasks<'_> {
        Tasks::new(self.segment.double_word(HEAD), self.segment.double_words(STATES, SLOTS))
    }

    fn idle(&self) -> Idle<'_> {
        Idle::new(self.segment.double_words(IDLE, Idle::words_for(MAX_WORKERS)))
    }

    /// The workers that have written frames since somebody looked.
    fn posted(&self) -> Idle<'_> {
        Idle::new(self.segment.double_words(POSTED, Idle::words_for(MAX_WORKERS)))
    }

    pub(super) fn rest(&self) -> Rest<'_> {
        Rest::new(self.tasks(), self.idle(), self.segment.word(CLOSED))
    }

    pub(super) fn listening(&self) -> Listening<'_> {
        Listening::new(self.segment.word(LISTENING), self.posted())
    }

    fn bell(&self) -> &AtomicU32 {
        self.segment.word(BELL)
    }

    /// Has the leader look.
    pub(super) fn ring(&self) {
        self.bell().fetch_add(1, Ordering::SeqCst);
        word::wake(self.bell(), 1, LEADERS);
    }

    /// 0 while `worker` sleeps.
    pub(super) fn awake(&self, worker: u32) -> &AtomicU32 {
        self.segment.word(AWAKE + 4 * worker as usize)
    }

    /// The task that `worker` is at.
    pub(super) fn current(&self, worker: u32) -> Current<'_> {
        Current::new(self.segment.double_word(CURRENT + 8 * worker as usize))
    }

    /// When `worker` began it.
    pub(super) fn began(&self, worker: u32) -> &std::sync::atomic::AtomicU64 {
        self.segment.double_word(BEGAN + 8 * worker as usize)
    }

    /// One more than the number of the task that `worker` is to break off; 0 for none.
    pub(super) fn interrupted(&self, worker: u32) -> &std::sync::atomic::AtomicU64 {
        self.segment.double_word(INTERRUPTED + 8 * worker as usize)
    }

    /// A double word at the beginning of a slot: the task's number, its length, and the place and length of its block.
    pub(super) fn slot_word(&self, slot: usize, index: usize) -> &std::sync::atomic::AtomicU64 {
        self.segment.double_word(DATA + slot * SLOT_LEN + 8 * index)
    }

    pub(super) fn wake(&self, worker: u32) {
        self.awake(worker).store(1, Ordering::SeqCst);
        word::wake(self.awake(worker), 1, word::ALL);
    }
}

/// Why a task was not offered.
#[derive(Debug)]
pub enum Refused {
    /// The slots, or the room for large tasks, are taken; later.
    Full,
    /// The system has no memory for it.
    OutOfMemory(io::Error),
}

/// What a worker answered.
#[derive(Debug)]
pub struct Answer {
    /// The worker.
    pub worker: u32,
    /// What it is, as the worker says; [`GARBLED`] if what it wrote makes no sense.
    pub kind: u32,
    /// The task.
    pub id: u64,
    /// The bytes.
    pub payload: Payload,
}

/// The kind of an [`Answer`] that stands for a worker which does not keep to the rules: nothing more will be read of it, so it is
/// best ended. Of the tasks that it has had since, none but the one it is at when it is buried is reported lost.
pub const GARBLED: u32 = u32::MAX;

/// The bytes of a task or an answer.
#[derive(Debug)]
pub enum Payload {
    /// Copied.
    Bytes(Vec<u8>),
    /// Where the other process has put them.
    Block(Block),
}

/// A worker's number, and what its owner knows of it.
#[derive(Debug)]
enum Seat {
    Free,
    Taken(Reader),
    /// Of a worker that is dead: words in shared memory still have its number.
    Burying,
}

#[derive(Debug)]
struct Reader {
    segment: Arc<Segment>,
    ring: Ring,
    /// The last task that it answered, which it may not have put aside yet.
    answered: Option<u64>,
    /// It has broken the rules; nothing more is read of it.
    garbled: bool,
    /// Blocks that it still had when it answered the task they came with.
    kept: Vec<Lease>,
}

#[derive(Debug)]
struct Producer {
    position: u64,
    arena: Arena,
    blocks: HashMap<u64, Lease>,
}

/// A pool of worker processes.
#[derive(Debug)]
pub struct Pool {
    shared: Shared,
    collector: OwnedFd,
    /// The bell as the leader saw it before it last looked at what it waits for.
    heard: AtomicU32,
    producer: Mutex<Producer>,
    seats: Mutex<Vec<Seat>>,
}

impl Pool {
    /// A pool that has no workers yet.
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn create() -> io::Result<Self> {
        let segment = Arc::new(roomy(BLOCKS)?);
        let arena = Arena::new(Arc::clone(&segment), BLOCKS, segment.len());
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        Ok(Self {
            shared: Shared { segment },
            collector: rustix::event::eventfd(0, flags)?,
            heard: AtomicU32::new(0),
            producer: Mutex::new(Producer { position: 0, arena, blocks: HashMap::new() }),
            seats: Mutex::new(Vec::new()),
        })
    }

    /// The memory that every worker is given.
    pub fn segment(&self) -> &Segment {
        &self.shared.segment
    }

    /// The file descriptor that every worker is given, and that becomes readable when the collector is to read.
    pub fn collector(&self) -> BorrowedFd<'_> {
        self.collector.as_fd()
    }

    /// Room for one more worker: its number, and the memory that it is given. None if there are [`MAX_WORKERS`].
    ///
    /// # Errors
    /// The kernel's: no memory or no file descriptor left.
    pub fn add_worker(&self) -> io::Result<Option<(u32, Arc<Segment>)>> {
        let segment = Arc::new(roomy(WORKER_BLOCKS)?);
        let mut seats = self.seats.lock();
        let free = seats.iter().position(|seat| matches!(seat, Seat::Free)).unwrap_or(seats.len());
        if free == MAX_WORKERS {
            return Ok(None);
        }
        let worker = free as u32;
        let ring = Ring::new(Arc::clone(&segment), 0, RING);
        let reader =
            Reader { segment: Arc::clone(&segment), ring, answered: None, garbled: false, kept: Vec::new() };
        if free == seats.len() {
            seats.push(Seat::Free);
        }
        seats[free] = Seat::Taken(reader);
        Ok(Some((worker, segment)))
    }

    /// Offers a task of the bytes of `parts`, one after the other; its position, for [`Pool::take_back`].
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn offer(&self, id: u64, parts: &[&[u8]]) -> Result<u64, Refused> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut producer = self.producer.lock();
        let position = producer.position;
        let tasks = self.shared.tasks();
        if !tasks.is_free(position) {
            return Err(Refused::Full);
        }
        let slot = tasks.slot(position);
        let set = |index, value| self.shared.slot_word(slot, index).store(value, Ordering::Relaxed);
        set(0, id);
        if len <= INLINE {
            set(1, len as u64);
            // SAFETY: the slot is free, so it is the owner's alone, which holds the mutex.
            unsafe { self.shared.segment.fill(slot_bytes(slot), parts) };
        } else {
            let lease = producer.arena.lend(parts).map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => Refused::Full,
                _ => Refused::OutOfMemory(error),
            })?;
            producer.blocks.insert(id, lease);
            set(1, IN_BLOCK);
            set(2, lease.offset as u64);
            set(3, len as u64);
        }
        tasks.offer(position);
        producer.position += 1;
        Ok(position)
    }

    /// Wakes a worker for a task that was offered, if one sleeps.
    pub fn wake_one(&self) {
        if let Some(worker) = self.shared.rest().pick() {
            self.shared.wake(worker);
        }
    }

    /// Takes a task back; false if a worker has begun it.
    pub fn take_back(&self, id: u64, position: u64) -> bool {
        let taken = self.shared.tasks().take_back(position);
        if taken {
            self.give_up_block(id);
        }
        taken
    }

    fn give_up_block(&self, id: u64) {
        let mut producer = self.producer.lock();
        if let Some(lease) = producer.blocks.remove(&id) {
            producer.arena.take_back(lease);
        }
    }

    /// Whether a worker has begun the task.
    pub fn is_begun(&self, position: u64) -> bool {
        self.shared.tasks().is_begun(position)
    }

    /// How many bytes of large tasks are with workers, or wait for one.
    pub fn lent_bytes(&self) -> usize {
        self.producer.lock().arena.lent_bytes()
    }

    /// Gives memory of large tasks that workers are done with to the system; whether no more is to come back.
    pub fn trim(&self) -> bool {
        self.producer.lock().arena.trim()
    }

    /// How many workers sleep.
    pub fn idle(&self) -> usize {
        self.shared.idle().count()
    }

    /// The task that `worker` is at, and since when, in nanoseconds of the monotonic clock.
    pub fn current(&self, worker: u32) -> Option<(u64, u64)> {
        let id = self.shared.current(worker).task()?;
        Some((id, self.shared.began(worker).load(Ordering::Relaxed)))
    }

    /// Notes that the task which `worker` is at is to be broken off; false if it is at none. The worker looks when it begins the
    /// call; one that has begun it needs a signal.
    pub fn interrupt(&self, worker: u32) -> bool {
        let task = self.shared.current(worker).task();
        self.shared.interrupted(worker).store(task.map_or(0, |id| id + 1), Ordering::SeqCst);
        task.is_some()
    }

    /// Decides that `worker` is to be killed for task `id`; false if it is not at that. It takes no other task from here on, and
    /// what it may still answer counts.
    #[must_use]
    pub fn condemn(&self, worker: u32, id: u64) -> bool {
        self.shared.current(worker).condemn(id)
    }

    /// What workers have answered since the last look.
    pub fn read(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        if self.shared.posted().is_empty() {
            return answers;
        }
        let mut sleep = Vec::new();
        let mut seats = self.seats.lock();
        for worker in self.shared.posted().take_all() {
            if let Some(Seat::Taken(reader)) = seats.get_mut(worker as usize) {
                self.read_one(worker, reader, &mut answers);
                sleep.extend(reader.ring.writer());
            }
        }
        drop(seats);
        sleep.into_iter().for_each(Writer::wake);
        answers
    }

    fn read_one(&self, worker: u32, reader: &mut Reader, answers: &mut Vec<Answer>) {
        while !reader.garbled {
            let answer = match reader.ring.read() {
                Ok(None) => break,
                Ok(Some(frame)) => self.understand(worker, reader, frame),
                Err(error) => Err(error),
            };
            answers.push(answer.unwrap_or_else(|_| {
                reader.garbled = true;
                Answer { worker, kind: GARBLED, id: 0, payload: Payload::Bytes(Vec::new()) }
            }));
        }
    }

    fn understand(&self, worker: u32, reader: &mut Reader, frame: Frame) -> io::Result<Answer> {
        let payload = if frame.kind & BLOCK == 0 {
            Payload::Bytes(frame.payload)
        } else {
            let (offset, len) = super::worker::place(&frame.payload)?;
            Payload::Block(Block::borrow(&reader.segment, WORKER_BLOCKS, offset, len)?)
        };
        if frame.kind & OF_TASK != 0 {
            reader.answered = Some(frame.id);
            self.settle_block(frame.id, reader);
        }
        Ok(Answer { worker, kind: frame.kind & !(BLOCK | OF_TASK), id: frame.id, payload })
    }

    /// The worker may hold on to the block of a task that it has answered.
    fn settle_block(&self, id: u64, reader: &mut Reader) {
        let mut producer = self.producer.lock();
        if let Some(lease) = producer.blocks.remove(&id) {
            reader.kept.push(lease);
            if reader.kept.len() % 64 == 0 {
                reader.kept.retain(|lease| producer.arena.is_lent(*lease));
            }
        }
    }

    /// Takes out a worker that is dead: what it had answered, and the tasks that it had begun and not answered.
    pub fn bury(&self, worker: u32) -> (Vec<Answer>, Vec<u64>) {
        let mut answers = Vec::new();
        let mut reader = {
            let mut seats = self.seats.lock();
            let Some(seat @ Seat::Taken(_)) = seats.get_mut(worker as usize) else {
                return (answers, Vec::new());
            };
            match std::mem::replace(seat, Seat::Burying) {
                Seat::Taken(reader) => reader,
                _ => unreachable!("it was just seen to be taken"),
            }
        };
        let listening = self.shared.listening();
        self.shared.posted().leave(worker);
        self.read_one(worker, &mut reader, &mut answers);
        let tasks = self.shared.tasks();
        let mut lost = Vec::new();
        for slot in tasks.held_by(worker) {
            lost.push(self.shared.slot_word(slot, 0).load(Ordering::Relaxed));
            tasks.free_slot(slot);
        }
        // The one that it was at, unless it is the same or had been answered.
        let current = self.shared.current(worker).bury();
        lost.extend(current.filter(|id| !lost.contains(id) && reader.answered != Some(*id)));
        for lease in reader.kept {
            self.producer.lock().arena.take_back(lease);
        }
        for id in &lost {
            self.give_up_block(*id);
        }
        if let Some(other) = self.shared.rest().bury(worker) {
            self.shared.wake(other);
        }
        self.seats.lock()[worker as usize] = Seat::Free;
        // It may have died before it woke whoever reads what others have written.
        if listening.has_posted() {
            self.wake_collector();
            self.wake_leader();
        }
        (answers, lost)
    }

    /// Has every worker end once no task is offered any more.
    pub fn close(&self) {
        for worker in self.shared.rest().close() {
            self.shared.wake(worker);
        }
    }

    /// Whether the calling thread is the one that workers wake from now on, until [`Pool::stop_leading`]. False if another
    /// thread is, or the collector is reading just now. Look at what you wait for afterwards, before [`Pool::read_leading`].
    pub fn lead(&self) -> bool {
        let leads = self.shared.listening().lead();
        if leads {
            self.hear();
        }
        leads
    }

    fn hear(&self) {
        self.heard.store(self.shared.bell().load(Ordering::SeqCst), Ordering::Relaxed);
    }

    /// Answers, for the leader: sleeps until there are some. Err when it was woken for another reason, or somebody else has read
    /// them: look at what you wait for.
    ///
    /// # Errors
    /// How the sleep ended.
    pub fn read_leading(&self, until: Option<Deadline>) -> Result<Vec<Answer>, Slept> {
        let (posted, bell) = (self.shared.posted(), self.shared.bell());
        let mut slept = Slept::Woken;
        if !crate::base::spin::until(|| !posted.is_empty()) {
            if self.shared.listening().before_leader_sleeps() {
                slept = word::sleep(bell, self.heard.load(Ordering::Relaxed), until, LEADERS);
            }
            self.shared.listening().after_leader_slept();
        }
        // A ring from here on ends the next sleep; one from before this is looked after now, here and by the caller.
        self.hear();
        let answers = self.read();
        if answers.is_empty() { Err(slept) } else { Ok(answers) }
    }

    /// The collector is woken again from now on.
    pub fn stop_leading(&self) {
        self.wake(self.shared.listening().stop_leading());
    }

    fn wake(&self, whom: Whom) {
        if whom == Whom::Collector {
            self.wake_collector();
        }
    }

    /// Has the collector look.
    pub fn wake_collector(&self) {
        // Nothing but a full counter could fail it, and that is readable.
        let _ = rustix::io::write(&self.collector, &1u64.to_ne_bytes());
    }

    /// For the collector, before it sleeps until [`Pool::collector`] is readable.
    pub fn before_collector_sleeps(&self) {
        self.wake(self.shared.listening().before_collector_sleeps());
    }

    /// For the collector, when it has slept: until it sleeps again nobody needs to wake it.
    pub fn after_collector_slept(&self) {
        let _ = rustix::io::read(&self.collector, &mut [0u8; 8]);
        self.shared.listening().after_collector_slept();
    }

    /// Has the leader look, if there is one: what it waits for may have happened.
    pub fn wake_leader(&self) {
        if self.shared.listening().is_led() {
            self.shared.ring();
        }
    }
}
