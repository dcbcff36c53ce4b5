//! A queue of items that threads and tasks put in and take out, bounded or not, that counts unfinished work and can be shut down.
//!
//! Everything is under one mutex, so that an item is always in exactly one place: in the buffer, in the cargo of a thread
//! that waits to put it, or in the cargo of a thread that it was handed to.
//!
//! | invariant                                                              | kept by                                  |
//! |------------------------------------------------------------------------|------------------------------------------|
//! | a getter waits only while the buffer is empty, or another is *coming*  | a put hands its item to the oldest getter |
//! | a putter waits only while the buffer is full, or another is *coming*   | a get moves the oldest putter's items in  |
//! | nobody waits once the queue is closed or moved                         | [`Queue::close`], [`Queue::move_out`]     |
//!
//! **One wake-up at a time.** A thread that was handed something in its sleep is *coming* until it is awake and says so
//! ([`Queue::arrive_get`], [`Queue::arrive_put`]). Until then nobody else is woken on its side: items gather in the buffer, or
//! room does; and when it arrives, it wakes the next, if there is something for it by then. A burst thus wakes one thread
//! instead of all of them, and that one finds the whole burst; with an interpreter lock around the queue, where only one of them
//! could run anyway, that saves most of the switches of threads. Nobody is passed over for longer than one wake-up takes.
//! A task is never coming: when its loop runs it is nobody's to say, so the others do not wait for that.
//!
//! How a wait ends:
//!
//! | wait   | `Handed`                          | `Retry`                              | `Closed`             |
//! |--------|-----------------------------------|--------------------------------------|----------------------|
//! | getter | the item is in its cargo          | moved, closed or sorted: ask again   |                      |
//! | putter | everything it brought is in       | moved, or there is room: see below   | shut down            |
//! | joiner | all work is done                  | the queue has moved                  |                      |
//! | turn   |                                   | the buffer is back: ask again        |                      |
//!
//! A putter is told of room, and then puts by itself, if the queue is sorted or if it is a task, whose put may still be
//! cancelled. Until it comes, others may take that room; it then waits again, as the oldest.
//!
//! A getter that gives up is decided by the one compare-and-swap of [`Waiter`]: an item that won against it is its own, and
//! goes back with [`Queue::unget`] when it cannot be used. A putter that gives up looks at its cargo under the mutex: what
//! is still there was never put, what is gone was.
//!
//! **Sorted queues.** Comparing items is foreign code, which may not run under the mutex. A sorted queue lends its whole
//! buffer out (`Sort`): one thread at a time puts its item in or takes the least out, and brings the buffer back with
//! [`Queue::bring_back`]; who comes meanwhile waits for its turn.
//!
//! **Moving.** [`Queue::move_out`] takes everything out for good, for an embedder that goes on by other means: every later
//! call and every thread that waits is told `Moved`.

mod get;
mod put;

use std::collections::VecDeque;

use crate::base::fork;
use crate::base::sync::{Arc, Mutex};
use crate::base::thread_id::{self, ThreadId};
use crate::base::waiter::{Cancel, Grant, Signal, Waiter, Who};
use crate::base::waitlist::{Node, WaitList, Wakes};

pub use get::{Get, Unget};
pub use put::{Enrol, Put};

/// Which item a get takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest.
    Fifo,
    /// The youngest.
    Lifo,
    /// The one that the embedder has sorted to the front.
    Sorted,
}

// Flags. The fast paths go ahead when none of those that concern them is set.
const CLOSED: u8 = 1;
/// Closed at once: items that come back are not wanted any more.
const DRAINED: u8 = 2;
const MOVED: u8 = 4;
/// The buffer of a sorted queue is lent out.
const LENT: u8 = 8;
const SORTED: u8 = 16;
const LIFO: u8 = 32;
/// The list of getters, or of putters, may be non-empty, and none is coming.
const GETTERS: u8 = 64;
const PUTTERS: u8 = 128;

