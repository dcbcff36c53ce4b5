//! A ring of tasks in one thread: what the words say when a taker has died half-way.
#![cfg(not(loom))]

use std::sync::atomic::{AtomicU64, Ordering};

use tress_core::processes::tasks::Tasks;

const READY: u64 = 1;
const TAKEN: u64 = 2;

fn new_ring() -> (AtomicU64, [AtomicU64; 4]) {
    Default::default()
}

#[test]
fn what_is_offered_waits_until_it_is_taken_or_taken_back() {
    let (head, words) = new_ring();
    let tasks = Tasks::new(&head, &words);
    assert!(!tasks.is_waiting() && tasks.is_free(0) && tasks.take(0).is_none());
    for position in 0..4 {
        assert!(tasks.is_free(position));
        tasks.offer(position);
        assert!(!tasks.is_begun(position));
    }
    assert!(tasks.is_waiting() && !tasks.is_free(4), "the slot of 4 is that of 0");
    assert_eq!(tasks.take(5), Some(0));
    assert!(tasks.is_begun(0) && !tasks.is_free(4), "it is being copied");
    assert_eq!(tasks.held_by(5), [0]);
    tasks.free(0);
    assert!(tasks.is_free(4) && tasks.held_by(5).is_empty());
    assert!(!tasks.take_back(0) && tasks.take_back(1) && !tasks.take_back(1));
    assert_eq!((tasks.take(6), tasks.take(6), tasks.take(6)), (Some(2), Some(3), None));
    assert_eq!(tasks.held_by(6), [2, 3]);
    assert!(!tasks.is_waiting());
}

#[test]
fn a_head_that_the_dead_left_behind_hides_no_task() {
    let (head, words) = new_ring();
    let tasks = Tasks::new(&head, &words);
    tasks.offer(0);
    tasks.offer(1);
    assert_eq!(words[0].swap(7 << 2 | TAKEN, Ordering::SeqCst), READY);
    assert!(tasks.is_waiting());
    tasks.free_slot(tasks.held_by(7)[0]);
    assert!(tasks.is_waiting());
    assert_eq!(tasks.take(1), Some(1));
    assert!(!tasks.is_waiting());
}

#[test]
fn workers_are_told_apart_by_their_whole_number() {
    let (head, words) = new_ring();
    let tasks = Tasks::new(&head, &words);
    for position in 0..4 {
        tasks.offer(position);
    }
    for worker in [0, 1, 256, 1023] {
        let position = tasks.take(worker).expect("four were offered");
        assert_eq!(tasks.held_by(worker), [tasks.slot(position)]);
    }
}
