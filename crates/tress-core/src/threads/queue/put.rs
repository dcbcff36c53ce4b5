//! Putting items in.

use std::collections::VecDeque;

use super::{CLOSED, GETTERS, LENT, MOVED, PUTTERS, Queue, QueueWait, SORTED, State, Turn};
use crate::base::sync::Arc;
use crate::base::waiter::{Cancel, Who};
use crate::base::waitlist::{Node, Wakes};

/// Where a put that finds no room enrols its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrol {
    /// Nowhere: it does not wait.
    Never,
    /// As the youngest.
    Last,
    /// As the oldest: it was told of room and came too late.
    First,
}

/// What became of a put of `C`: one item, or several of which `C` are those that are not in.
#[derive(Debug)]
#[must_use]
pub enum Put<C, T> {
    /// Everything is in.
    Done(Wakes<QueueWait<T>>),
    /// There is no room now for these; wake those who got what had room.
    Full(C, Wakes<QueueWait<T>>),
    /// The queue is closed.
    Closed(C),
    /// The queue has moved: put these where it is now.
    Moved(C),
    /// The buffer of a sorted queue, to sort one item into; then [`Queue::bring_back`].
    Sort(C, VecDeque<T>),
    /// Enrolled, with these in the cargo: wake, then wait. `Handed` means that all is in; after anything else take the cargo and
    /// ask again.
    Wait(Arc<QueueWait<T>>, Wakes<QueueWait<T>>),
    /// The buffer is lent out.
    Turn(C, Turn<T>),
}

impl<T> State<T> {
    fn enrol_putter(&mut self, who: Who<'_>, cargo: VecDeque<T>, enrol: Enrol) -> Arc<QueueWait<T>> {
        let node = QueueWait::new(who, cargo);
        let putters = &mut self.waiting().putters;
        if enrol == Enrol::First {
            putters.push_front(node.clone());
        } else {
            putters.push(node.clone());
        }
        if !self.waiting().putter_coming.is_awaited() {
            self.flags |= PUTTERS;
        }
        node
    }

    /// A putter is here, awake: the next may be woken.
    fn putter_is_here(&mut self, node: &QueueWait<T>, wakes: &mut Wakes<QueueWait<T>>) {
        let Some(waiting) = self.waiting.as_mut() else { return };
        if waiting.putter_coming.arrived(node) && !waiting.putters.is_empty() {
            self.flags |= PUTTERS;
            self.settle(wakes);
        }
    }
}

impl<T> Queue<T> {
    /// Puts the item, when that is a matter of adding it to the buffer and nothing else.
    ///
    /// # Errors
    /// The item: ask [`Queue::put`].
    #[inline]
    pub fn put_fast(&self, item: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.flags & (CLOSED | MOVED | SORTED | GETTERS) != 0 || state.items.len() >= state.bound {
            return Err(item);
        }
        state.items.push_back(item);
        state.note_put();
        Ok(())
    }

    /// Puts the item into a sorted queue, or lends the buffer to sort it into, when nobody else is concerned.
    ///
    /// # Errors
    /// The item: ask [`Queue::put`].
    #[inline]
    pub fn put_sorted_fast(&self, item: T) -> Result<Option<(T, VecDeque<T>)>, T> {
        let mut state = self.state.lock();
        if state.flags != SORTED || state.items.len() >= state.bound {
            return Err(item);
        }
        if !state.items.is_empty() {
            return Ok(Some((item, state.lend())));
        }
        state.items.push_back(item);
        state.note_put();
        Ok(None)
    }

    /// Puts an item: hands it to the oldest getter, or adds it to the buffer. Where there is no room, enrols a wait for some if
    /// `enrol` says so.
    pub fn put(&self, item: T, enrol: Enrol) -> Put<T, T> {
        self.put_as(Who::Thread, item, enrol)
    }

    /// [`Queue::put`], by `who`.
    pub fn put_as(&self, who: Who<'_>, item: T, enrol: Enrol) -> Put<T, T> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.flags & (CLOSED | MOVED | LENT) != 0 {
            if state.flags & MOVED != 0 {
                return Put::Moved(item);
            }
            if state.flags & CLOSED != 0 {
                return Put::Closed(item);
            }
            if state.is_lent() {
                return Put::Turn(item, state.enrol_turn(who));
            }
        }
        if state.items.len() >= state.bound {
            if enrol == Enrol::Never {
                return Put::Full(item, wakes);
            }
            return Put::Wait(state.enrol_putter(who, VecDeque::from([item]), enrol), wakes);
        }
        let mut item = item;
        if state.flags & GETTERS != 0 && state.items.is_empty() {
            match state.deliver(item, &mut wakes) {
                Some(back) => item = back,
                None => {
                    state.puts += 1;
                    state.unfinished += 1;
                    if state.flags & (SORTED | PUTTERS) != 0 {
                        // It may have been told of room that it has not used.
                        state.settle(&mut wakes);
                    }
                    return Put::Done(wakes);
                }
            }
        }
        if state.flags & SORTED != 0 && !state.items.is_empty() {
            return Put::Sort(item, state.lend());
        }
        state.items.push_back(item);
        state.note_put();
        if state.flags & PUTTERS != 0 {
            // A task that was told of one room, of several, lets the next one know.
            state.admit(&mut wakes);
        }
        Put::Done(wakes)
    }

    /// Puts several items in order, as [`Queue::put`] puts one; not for sorted queues.
    ///
    /// What has room goes in at once; a wait, where there is one, is for all of the rest and ends when all of it is in.
    pub fn put_all(&self, mut items: VecDeque<T>, enrol: Enrol) -> Put<VecDeque<T>, T> {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.flags & MOVED != 0 {
            return Put::Moved(items);
        }
        if state.flags & CLOSED != 0 {
            return Put::Closed(items);
        }
        while state.flags & GETTERS != 0 {
            let Some(item) = items.pop_front() else { break };
            match state.deliver(item, &mut wakes) {
                Some(back) => items.push_front(back),
                None => {
                    state.puts += 1;
                    state.unfinished += 1;
                }
            }
        }
        let room = state.bound.saturating_sub(state.items.len()).min(items.len());
        state.items.extend(items.drain(..room));
        state.puts += room as u64;
        state.unfinished += room as i64;
        state.high_water = state.high_water.max(state.items.len());
        if items.is_empty() {
            return Put::Done(wakes);
        }
        if enrol == Enrol::Never {
            return Put::Full(items, wakes);
        }
        Put::Wait(state.enrol_putter(Who::Thread, items, enrol), wakes)
    }

    /// Called by a putter whose wait ended with `Handed`.
    pub fn arrive_put(&self, node: &QueueWait<T>) -> Wakes<QueueWait<T>> {
        let mut wakes = Wakes::none();
        self.state.lock().putter_is_here(node, &mut wakes);
        wakes
    }

    /// Ends the wait of a putter that gives up: what it brought and is not in. Nothing means that the put succeeded.
    ///
    /// The room that it was told of goes to the next.
    pub fn cancel_put(&self, node: &QueueWait<T>) -> (VecDeque<T>, Wakes<QueueWait<T>>) {
        let mut wakes = Wakes::none();
        let cancelled = node.waiter().cancel();
        let mut state = self.state.lock();
        if cancelled == Cancel::Cancelled {
            if let Some(waiting) = state.waiting.as_mut() {
                waiting.putters.note_cancelled();
            }
        } else {
            state.putter_is_here(node, &mut wakes);
        }
        let rest = node.take();
        if cancelled != Cancel::Cancelled && !rest.is_empty() {
            state.settle(&mut wakes);
        }
        (rest, wakes)
    }
}