/// One wait of one thread or task at a queue, and the items that it brings or is given.
#[derive(Debug)]
pub struct QueueWait<T> {
    waiter: Waiter,
    cargo: Mutex<VecDeque<T>>,
}

impl<T> Node for QueueWait<T> {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

impl<T> QueueWait<T> {
    fn new(who: Who<'_>, cargo: VecDeque<T>) -> Arc<Self> {
        Arc::new(Self { waiter: Waiter::of(who), cargo: Mutex::new(cargo) })
    }

    /// What is in its cargo now: the item that a getter was handed, the items that a putter still has.
    pub fn take(&self) -> VecDeque<T> {
        std::mem::take(&mut self.cargo.lock())
    }

    /// Shows what is in its cargo to `visit`, for a garbage collector; says nothing when it is in use.
    ///
    /// # Errors
    /// What `visit` says.
    pub fn visit<E>(&self, visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.cargo.try_lock().map_or(Ok(()), |cargo| cargo.iter().try_for_each(visit))
    }

    /// The first item in its cargo: the one that a getter was handed.
    pub fn take_one(&self) -> Option<T> {
        self.cargo.lock().pop_front()
    }
}

/// A waiter that was granted something in its sleep and has not said that it is awake.
#[derive(Debug, Default)]
struct Coming {
    /// The address of its node, 0 when there is none.
    node: usize,
    /// One that a fork left behind will not come.
    generation: u32,
}

impl Coming {
    /// Notes that `node` is coming; false if it is a task, for which nobody waits.
    fn expect<T>(&mut self, node: &Arc<QueueWait<T>>) -> bool {
        if node.waiter.is_task() {
            return false;
        }
        *self = Self { node: Arc::as_ptr(node) as usize, generation: fork::generation() };
        true
    }

    /// Whether it was `node`, which is here now.
    fn arrived<T>(&mut self, node: &QueueWait<T>) -> bool {
        let is_it = self.node == std::ptr::from_ref(node) as usize;
        if is_it {
            self.node = 0;
        }
        is_it
    }

    fn is_awaited(&self) -> bool {
        self.node != 0 && self.generation == fork::generation()
    }
}

/// The lists of those who wait. Boxed: most queues are idle most of the time.
#[derive(Debug)]
struct Waiting<T> {
    getters: WaitList<QueueWait<T>>,
    putters: WaitList<QueueWait<T>>,
    getter_coming: Coming,
    putter_coming: Coming,
    joiners: WaitList<QueueWait<T>>,
    turns: WaitList<QueueWait<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            getters: WaitList::new(),
            putters: WaitList::new(),
            getter_coming: Coming::default(),
            putter_coming: Coming::default(),
            joiners: WaitList::new(),
            turns: WaitList::new(),
        }
    }
}

/// Where the buffer is while LENT is set.
#[derive(Debug, Default)]
struct Lent {
    len: usize,
    to: ThreadId,
    generation: u32,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// `usize::MAX` when there is none.
    bound: usize,
    flags: u8,
    unfinished: i64,
    puts: u64,
    gets: u64,
    high_water: usize,
    lent: Lent,
    waiting: Option<Box<Waiting<T>>>,
}

impl<T> State<T> {
    fn waiting(&mut self) -> &mut Waiting<T> {
        self.waiting.get_or_insert_default()
    }

    fn len(&self) -> usize {
        if self.flags & LENT == 0 { self.items.len() } else { self.lent.len }
    }

    fn note_put(&mut self) {
        self.puts += 1;
        self.unfinished += 1;
        self.high_water = self.high_water.max(self.items.len());
    }

