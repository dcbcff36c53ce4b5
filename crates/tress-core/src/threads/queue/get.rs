//! Taking items out.

use std::collections::VecDeque;

use super::{
    CLOSED, Cancelled, DRAINED, GETTERS, LENT, LIFO, MOVED, PUTTERS, Queue, QueueWait, SORTED, State, Turn,
};
use crate::base::sync::Arc;
use crate::base::waiter::{Cancel, Signal, Who};
use crate::base::waitlist::{Node, Wakes};

/// What became of a get.
#[derive(Debug)]
#[must_use]
pub enum Get<T> {
    /// An item.
    Item(T, Wakes<QueueWait<T>>),
    /// There is none now.
    Empty,
    /// There is none and there will be none.
    Closed,
    /// The queue has moved: get from where it is now.
    Moved,
    /// The buffer of a sorted queue, not empty, to take the least out of; then [`Queue::bring_back`].
    Sort(VecDeque<T>),
    /// Enrolled: wait. `Handed` means that the item is in the cargo, anything else to ask again.
    Wait(Arc<QueueWait<T>>),
    /// The buffer is lent out.
    Turn(Turn<T>),
}

/// What became of an item that was put back.
#[derive(Debug)]
#[must_use]
pub enum Unget<T> {
    /// It is in the queue, or was handed to another getter.
    Done(Wakes<QueueWait<T>>),
    /// The queue has moved: put it back where it is now.
    Moved(T),
    /// The queue was drained meanwhile, and the item counts as drained, too: drop it.
    Unwanted(T, Wakes<QueueWait<T>>),
    /// The buffer of a sorted queue, to sort it into; then [`Queue::bring_back`], with nothing put or got.
    Sort(T, VecDeque<T>),
    /// The buffer is lent out.
    Turn(T, Turn<T>),
}

impl<T> State<T> {
    pub(super) fn take(&mut self) -> Option<T> {
        if self.flags & LIFO == 0 { self.items.pop_front() } else { self.items.pop_back() }
    }

    /// Puts an item where the next [`State::take`] finds it.
    pub(super) fn give_back(&mut self, item: T) {
        if self.flags & LIFO == 0 {
            self.items.push_front(item);
        } else {
            self.items.push_back(item);
        }
    }

    /// A getter is here, awake: the next may be woken.
    fn getter_is_here(&mut self, node: &QueueWait<T>, wakes: &mut Wakes<QueueWait<T>>) {
        let Some(waiting) = self.waiting.as_mut() else { return };
        if waiting.getter_coming.arrived(node) && !waiting.getters.is_empty() {
            self.flags |= GETTERS;
            self.settle(wakes);
        }
    }
}

impl<T> Queue<T> {
    /// An item, when that is a matter of taking it and nothing else. `None` says nothing: ask [`Queue::get`].
    #[inline]
    pub fn get_fast(&self) -> Option<T> {
        let mut state = self.state.lock();
        if state.flags & (PUTTERS | LIFO | SORTED | MOVED) != 0 {
            return None;
        }
        let item = state.items.pop_front()?;
        state.gets += 1;
        Some(item)
    }

    /// The buffer of a sorted queue, to take the least item out of, when nobody else is concerned and there is one.
    #[inline]
    pub fn get_sorted_fast(&self) -> Option<VecDeque<T>> {
        let mut state = self.state.lock();
        if state.flags != SORTED || state.items.is_empty() { None } else { Some(state.lend()) }
    }

    /// Takes an item out; where there is none, enrols a wait for one if `wait` says so.
    pub fn get(&self, wait: bool) -> Get<T> {
        self.get_as(Who::Thread, wait)
    }

