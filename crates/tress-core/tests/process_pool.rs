//! A pool of processes, with threads for its processes and workers that stop half-way for ones that die.
#![cfg(not(loom))]

mod embedder;
mod processes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use embedder::{far, within_bound};
use processes::{answer, bytes, collect, content, echo, hire, next, offer};
use tress_core::processes::pool::{GARBLED, INLINE, INLINE_ANSWER, Pool, Refused, SLOTS};
use tress_core::processes::results::Ring;
use tress_core::processes::word::Slept;

const LENGTHS: [usize; 9] =
    [0, 1, INLINE, INLINE + 1, 5000, INLINE_ANSWER, INLINE_ANSWER + 1, 100_000, 1 << 20];

/// The double words of the pool's memory, before its blocks, that are `value`.
fn words_with(pool: &Pool, value: u64) -> Vec<&AtomicU64> {
    let all = pool.segment().double_words(0, 10_000);
    all.iter().filter(|word| word.load(Ordering::SeqCst) == value).collect()
}

#[test]
fn tasks_of_every_length_come_back_once() {
    within_bound(|| {
        let pool = Arc::new(Pool::create().unwrap());
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (_, mut worker) = hire(&pool);
                thread::spawn(move || echo(&mut worker))
            })
            .collect();
        let mut expected: HashMap<u64, Vec<u8>> =
            (0..600).map(|id| (id, content(id, LENGTHS[id as usize % LENGTHS.len()]))).collect();
        let mut offered = 0;
        while !expected.is_empty() {
            while offered < 600 && offer(&pool, offered, &expected[&offered]) {
                offered += 1;
            }
            for answer in collect(&pool) {
                let content = expected.remove(&answer.id).expect("it was offered, and had no answer");
                assert_eq!((answer.kind, bytes(&answer.payload) == content), (1, true), "{}", answer.id);
            }
        }
        pool.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!((pool.lent_bytes(), pool.idle()), (0, 0));
    });
}

#[test]
fn a_full_ring_refuses_until_a_task_is_taken_or_taken_back() {
    let pool = Pool::create().unwrap();
    let (_, mut worker) = hire(&pool);
    let positions: Vec<_> = (0..SLOTS as u64).map(|id| pool.offer(id, &[b"x"]).unwrap()).collect();
    assert!(matches!(pool.offer(999, &[b"x"]), Err(Refused::Full)));
    assert!(pool.take_back(0, positions[0]) && !pool.take_back(0, positions[0]));
    pool.offer(300, &[b"y"]).unwrap();
    assert!(matches!(pool.offer(999, &[b"x"]), Err(Refused::Full)));
    let task = worker.take().unwrap().unwrap();
    assert_eq!((task.id, bytes(&task.payload)), (1, b"x".to_vec()));
    assert!(pool.is_begun(positions[1]) && !pool.is_begun(positions[2]));
    assert!(!pool.take_back(1, positions[1]));
    pool.offer(301, &[&content(1, 10_000)]).unwrap();
    assert!(pool.lent_bytes() > 10_000);
    let rest: Vec<_> = std::iter::from_fn(|| worker.take().unwrap()).map(|task| task.id).collect();
    assert_eq!(rest, (2..SLOTS as u64).chain([300, 301]).collect::<Vec<_>>());
}

#[test]
fn a_large_task_that_is_taken_back_gives_its_room_back() {
    let pool = Pool::create().unwrap();
    let position = pool.offer(1, &[&content(1, 1 << 20)]).unwrap();
    assert!(pool.lent_bytes() >= 1 << 20);
    assert!(pool.take_back(1, position));
    assert_eq!(pool.lent_bytes(), 0);
}

#[test]
fn a_worker_that_sleeps_is_woken_by_a_task_and_by_the_end() {
    within_bound(|| {
        let pool = Arc::new(Pool::create().unwrap());
        let (_, mut worker) = hire(&pool);
        let thread =
            thread::spawn(move || (next(&mut worker).map(|task| task.id), next(&mut worker).is_none()));
        embedder::until("it sleeps", || pool.idle() == 1);
        assert!(offer(&pool, 5, b""));
        embedder::until("it sleeps again", || pool.idle() == 1);
        pool.close();
        assert_eq!(thread.join().unwrap(), (Some(5), true));
    });
}

#[test]
fn a_closed_pool_still_gives_out_what_was_offered() {
    let pool = Pool::create().unwrap();
    let (_, mut worker) = hire(&pool);
    assert!(offer(&pool, 1, b"") && offer(&pool, 2, b""));
    pool.close();
    let taken: Vec<_> = std::iter::from_fn(|| next(&mut worker)).map(|task| task.id).collect();
    assert_eq!(taken, [1, 2]);
}

