//! One outcome, delivered once, over all interleavings with at most three preemptions: whoever ends a completion, whoever waits
//! for it, alone or for several, and whoever gives up waiting.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use tress_core::base::collector::Collector;
use tress_core::base::completion::{Access, Begin, Cancel, Completion, Refused, State};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Outcome;
use tress_core::base::waitlist::Wakes;

type Int = Completion<u32>;

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Waits for the end; false when the deadline passed first.
fn wait(completion: &Int, deadline: Option<Deadline>) -> bool {
    let Some(node) = completion.enrol() else { return true };
    match node.park(deadline) {
        Outcome::Granted(_) => true,
        Outcome::TimedOut => completion.cancel_wait(&node),
        Outcome::Interrupted => unreachable!("no signals here"),
    }
}

fn collect(collector: &Collector, deadline: Option<Deadline>) -> bool {
    let Some(node) = collector.enrol() else { return true };
    match node.park(deadline) {
        Outcome::Granted(_) => true,
        Outcome::TimedOut => collector.cancel(&node),
        Outcome::Interrupted => unreachable!("no signals here"),
    }
}

fn finish(completion: &Int, outcome: u32) -> bool {
    match completion.finish(Access::Free, outcome, false) {
        Ok(ended) => {
            ended.wakes.wake();
            true
        }
        Err(_) => false,
    }
}

fn cancel(completion: &Int) -> bool {
    match completion.cancel(Access::Free) {
        Ok(Cancel::Now(ended)) => {
            ended.wakes.wake();
            true
        }
        _ => false,
    }
}

fn value(completion: &Int) -> Option<u32> {
    completion.outcome(|outcome| outcome.copied())
}

#[test]
fn the_end_is_seen_by_all_who_wait() {
    model(|| {
        let completion = Arc::new(Int::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let completion = completion.clone();
                thread::spawn(move || {
                    assert!(wait(&completion, None));
                    assert_eq!(value(&completion), Some(7));
                })
            })
            .collect();
        assert!(finish(&completion, 7));
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_timeout_beside_the_end() {
    model(|| {
        let completion = Arc::new(Int::new());
        let other = completion.clone();
        let waiter = thread::spawn(move || {
            if wait(&other, Some(Deadline::at_ns(0))) {
                assert_eq!(value(&other), Some(7));
            }
        });
        assert!(finish(&completion, 7));
        waiter.join().unwrap();
        assert_eq!(completion.waiting(), (0, 0));
        assert_eq!(value(&completion), Some(7));
    });
}

#[test]
fn begin_against_cancel_against_a_wait_with_a_timeout() {
    model(|| {
        let completion = Arc::new(Int::new());
        let (worker, waiter) = (completion.clone(), completion.clone());
        let worker = thread::spawn(move || match worker.begin(Access::Free) {
            Ok(Begin::Begun) => {
                assert!(finish(&worker, 7), "nobody else ends what has begun");
                true
            }
            Ok(Begin::Cancelled(wakes)) => {
                wakes.wake();
                assert_eq!(worker.state(), State::Notified);
                false
            }
            Err(_) => unreachable!("begun once"),
        });
        let waiter = thread::spawn(move || {
            if wait(&waiter, Some(Deadline::at_ns(0))) {
                assert!(waiter.state().is_done());
            }
        });
        let cancelled = cancel(&completion);
        let ran = worker.join().unwrap();
        waiter.join().unwrap();
        assert_ne!(cancelled, ran);
        assert_eq!(value(&completion), ran.then_some(7));
    });
}

#[test]
fn of_two_who_finish_and_one_who_cancels_one_succeeds() {
    model(|| {
        let completion = Arc::new(Int::new());
        let (first, second) = (completion.clone(), completion.clone());
        let first = thread::spawn(move || finish(&first, 1));
        let second = thread::spawn(move || finish(&second, 2));
        let cancelled = cancel(&completion);
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_eq!(u8::from(first) + u8::from(second) + u8::from(cancelled), 1);
        let expected = if first { Some(1) } else { second.then_some(2) };
        assert_eq!(value(&completion), expected);
    });
}

#[test]
fn no_transition_after_the_guard_without_it() {
    model(|| {
        let completion = Arc::new(Int::new());
        let other = completion.clone();
        let worker = thread::spawn(move || match other.begin(Access::Free) {
            Ok(Begin::Begun) => match other.finish(Access::Free, 7, false) {
                Ok(ended) => ended.wakes.wake(),
                Err((refused, _)) => assert_eq!(refused, Refused::Guarded),
            },
            Ok(Begin::Cancelled(_)) => unreachable!("nobody cancels"),
            Err(refused) => assert_eq!(refused, Refused::Guarded),
        });
        completion.guard();
        let seen = completion.state();
        thread::yield_now();
        assert_eq!(completion.state(), seen, "it changed without the guard");
        worker.join().unwrap();
        assert_eq!(completion.state(), seen);
    });
}

#[test]
fn a_collector_hears_of_each_once() {
    model(|| {
        let completions = Arc::new([Int::new(), Int::new()]);
        let collector = Arc::new(Collector::streaming());
        let others = completions.clone();
        let finisher = thread::spawn(move || {
            assert!(finish(&others[1], 1));
            assert!(finish(&others[0], 0));
        });
        for (token, completion) in completions.iter().enumerate() {
            if !completion.observe(&collector, token) {
                let mut wakes = Wakes::none();
                collector.arrived(token, false, &mut wakes);
                wakes.wake();
            }
        }
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match collector.take() {
                Some(token) => seen.push(token),
                None => assert!(collect(&collector, None)),
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
        assert_eq!(collector.take(), None);
        finisher.join().unwrap();
    });
}

#[test]
fn a_count_ends_when_all_have_and_a_timeout_leaves_nothing() {
    model(|| {
        let completions = Arc::new([Int::new(), Int::new()]);
        let collector = Arc::new(Collector::counting(2, false));
        for (token, completion) in completions.iter().enumerate() {
            assert!(completion.observe(&collector, token));
        }
        let others = completions.clone();
        let finisher = thread::spawn(move || assert!(finish(&others[0], 0)));
        let other = collector.clone();
        let waiter = thread::spawn(move || collect(&other, Some(Deadline::at_ns(0))));
        assert!(finish(&completions[1], 1));
        finisher.join().unwrap();
        let _ = waiter.join().unwrap();
        assert!(collector.is_met());
        assert!(collect(&collector, None));
        for completion in completions.iter() {
            completion.unobserve(&collector);
            assert_eq!(completion.waiting(), (0, 0));
        }
    });
}

#[test]
fn a_cancelled_one_reaches_collectors_when_its_worker_has_seen_it() {
    model(|| {
        let completion = Arc::new(Int::new());
        let collector = Arc::new(Collector::counting(1, false));
        let (other, worker) = (completion.clone(), completion.clone());
        assert!(completion.observe(&collector, 0));
        let canceller = thread::spawn(move || cancel(&other));
        let worker = thread::spawn(move || match worker.begin(Access::Free) {
            Ok(Begin::Begun) => {
                thread::yield_now();
                assert!(finish(&worker, 7));
            }
            Ok(Begin::Cancelled(wakes)) => wakes.wake(),
            Err(_) => unreachable!("begun once"),
        });
        assert!(collect(&collector, None));
        assert!(completion.state().is_settled());
        let _ = canceller.join().unwrap();
        worker.join().unwrap();
    });
}
