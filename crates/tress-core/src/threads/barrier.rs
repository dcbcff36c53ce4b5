//! A meeting point for a fixed number of threads.
//!
//! | phase   | arriving                               | leaves the phase by                                      |
//! |---------|----------------------------------------|----------------------------------------------------------|
//! | Filling | is enrolled; the last one turns Acting | the last arrival; [`Barrier::abort`]; a timeout          |
//! | Acting  | waits at the gate, then arrives anew   | [`Barrier::finish`], by the one that arrived last        |
//! | Broken  | is refused                             | [`Barrier::reset`]                                       |
//!
//! Each wait is ended by a grant of its own, so nobody of the next generation can be mistaken for one of the last, and
//! there is no draining: a thread may come round again before the others have left. Once all have met, a wait's timeout means
//! nothing any more: however long the action takes, its outcome is everybody's.

use crate::base::sync::{Arc, Mutex};
use crate::base::waiter::{Cancel, Signal, Waiter};
use crate::base::waitlist::{WaitList, Wakes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Filling,
    Acting,
    Broken,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    arrived: usize,
    /// Places of those that took their arrival back, for those that come in their stead.
    vacated: Vec<usize>,
    waiting: WaitList,
    gate: WaitList,
    abort_after_action: bool,
}

impl State {
    fn empty(&mut self) {
        self.arrived = 0;
        self.vacated.clear();
    }

    fn fail(&mut self, wakes: &mut Wakes) {
        self.phase = Phase::Broken;
        self.empty();
        self.waiting.grant_all(Signal::Broken, wakes);
    }
}

/// What became of an arrival.
#[derive(Debug)]
#[must_use]
pub enum Arrival {
    /// The barrier is broken.
    Broken,
    /// The last one: run the action, then call [`Barrier::finish`].
    Last(usize),
    /// Enrolled with this index: Handed means that all have met, Broken that they will not.
    Waiting(usize, Arc<Waiter>),
    /// The action of the generation before is running: wait, then arrive again.
    Gate(Arc<Waiter>),
}

/// What becomes of a wait whose time is up.
#[derive(Debug)]
#[must_use]
pub enum TimedOut {
    /// All had met before.
    Met,
    /// All have met and the action runs: wait on without a deadline.
    Acting,
    /// The barrier is broken, now or before; wake the others.
    Broken(Wakes),
}

/// See the module's documentation.
///
/// ```
/// use tress_core::base::deadline::Deadline;
/// use tress_core::base::waiter::{Outcome, Signal};
/// use tress_core::threads::barrier::{Arrival, Barrier, TimedOut};
///
/// /// Waits for the others; this thread's place among them, or `None` when the barrier is broken.
/// fn meet(barrier: &Barrier, deadline: Option<Deadline>) -> Option<usize> {
///     loop {
///         match barrier.arrive() {
///             Arrival::Broken => return None,
///             Arrival::Last(place) => {
///                 // Here goes what is done once all are there.
///                 barrier.finish(true).wake();
///                 return Some(place);
///             }
///             Arrival::Gate(node) => drop(node.park(None)),
///             Arrival::Waiting(place, node) => {
///                 let mut outcome = node.park(deadline);
///                 if !matches!(outcome, Outcome::Granted(_)) {
///                     match barrier.time_out(&node) {
///                         TimedOut::Met => return Some(place),
///                         TimedOut::Acting => outcome = node.park(None),
///                         TimedOut::Broken(wakes) => {
///                             wakes.wake();
///                             return None;
///                         }
///                     }
///                 }
///                 return (outcome == Outcome::Granted(Signal::Handed)).then_some(place);
///             }
///         }
///     }
/// }
///
/// let barrier = Barrier::new(2);
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| meet(&barrier, None).unwrap());
///     assert_eq!(meet(&barrier, None).unwrap() + other.join().unwrap(), 1);
/// });
/// assert_eq!(meet(&barrier, Some(Deadline::after_ns(1_000))), None);
/// assert!(barrier.is_broken());
/// ```
#[derive(Debug)]
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
}

impl Barrier {
    /// A barrier for `parties` threads.
    pub fn new(parties: usize) -> Self {
        let state = State {
            phase: Phase::Filling,
            arrived: 0,
            vacated: Vec::new(),
            waiting: WaitList::new(),
            gate: WaitList::new(),
            abort_after_action: false,
        };
        Self { parties, state: Mutex::new(state) }
    }

    /// How many threads it takes.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        let state = self.state.lock();
        if state.phase == Phase::Filling { state.arrived } else { 0 }
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.state.lock().phase == Phase::Broken
    }

    /// Arrives.
    pub fn arrive(&self) -> Arrival {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Broken => Arrival::Broken,
            Phase::Acting => {
                let node = Arc::new(Waiter::new());
                state.gate.push(node.clone());
                Arrival::Gate(node)
            }
            Phase::Filling => {
                let arrived = state.arrived;
                let index = state.vacated.pop().unwrap_or(arrived);
                state.arrived += 1;
                if state.arrived >= self.parties {
                    state.phase = Phase::Acting;
                    return Arrival::Last(index);
                }
                let node = Arc::new(Waiter::new());
                state.waiting.push(node.clone());
                Arrival::Waiting(index, node)
            }
        }
    }

    /// Ends the action: lets everybody go, or breaks the barrier if the action failed.
    pub fn finish(&self, succeeded: bool) -> Wakes {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        state.waiting.grant_all(if succeeded { Signal::Handed } else { Signal::Broken }, &mut wakes);
        state.empty();
        let aborted = std::mem::take(&mut state.abort_after_action);
        state.phase = if succeeded && !aborted { Phase::Filling } else { Phase::Broken };
        state.gate.grant_all(Signal::Retry, &mut wakes);
        wakes
    }

    /// Ends a wait whose time is up.
    pub fn time_out(&self, node: &Waiter) -> TimedOut {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.phase == Phase::Acting && node.granted().is_none() {
            return TimedOut::Acting;
        }
        match node.cancel() {
            Cancel::Granted(Signal::Handed) => return TimedOut::Met,
            Cancel::Granted(_) => {}
            Cancel::Cancelled => state.fail(&mut wakes),
        }
        TimedOut::Broken(wakes)
    }

    /// Takes back the arrival of a thread that was interrupted: the others go on waiting. True when all had met meanwhile.
    pub fn leave(&self, index: usize, node: &Waiter) -> bool {
        let mut state = self.state.lock();
        if let Cancel::Granted(signal) = node.cancel() {
            return signal == Signal::Handed;
        }
        if state.phase == Phase::Filling {
            state.arrived -= 1;
            state.vacated.push(index);
        }
        state.waiting.note_cancelled();
        false
    }

    /// Gives up a wait at the gate.
    pub fn leave_gate(&self, node: &Waiter) {
        if node.cancel() == Cancel::Cancelled {
            self.state.lock().gate.note_cancelled();
        }
    }

    /// Breaks the barrier: every wait ends Broken, and arrivals are refused.
    pub fn abort(&self) -> Wakes {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.phase == Phase::Acting {
            // All have met: they pass, and the next generation is the one that is broken.
            state.abort_after_action = true;
        } else {
            state.fail(&mut wakes);
        }
        wakes
    }

    /// Empties and mends the barrier: every wait ends Broken. While the action runs all have met: they pass.
    pub fn reset(&self) -> Wakes {
        let mut wakes = Wakes::none();
        let mut state = self.state.lock();
        if state.phase == Phase::Acting {
            state.abort_after_action = false;
            return wakes;
        }
        state.fail(&mut wakes);
        state.phase = Phase::Filling;
        wakes
    }
}
