//! Whether to spin before parking, and for how long.
//!
//! A wake-up through the kernel takes microseconds on one CPU and tens of them across CPUs; a waiter that still looks when
//! the hand-over comes takes part of one. Spinning pays only where another CPU can make progress meanwhile, and only where
//! hand-overs come soon, so:
//! - a process that may run on one CPU alone never spins;
//! - at most one thread fewer than there are CPUs spins at a time;
//! - each thread keeps an estimate: a spin that met its hand-over keeps the budget, one that did not halves it, and a
//!   budget at its floor is spent on few waits only.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Longest and shortest spin, in nanoseconds.
const MAX_NS: u64 = 40_000;
const MIN_NS: u64 = 1_000;
/// A thread whose budget is at its floor tries a spin once in this many waits: its hand-overs come from its own CPU.
const RARELY: u32 = 16;
/// How many waits pass before the number of CPUs is asked for again: an affinity may change while the process runs.
const REFRESH: u32 = 4096;

static SPINNERS: AtomicU32 = AtomicU32::new(0);
static CPUS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static BUDGET_NS: Cell<u64> = const { Cell::new(MAX_NS) };
    static WAITS: Cell<u32> = const { Cell::new(0) };
}

/// CPUs that this process may run on.
pub fn cpus() -> u32 {
    let waits = WAITS.get().wrapping_add(1);
    WAITS.set(waits);
    let known = CPUS.load(Ordering::Relaxed);
    if known != 0 && waits % REFRESH != 0 {
        return known;
    }
    let counted = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count()).max(1);
    CPUS.store(counted, Ordering::Relaxed);
    counted
}

/// Whether another CPU can make progress while this one spins.
pub fn pays() -> bool {
    cpus() > 1
}

/// Spins until `done` says yes or the budget is used up; returns what `done` said last.
pub fn until(mut done: impl FnMut() -> bool) -> bool {
    if done() {
        return true;
    }
    if !pays() {
        return false;
    }
    let budget = BUDGET_NS.get();
    if budget <= MIN_NS && WAITS.get() % RARELY != 0 {
        return false;
    }
    let Some(met) = spin(budget, &mut done) else { return done() };
    BUDGET_NS.set(if met { MAX_NS.min(budget * 2) } else { MIN_NS.max(budget / 2) });
    met
}

/// Spins for `budget_ns` at most; whether it met `done`. None if enough threads spin already.
fn spin(budget_ns: u64, done: &mut impl FnMut() -> bool) -> Option<bool> {
    if SPINNERS.fetch_add(1, Ordering::Relaxed) >= CPUS.load(Ordering::Relaxed) - 1 {
        SPINNERS.fetch_sub(1, Ordering::Relaxed);
        return None;
    }
    let end = super::deadline::now_ns() + budget_ns;
    let met = loop {
        for _ in 0..32 {
            std::hint::spin_loop();
            if done() {
                break;
            }
        }
        if done() {
            break true;
        }
        if super::deadline::now_ns() >= end {
            break false;
        }
    };
    SPINNERS.fetch_sub(1, Ordering::Relaxed);
    Some(met)
}

/// An estimate of its own, for what one other process answers: how long that takes is a matter of the two, not of the thread.
///
/// The other process may be kept from its CPU for a while, which tells nothing of its next answer. So a budget at its floor is not
/// spent, but one wait in so many tries with enough for an answer of the usual kind, and one that meets it has the whole budget.
#[derive(Debug)]
pub struct Estimate {
    budget_ns: AtomicU64,
    waits: AtomicU32,
}

/// What a wait in so many tries with.
const TRIAL_NS: u64 = 20_000;

impl Default for Estimate {
    fn default() -> Self {
        Self { budget_ns: AtomicU64::new(MAX_NS), waits: AtomicU32::new(0) }
    }
}

impl Estimate {
    /// As [`until`].
    pub fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        done() || self.until_later(done)
    }

    /// As [`until`], for one who has just looked.
    pub fn until_later(&self, mut done: impl FnMut() -> bool) -> bool {
        if !pays() {
            return false;
        }
        let budget = self.budget_ns.load(Ordering::Relaxed);
        let tries = budget <= MIN_NS;
        if tries && self.waits.fetch_add(1, Ordering::Relaxed) % RARELY != 0 {
            return false;
        }
        let Some(met) = spin(if tries { TRIAL_NS } else { budget }, &mut done) else { return false };
        let next = match (met, tries) {
            (true, _) => MAX_NS,
            (false, true) => MIN_NS,
            (false, false) => budget / 2,
        };
        self.budget_ns.store(next, Ordering::Relaxed);
        met
    }
}

/// Looks for `done` for at most `limit_ns` nanoseconds, letting others run in between; returns what it said last. For one
/// that waits for a thread that has yet to get a CPU, perhaps this one.
pub fn look(limit_ns: u64, done: impl Fn() -> bool) -> bool {
    let end = super::deadline::now_ns() + limit_ns;
    while !done() {
        if super::deadline::now_ns() >= end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// The forked child has one thread, and nobody else spins in it.
pub fn after_fork_in_child() {
    SPINNERS.store(0, Ordering::Relaxed);
}