    /// [`Queue::get`], by `who`.
    pub fn get_as(&self, who: Who<'_>, wait: bool) -> Get<T> {
        let mut state = self.state.lock();
        if state.flags & (MOVED | LENT) != 0 {
            if state.flags & MOVED != 0 {
                return Get::Moved;
            }
            if state.is_lent() {
                return Get::Turn(state.enrol_turn(who));
            }
        }
        if state.items.is_empty() {
            if state.flags & CLOSED != 0 {
                return Get::Closed;
            }
            if !wait {
                return Get::Empty;
            }
            let node = QueueWait::new(who, VecDeque::new());
            let waiting = state.waiting();
            waiting.getters.push(node.clone());
            if !waiting.getter_coming.is_awaited() {
                state.flags |= GETTERS;
            }
            return Get::Wait(node);
        }
        if state.flags & SORTED != 0 {
            return Get::Sort(state.lend());
        }
        let mut wakes = Wakes::none();
        let item = state.take();
        state.gets += 1;
        if state.flags & PUTTERS != 0 {
            state.admit(&mut wakes);
        }
        match item {
            Some(item) => Get::Item(item, wakes),
            None => Get::Empty,
        }
    }

    /// Takes up to `count` items that are there, besides those in `into`; not for sorted queues.
    pub fn get_more(&self, count: usize, into: &mut Vec<T>) -> Wakes<QueueWait<T>> {
        let mut wakes = Wakes::none();
        let mut taken = 0;
        let mut state = self.state.lock();
        if state.flags & (MOVED | SORTED) != 0 {
            return wakes;
        }
        while taken < count {
            if state.items.is_empty() && state.flags & PUTTERS != 0 {
                state.admit(&mut wakes);
            }
            let Some(item) = state.take() else { break };
            into.push(item);
            taken += 1;
        }
        state.gets += taken as u64;
        if state.flags & PUTTERS != 0 {
            state.admit(&mut wakes);
        }
        wakes
    }

    /// Called by a getter whose wait was granted: its item, if it was handed one, or else to ask again.
    pub fn arrive_get(&self, node: &QueueWait<T>) -> (Option<T>, Wakes<QueueWait<T>>) {
        let mut wakes = Wakes::none();
        self.state.lock().getter_is_here(node, &mut wakes);
        (node.cargo.lock().pop_front(), wakes)
    }

    /// Ends the wait of a getter that gives up.
    pub fn cancel_get(&self, node: &QueueWait<T>) -> (Cancelled<T>, Wakes<QueueWait<T>>) {
        let cancelled = match node.waiter().cancel() {
            Cancel::Granted(Signal::Handed) => {
                let (item, wakes) = self.arrive_get(node);
                return (item.map_or(Cancelled::Nothing, Cancelled::Item), wakes);
            }
            Cancel::Granted(_) => {
                // It may have been told of an item that it does not want any more.
                let mut wakes = Wakes::none();
                let mut state = self.state.lock();
                state.getter_is_here(node, &mut wakes);
                state.settle(&mut wakes);
                return (Cancelled::Retry, wakes);
            }
            Cancel::Cancelled => {
                if let Some(waiting) = self.state.lock().waiting.as_mut() {
                    waiting.getters.note_cancelled();
                }
                Cancelled::Nothing
            }
        };
        (cancelled, Wakes::none())
    }

    /// Puts back an item that was taken and could not be used, where the next get finds it.
    pub fn unget(&self, item: T) -> Unget<T> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Unget::Moved(item);
        }
        if state.is_lent() {
            return Unget::Turn(item, state.enrol_turn(Who::Thread));
        }
        state.gets -= 1;
        if state.flags & DRAINED != 0 {
            if state.unfinished > 0 {
                state.finish(1, &mut wakes);
            }
            return Unget::Unwanted(item, wakes);
        }
        let item = if state.flags & GETTERS != 0 { state.deliver(item, &mut wakes) } else { Some(item) };
        if let Some(item) = item {
            if state.flags & SORTED != 0 && !state.items.is_empty() {
                return Unget::Sort(item, state.lend());
            }
            state.give_back(item);
        }
        Unget::Done(wakes)
    }
}