    /// Hands an item to the oldest getter; `None` means that it was taken.
    fn deliver(&mut self, mut item: T, wakes: &mut Wakes<QueueWait<T>>) -> Option<T> {
        let waiting = self.waiting.get_or_insert_default();
        while let Some(node) = waiting.getters.pop() {
            // Before the grant: once granted, the getter may run.
            node.cargo.lock().push_back(item);
            match node.waiter.grant(Signal::Handed) {
                Grant::Awake => {}
                Grant::Asleep => {
                    if waiting.getter_coming.expect(&node) {
                        self.flags &= !GETTERS;
                    }
                    wakes.push(node);
                }
                Grant::Gone => {
                    let back = node.cargo.lock().pop_back();
                    item = back?;
                    continue;
                }
            }
            self.gets += 1;
            return None;
        }
        self.flags &= !GETTERS;
        Some(item)
    }

    /// Brings together what waits: items of putters and room, items and getters.
    fn settle(&mut self, wakes: &mut Wakes<QueueWait<T>>) {
        if self.flags & LENT != 0 {
            return;
        }
        if self.flags & SORTED != 0 {
            self.admit(wakes);
            self.call_getters(wakes);
            return;
        }
        loop {
            self.admit(wakes);
            if self.flags & GETTERS == 0 || self.items.is_empty() {
                return;
            }
            self.serve(wakes);
        }
    }

    /// Tells getters of a sorted queue to take what is in the buffer by themselves, as long as none is coming.
    fn call_getters(&mut self, wakes: &mut Wakes<QueueWait<T>>) {
        let Some(waiting) = self.waiting.as_mut() else { return };
        let mut called = 0;
        while self.flags & GETTERS != 0 && called < self.items.len() {
            let Some(node) = waiting.getters.pop() else {
                self.flags &= !GETTERS;
                return;
            };
            match node.waiter.grant(Signal::Retry) {
                Grant::Awake => called += 1,
                Grant::Asleep => {
                    called += 1;
                    if waiting.getter_coming.expect(&node) {
                        self.flags &= !GETTERS;
                    }
                    wakes.push(node);
                }
                Grant::Gone => {}
            }
        }
    }

    /// Gives what is in the buffer to getters that wait, as long as none is coming.
    fn serve(&mut self, wakes: &mut Wakes<QueueWait<T>>) {
        while self.flags & GETTERS != 0 {
            let Some(item) = self.take() else { return };
            if let Some(item) = self.deliver(item, wakes) {
                self.give_back(item);
                return;
            }
        }
    }

    /// Moves in what putters brought, as far as there is room, as long as none is coming.
    fn admit(&mut self, wakes: &mut Wakes<QueueWait<T>>) {
        let Some(waiting) = self.waiting.as_mut() else {
            self.flags &= !PUTTERS;
            return;
        };
        // Tasks that are on their way to the room that is there now.
        let mut told = 0;
        while self.flags & PUTTERS != 0 && self.items.len() + told < self.bound {
            let Some(node) = waiting.putters.front() else {
                self.flags &= !PUTTERS;
                return;
            };
            if self.flags & SORTED != 0 {
                // It sorts its item in by itself. One at a time: there is room for one more after a get.
                waiting.putters.grant_one(Signal::Retry, wakes);
                return;
            }
            if node.waiter.is_task() {
                // It puts by itself when its loop runs, so that one that is cancelled has put nothing.
                if let Some(node) = waiting.putters.pop() {
                    if node.waiter.grant(Signal::Retry) == Grant::Asleep {
                        told += 1;
                        wakes.push(node);
                    }
                }
                continue;
            }
            let mut cargo = node.cargo.lock();
            if node.waiter.is_waiting() {
                while self.items.len() + told < self.bound {
                    let Some(item) = cargo.pop_front() else { break };
                    self.items.push_back(item);
                    self.puts += 1;
                    self.unfinished += 1;
                }
                if !cargo.is_empty() {
                    break;
                }
            }
            drop(cargo);
            // One that gave up meanwhile finds its cargo gone, and that it has put after all.
            if let Some(node) = waiting.putters.pop() {
                if node.waiter.grant(Signal::Handed) == Grant::Asleep {
                    if waiting.putter_coming.expect(&node) {
                        self.flags &= !PUTTERS;
                    }
                    wakes.push(node);
                }
            }
        }
        self.high_water = self.high_water.max(self.items.len());
    }