#[test]
fn a_worker_whose_ring_is_full_waits_until_somebody_reads() {
    within_bound(|| {
        let pool = Arc::new(Pool::create().unwrap());
        let (number, mut worker) = hire(&pool);
        let payload = content(1, INLINE_ANSWER);
        let mut written = 0;
        while worker.answer_at_once(1, written, &[&payload], None) {
            written += 1;
        }
        assert!(written > 10, "{written}");
        let thread = thread::spawn(move || answer(&mut worker, written, &content(1, INLINE_ANSWER)));
        let mut read = Vec::new();
        while read.len() as u64 <= written {
            read.extend(collect(&pool));
        }
        thread.join().unwrap();
        assert!(read.iter().map(|answer| answer.id).eq(0..=written));
        assert!(read.iter().all(|answer| answer.worker == number && bytes(&answer.payload) == payload));
    });
}

/// What is found of a worker that got as far as `steps` does with task 7 of 100,000 bytes, and died. The pool goes on.
fn death_after(
    steps: impl FnOnce(&Pool, &mut tress_core::processes::worker::Worker),
) -> (Vec<u64>, Vec<u64>) {
    let pool = Pool::create().unwrap();
    let (number, mut worker) = hire(&pool);
    assert!(offer(&pool, 7, &content(7, 100_000)));
    steps(&pool, &mut worker);
    // A process that is killed drops nothing.
    std::mem::forget(worker);
    let (answers, lost) = pool.bury(number);
    assert!(pool.bury(number).0.is_empty() && pool.bury(number).1.is_empty(), "it is buried");
    drop(pool.read());
    assert!(pool.current(number).is_none());
    let (again, mut worker) = hire(&pool);
    assert_eq!(again, number, "its number is free");
    for id in 100..100 + 2 * SLOTS as u64 {
        assert!(offer(&pool, id, b"z"), "every slot is free");
        let task = next(&mut worker).unwrap();
        if task.id == 7 {
            assert_eq!(bytes(&task.payload), content(7, 100_000));
            assert_eq!(next(&mut worker).unwrap().id, id);
        }
    }
    assert_eq!(pool.lent_bytes(), 0, "all room is back");
    (answers.into_iter().map(|answer| answer.id).collect(), lost)
}

const NOTHING: [u64; 0] = [];

#[test]
fn one_that_dies_before_it_takes_a_task_leaves_it_to_others() {
    assert_eq!(death_after(|_, _| {}), (NOTHING.into(), NOTHING.into()));
}

#[test]
fn one_that_dies_while_it_copies_a_task_loses_it() {
    let fail_to_copy = |pool: &Pool, worker: &mut tress_core::processes::worker::Worker| {
        // Its block seems to be nowhere, so the worker does not come to the end of `take`.
        let len = words_with(pool, 100_000);
        assert_eq!(len.len(), 1);
        len[0].store(u64::MAX, Ordering::SeqCst);
        assert!(worker.take().is_err());
        len[0].store(100_000, Ordering::SeqCst);
    };
    assert_eq!(death_after(fail_to_copy), (NOTHING.into(), [7].into()));
    // And before it says which task it is at.
    let forget = |pool: &Pool, worker: &mut tress_core::processes::worker::Worker| {
        fail_to_copy(pool, worker);
        let current = words_with(pool, 8);
        assert_eq!(current.len(), 1);
        current[0].store(0, Ordering::SeqCst);
    };
    assert_eq!(death_after(forget), (NOTHING.into(), [7].into()));
}

#[test]
fn one_that_dies_in_a_task_loses_it() {
    let lost = death_after(|pool, worker| {
        let task = next(worker).unwrap();
        assert!(pool.current(0).is_some_and(|(id, since)| id == 7 && since > 0));
        std::mem::forget(task);
    });
    assert_eq!(lost, (NOTHING.into(), [7].into()));
}

#[test]
fn one_that_dies_having_answered_loses_nothing_whoever_reads_it() {
    for finishes in [false, true] {
        for reads in [false, true] {
            let found = death_after(|pool, worker| {
                let task = next(worker).unwrap();
                answer(worker, 7, b"done");
                std::mem::forget(task);
                if finishes {
                    assert!(worker.finish());
                }
                if reads {
                    assert_eq!(pool.read().len(), 1);
                }
            });
            let left = if reads { NOTHING.to_vec() } else { [7].to_vec() };
            assert_eq!(found, (left, NOTHING.into()), "finishes: {finishes}, reads: {reads}");
        }
    }
}

#[test]
fn a_worker_is_killed_for_the_task_that_it_is_at_or_not_at_all() {
    let pool = Pool::create().unwrap();
    let (number, mut worker) = hire(&pool);
    for id in [5, 6] {
        pool.offer(id, &[b"x"]).unwrap();
    }
    assert_eq!(next(&mut worker).unwrap().id, 5);
    assert!(!pool.condemn(number, 6));
    assert!(worker.finish());
    assert!(!pool.condemn(number, 5));
    assert_eq!(next(&mut worker).unwrap().id, 6);
    assert!(pool.condemn(number, 6));
    assert!(!pool.condemn(number, 6));
    assert_eq!(pool.current(number).map(|(id, _)| id), Some(6));
    assert!(!worker.finish());
    assert_eq!(pool.bury(number).1, [6]);
    assert_eq!(pool.current(number), None);
}

