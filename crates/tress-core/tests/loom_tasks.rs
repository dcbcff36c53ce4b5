//! Each task is taken once, whoever dies, over all interleavings with at most three preemptions.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use tress_core::processes::tasks::Tasks;

const SLOTS: u64 = 2;
/// The first position of the last lap that a word can tell: the next lap is 0 again.
const LAST_LAP: u64 = u32::MAX as u64 * SLOTS;

/// Runs `body` on rings that begin at position 0, and just before the laps begin again.
fn model(body: impl Fn(u64) + Sync + Send + Copy + 'static) {
    for start in [0, LAST_LAP] {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || body(start));
    }
}

struct Ring {
    head: AtomicU64,
    words: [AtomicU64; SLOTS as usize],
    /// What stands in the slots: the model checks that whoever fills one is alone with it.
    contents: [UnsafeCell<u64>; SLOTS as usize],
}

impl Ring {
    fn starting_at(position: u64) -> Arc<Self> {
        let empty = || AtomicU64::new((position / SLOTS) << 32);
        Arc::new(Self {
            head: AtomicU64::new(position),
            words: [empty(), empty()],
            contents: [UnsafeCell::new(u64::MAX), UnsafeCell::new(u64::MAX)],
        })
    }

    fn tasks(&self) -> Tasks<'_> {
        Tasks::new(&self.head, &self.words)
    }

    /// Offers the task of `position`, whose content is the position itself, if its slot is free.
    fn offer(&self, position: u64) -> bool {
        let free = self.tasks().is_free(position);
        if free {
            // SAFETY: the slot is free, so it is the owner's alone; the model checks it.
            self.contents[self.tasks().slot(position)].with_mut(|content| unsafe { *content = position });
            self.tasks().offer(position);
        }
        free
    }

    /// Takes a task, and dies before it gives the slot back.
    fn take_and_die(&self, worker: u32) -> Option<u64> {
        let position = self.tasks().take(worker)?;
        // SAFETY: the slot is the taker's until it is freed; the model checks it.
        let content = self.contents[self.tasks().slot(position)].with(|content| unsafe { *content });
        assert_eq!(content, position, "what was offered there");
        Some(position)
    }

    fn take(&self, worker: u32) -> Option<u64> {
        let position = self.take_and_die(worker)?;
        self.tasks().free(position);
        Some(position)
    }

    /// What is left, oldest first.
    fn rest(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.take(9)).collect()
    }

    /// Frees the slots that `worker` had when it died: the positions that were in them.
    fn bury(&self, worker: u32) -> Vec<u64> {
        let held = self.tasks().held_by(worker);
        held.into_iter()
            .map(|slot| {
                // SAFETY: its taker is dead, and nobody but the owner may touch it; the model checks it.
                let content = self.contents[slot].with(|content| unsafe { *content });
                self.tasks().free_slot(slot);
                content
            })
            .collect()
    }
}

fn is_sorted(positions: &[u64]) -> bool {
    positions.windows(2).all(|pair| pair[0] < pair[1])
}

/// A thread that takes `count` times.
fn taker(ring: &Arc<Ring>, worker: u32, count: usize) -> thread::JoinHandle<Vec<u64>> {
    let ring = ring.clone();
    thread::spawn(move || (0..count).filter_map(|_| ring.take(worker)).collect())
}

#[test]
fn each_task_is_taken_once_and_each_taker_takes_in_order() {
    model(|start| {
        let ring = Ring::starting_at(start);
        assert!(ring.offer(start) && ring.offer(start + 1));
        assert!(!ring.tasks().is_free(start + 2), "both slots are filled");
        let takers = [taker(&ring, 0, 2), taker(&ring, 1, 2)];
        let offered = 2 + (2..5).take_while(|next| ring.offer(start + next)).count() as u64;
        let mut all = Vec::new();
        for taker in takers {
            let taken = taker.join().unwrap();
            assert!(is_sorted(&taken), "{taken:?}");
            all.extend(taken);
        }
        let rest = ring.rest();
        assert!(is_sorted(&rest), "{rest:?}");
        all.extend(rest);
        all.sort();
        assert_eq!(all, (start..start + offered).collect::<Vec<_>>());
        assert!(ring.offer(start + offered) && ring.tasks().is_waiting());
        assert_eq!(ring.rest(), [start + offered]);
    });
}

#[test]
fn a_task_is_taken_or_taken_back() {
    model(|start| {
        let ring = Ring::starting_at(start);
        assert!(ring.offer(start) && ring.offer(start + 1));
        let takers = [taker(&ring, 0, 1), taker(&ring, 1, 1)];
        let back: Vec<_> = (start..start + 2).filter(|position| ring.tasks().take_back(*position)).collect();
        // The slot of one that was taken back is the owner's at once.
        let next = ring.offer(start + 2);
        assert!(next || !back.contains(&start));
        assert!(!ring.tasks().take_back(start), "its time is over");
        let mut all = back;
        for taker in takers {
            all.extend(taker.join().unwrap());
        }
        all.extend(ring.rest());
        all.sort();
        assert_eq!(all, (start..start + 2 + u64::from(next)).collect::<Vec<_>>());
    });
}

#[test]
fn a_taker_that_dies_with_a_slot_stops_nobody() {
    model(|start| {
        let ring = Ring::starting_at(start);
        assert!(ring.offer(start) && ring.offer(start + 1));
        let other = ring.clone();
        let dies = thread::spawn(move || other.take_and_die(7));
        let goes_on = taker(&ring, 1, 2);
        let lost = dies.join().unwrap();
        let held = ring.bury(7);
        assert_eq!(held, lost.into_iter().collect::<Vec<_>>());
        let offered = 2 + (2..4).take_while(|next| ring.offer(start + next)).count() as u64;
        let mut all = goes_on.join().unwrap();
        all.extend(ring.rest());
        assert!(is_sorted(&all), "{all:?}");
        all.extend(held);
        all.sort();
        assert_eq!(all, (start..start + offered).collect::<Vec<_>>());
        assert!(ring.offer(start + offered), "every slot is in use again");
        assert!(ring.tasks().held_by(7).is_empty());
    });
}

#[test]
fn a_taker_that_dies_before_it_moves_the_head_stops_nobody() {
    model(|start| {
        let ring = Ring::starting_at(start);
        assert!(ring.offer(start) && ring.offer(start + 1));
        let lap = (start / SLOTS) << 32;
        let (ready, taken_by_7) = (lap | 1, lap | 7 << 2 | 2);
        let other = ring.clone();
        let dies = thread::spawn(move || {
            let word = &other.words[0];
            word.compare_exchange(ready, taken_by_7, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        });
        let goes_on = taker(&ring, 1, 2);
        let died_with_one = dies.join().unwrap();
        let mut all = goes_on.join().unwrap();
        // Nobody has looked after the dead one yet.
        all.extend(ring.rest());
        assert_eq!(ring.bury(7).len(), usize::from(died_with_one));
        assert_eq!(all, (start + u64::from(died_with_one)..start + 2).collect::<Vec<_>>());
        assert!(ring.offer(start + 2) && ring.offer(start + 3));
        assert_eq!(ring.rest(), [start + 2, start + 3]);
    });
}