    fn lend(&mut self) -> VecDeque<T> {
        self.flags |= LENT;
        self.lent = Lent { len: self.items.len(), to: thread_id::current(), generation: fork::generation() };
        std::mem::take(&mut self.items)
    }

    /// Whether the buffer is away. One that was lent to a thread that a fork has left behind is gone with it.
    fn is_lent(&mut self) -> bool {
        if self.flags & LENT != 0
            && self.lent.generation != fork::generation()
            && !fork::survived(self.lent.generation, self.lent.to)
        {
            self.flags &= !LENT;
        }
        self.flags & LENT != 0
    }

    fn enrol_turn(&mut self, who: Who<'_>) -> Turn<T> {
        if self.lent.to == thread_id::current() {
            return Turn::OwnDoing;
        }
        let node = QueueWait::new(who, VecDeque::new());
        self.waiting().turns.push(node.clone());
        Turn::Wait(node)
    }

    fn finish(&mut self, count: i64, wakes: &mut Wakes<QueueWait<T>>) {
        self.unfinished -= count;
        if self.unfinished == 0 {
            if let Some(waiting) = self.waiting.as_mut() {
                waiting.joiners.grant_all(Signal::Handed, wakes);
            }
        }
    }
}

/// The buffer of a sorted queue is lent out.
#[derive(Debug)]
#[must_use]
pub enum Turn<T> {
    /// Enrolled: wait, then ask again.
    Wait(Arc<QueueWait<T>>),
    /// It is lent to the calling thread, whose comparison of two items asks for the queue that they are sorted in.
    OwnDoing,
}

/// More tasks were called done than items had been put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDone;

/// What became of a call that neither puts nor gets.
#[derive(Debug)]
#[must_use]
pub enum Done<T, R> {
    /// Done; wake these.
    Done(R, Wakes<QueueWait<T>>),
    /// The queue has moved: do it where it is now.
    Moved,
    /// The buffer is lent out.
    Turn(Turn<T>),
}

/// What became of a join.
#[derive(Debug)]
#[must_use]
pub enum Join<T> {
    /// Nothing is unfinished.
    Finished,
    /// The queue has moved: join it where it is now.
    Moved,
    /// Enrolled: wait; `Handed` means finished, `Retry` to ask again.
    Wait(Arc<QueueWait<T>>),
}

/// What became of the wait of a getter that gave up.
#[derive(Debug)]
#[must_use]
pub enum Cancelled<T> {
    /// It ended with nothing.
    Nothing,
    /// An item had come in the last moment: use it or [`Queue::unget`] it.
    Item(T),
    /// It had been told to ask again.
    Retry,
}

/// Numbers about a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Items in the buffer.
    pub size: usize,
    /// Items put, those handed over included.
    pub puts: u64,
    /// Items taken.
    pub gets: u64,
    /// The most items that were ever in the buffer.
    pub high_water: usize,
    /// Items put and not yet said to be done.
    pub unfinished: i64,
    /// Threads and tasks that wait for an item.
    pub getters: usize,
    /// Threads and tasks that wait for room.
    pub putters: usize,
    /// Threads and tasks that wait until all is done.
    pub joiners: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
}