#[test]
fn what_a_worker_says_of_itself_touches_no_others_task() {
    let pool = Pool::create().unwrap();
    let ((_, mut has_a_task), (number, mut retires)) = (hire(&pool), hire(&pool));
    let content = content(3, 100_000);
    assert!(offer(&pool, 0, &content));
    let task = next(&mut has_a_task).unwrap();
    answer(&mut retires, 0, b"");
    assert_eq!(pool.read().len(), 1);
    drop(retires);
    assert_eq!(pool.bury(number).1, NOTHING);
    assert!(offer(&pool, 1, &[0; 100_000]));
    assert!(bytes(&task.payload) == content, "its block was lent again while it has it");
}

#[test]
fn nothing_more_is_read_of_a_worker_that_writes_what_makes_no_sense() {
    let pool = Pool::create().unwrap();
    let (number, own) = pool.add_worker().unwrap().unwrap();
    let mut ring = Ring::new(Arc::clone(&own), 0, 256 << 10);
    ring.write(1, 4, &[b"good"]).unwrap();
    // A block that is nowhere.
    ring.write(1 << 31, 5, &[&[255; 16]]).unwrap();
    ring.write(1, 6, &[b"good"]).unwrap();
    let (answers, lost) = pool.bury(number);
    let kinds: Vec<_> = answers.iter().map(|answer| (answer.kind, answer.id)).collect();
    assert_eq!((kinds, lost), (vec![(1, 4), (GARBLED, 0)], vec![]));
}

#[test]
fn a_worker_is_garbled_once() {
    let pool = Pool::create().unwrap();
    let (number, own) = pool.add_worker().unwrap().unwrap();
    let map = |segment: &tress_core::processes::segment::Segment| segment.fd().try_clone_to_owned().unwrap();
    let shared =
        tress_core::processes::segment::Segment::open(map(pool.segment()), pool.segment().len()).unwrap();
    let collector = pool.collector().try_clone_to_owned().unwrap();
    let mut worker =
        tress_core::processes::worker::Worker::new(Arc::new(shared), Arc::clone(&own), number, collector);
    answer(&mut worker, 1, b"");
    // The tail of its ring.
    own.double_word(0).store(u64::MAX, Ordering::SeqCst);
    assert!(pool.read().iter().map(|answer| answer.kind).eq([GARBLED]));
    answer(&mut worker, 2, b"");
    assert!(pool.read().is_empty() && pool.bury(number).0.is_empty());
}

#[test]
fn a_leader_reads_what_is_answered_while_it_sleeps() {
    within_bound(|| {
        let pool = Arc::new(Pool::create().unwrap());
        assert!(!pool.lead(), "the collector is awake");
        let (_, mut worker) = hire(&pool);
        let thread = thread::spawn(move || echo(&mut worker));
        pool.before_collector_sleeps();
        for id in 0..200 {
            assert!(pool.lead() && !pool.lead());
            assert!(offer(&pool, id, b"hello"));
            let answers = loop {
                match pool.read_leading(far()) {
                    Ok(answers) => break answers,
                    Err(slept) => assert_eq!(slept, Slept::Woken),
                }
            };
            assert!(answers.iter().map(|answer| answer.id).eq([id]));
            pool.stop_leading();
        }
        pool.close();
        thread.join().unwrap();
    });
}

#[test]
fn a_leader_is_told_what_happens_before_it_sleeps() {
    within_bound(|| {
        let pool = Pool::create().unwrap();
        pool.wake_leader();
        pool.before_collector_sleeps();
        assert!(pool.lead());
        // Here it would look at what it waits for.
        pool.wake_leader();
        assert_eq!(pool.read_leading(far()).err(), Some(Slept::Woken));
        pool.wake_leader();
        assert_eq!(pool.read_leading(far()).err(), Some(Slept::Woken));
        assert_eq!(pool.read_leading(embedder::soon()).err(), Some(Slept::TimedOut));
    });
}

#[test]
fn a_seat_is_given_out_again_only_when_its_worker_is_buried() {
    within_bound(|| {
        let pool = Arc::new(Pool::create().unwrap());
        for id in 0..500 {
            let (dead, worker) = hire(&pool);
            drop(worker);
            assert!(offer(&pool, id, b""));
            let other = pool.clone();
            let burier = thread::spawn(move || other.bury(dead).1);
            let (number, mut worker) = hire(&pool);
            assert_eq!(next(&mut worker).unwrap().id, id);
            assert_eq!(burier.join().unwrap(), NOTHING, "nothing was its");
            assert_eq!(pool.current(number).map(|(id, _)| id), Some(id), "nobody else cleared it");
            drop(worker);
            assert_eq!(pool.bury(number).1, [id]);
        }
    });
}