impl<T> Queue<T> {
    /// An empty queue; `bound` is the most items that it holds, `None` for any number.
    pub fn new(order: Order, bound: Option<usize>) -> Self {
        let flags = match order {
            Order::Fifo => 0,
            Order::Lifo => LIFO,
            Order::Sorted => SORTED,
        };
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                bound: bound.unwrap_or(usize::MAX),
                flags,
                unfinished: 0,
                puts: 0,
                gets: 0,
                high_water: 0,
                lent: Lent::default(),
                waiting: None,
            }),
        }
    }

    /// How many items are in the buffer.
    #[inline]
    pub fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Whether the buffer is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items that it holds, `None` for any number.
    pub fn bound(&self) -> Option<usize> {
        Some(self.state.lock().bound).filter(|bound| *bound != usize::MAX)
    }

    /// Whether the buffer is full.
    #[inline]
    pub fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.len() >= state.bound
    }

    /// Sets the bound, `None` for none. A higher one lets putters in; a lower one takes nothing out.
    pub fn set_bound(&self, bound: Option<usize>) -> Wakes<QueueWait<T>> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        state.bound = bound.unwrap_or(usize::MAX);
        if state.flags & SORTED != 0 {
            if let Some(waiting) = state.waiting.as_mut() {
                waiting.putters.grant_all(Signal::Retry, &mut wakes);
            }
        } else {
            state.settle(&mut wakes);
        }
        wakes
    }

    /// Items put and not yet said to be done.
    pub fn unfinished(&self) -> i64 {
        self.state.lock().unfinished
    }

    /// Sets the number of unfinished items, for an embedder that lets its user do so.
    pub fn set_unfinished(&self, unfinished: i64) -> Wakes<QueueWait<T>> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        state.unfinished = unfinished;
        state.finish(0, &mut wakes);
        wakes
    }

    /// Says that the work on `count` items is done.
    ///
    /// # Errors
    /// [`TooManyDone`] when fewer are unfinished; nothing is changed then.
    #[inline]
    pub fn task_done(&self, count: i64) -> Result<Done<T, ()>, TooManyDone> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Ok(Done::Moved);
        }
        if state.unfinished < count {
            return Err(TooManyDone);
        }
        if state.unfinished > count {
            state.unfinished -= count;
        } else {
            state.finish(count, &mut wakes);
        }
        Ok(Done::Done((), wakes))
    }

    /// Enrols a wait until nothing is unfinished, unless that is so already.
    pub fn join(&self) -> Join<T> {
        self.join_as(Who::Thread)
    }

    /// [`Queue::join`], by `who`.
    pub fn join_as(&self, who: Who<'_>) -> Join<T> {
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Join::Moved;
        }
        if state.unfinished == 0 {
            return Join::Finished;
        }
        let node = QueueWait::new(who, VecDeque::new());
        state.waiting().joiners.push(node.clone());
        Join::Wait(node)
    }

    /// Ends the wait of a joiner, or of one that waits for its turn; what it was granted meanwhile concerns nobody else.
    pub fn cancel_wait(&self, node: &QueueWait<T>) {
        if node.waiter.cancel() == Cancel::Cancelled {
            if let Some(waiting) = self.state.lock().waiting.as_mut() {
                waiting.joiners.note_cancelled();
                waiting.turns.note_cancelled();
            }
        }
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.state.lock().flags & CLOSED != 0
    }

    /// Sets or clears the mark that it is closed and wakes nobody, for an embedder that lets its user do so.
    pub fn set_closed(&self, closed: bool) {
        let mut state = self.state.lock();
        state.flags = (state.flags & !(CLOSED | DRAINED)) | if closed { CLOSED } else { 0 };
    }

    /// Closes it: every later put fails, every get once the buffer is empty. Every wait for an item or for room ends.
    ///
    /// `drain` takes out what is in the buffer and counts it as done; it is returned, for the caller to drop.
    pub fn close(&self, drain: bool) -> Done<T, VecDeque<T>> {
        let mut wakes = Wakes::none();
        let mut drained = VecDeque::new();
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Done::Moved;
        }
        if state.is_lent() {
            return Done::Turn(state.enrol_turn(Who::Thread));
        }
        state.flags |= CLOSED;
        if drain {
            state.flags |= DRAINED;
            drained = std::mem::take(&mut state.items);
            let done = state.unfinished.clamp(0, drained.len() as i64);
            state.finish(done, &mut wakes);
        }
        if let Some(waiting) = state.waiting.as_mut() {
            // There may be items for some of them: each sees for itself.
            waiting.getters.grant_all(Signal::Retry, &mut wakes);
            waiting.putters.grant_all(Signal::Closed, &mut wakes);
        }
        state.flags &= !(GETTERS | PUTTERS);
        Done::Done(drained, wakes)
    }

    /// Takes everything out for good: every wait ends with `Retry`, and every later call is told `Moved`.
    pub fn move_out(&self) -> Done<T, VecDeque<T>> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Done::Moved;
        }
        if state.is_lent() {
            return Done::Turn(state.enrol_turn(Who::Thread));
        }
        state.flags = (state.flags | MOVED) & !(GETTERS | PUTTERS);
        if let Some(mut waiting) = state.waiting.take() {
            waiting.getters.grant_all(Signal::Retry, &mut wakes);
            waiting.putters.grant_all(Signal::Retry, &mut wakes);
            waiting.joiners.grant_all(Signal::Retry, &mut wakes);
        }
        Done::Done(std::mem::take(&mut state.items), wakes)
    }

    /// Whether it has moved.
    pub fn has_moved(&self) -> bool {
        self.state.lock().flags & MOVED != 0
    }

    /// Counts what happened where the queue is now, after a move; an item that returned is a get less.
    pub fn note_moved(&self, puts: i64, gets: i64, size: usize) {
        let mut state = self.state.lock();
        state.puts = state.puts.wrapping_add_signed(puts);
        state.gets = state.gets.wrapping_add_signed(gets);
        state.high_water = state.high_water.max(size);
    }

    /// Takes out everything and forgets what was counted: a queue as good as new. Who waits goes on waiting.
    pub fn reset(&self, bound: Option<usize>) -> VecDeque<T> {
        let mut state = self.state.lock();
        state.bound = bound.unwrap_or(usize::MAX);
        state.flags &= !(CLOSED | DRAINED);
        state.unfinished = 0;
        std::mem::take(&mut state.items)
    }

    /// Shows each item in the buffer to `visit`, for a garbage collector; says nothing when the queue is busy.
    ///
    /// # Errors
    /// What `visit` says.
    pub fn visit<E>(&self, mut visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        match self.state.try_lock() {
            Some(state) => state.items.iter().try_for_each(&mut visit),
            None => Ok(()),
        }
    }

    /// Takes the buffer's items out, for a garbage collector that breaks a cycle.
    pub fn clear(&self) -> VecDeque<T> {
        std::mem::take(&mut self.state.lock().items)
    }

    /// Its numbers.
    pub fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        let (mut getters, mut putters, mut joiners) = (0, 0, 0);
        if let Some(waiting) = &state.waiting {
            getters = waiting.getters.len();
            putters = waiting.putters.len();
            joiners = waiting.joiners.len();
        }
        Statistics {
            size: state.len(),
            puts: state.puts,
            gets: state.gets,
            high_water: state.high_water,
            unfinished: state.unfinished,
            getters,
            putters,
            joiners,
        }
    }

    /// Brings back the buffer of a sorted queue, with `put` items more or `got` items less than before.
    ///
    /// An item may also have come in without counting as put: where the embedder says so of one that it failed to sort.
    pub fn bring_back(&self, items: VecDeque<T>, put: u64, got: u64) -> Wakes<QueueWait<T>> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        state.items = items;
        state.flags &= !LENT;
        state.puts += put;
        state.unfinished += put as i64;
        state.gets += got;
        state.high_water = state.high_water.max(state.items.len());
        if let Some(waiting) = state.waiting.as_mut() {
            waiting.turns.grant_all(Signal::Retry, &mut wakes);
            state.settle(&mut wakes);
        }
        wakes
    }
}
