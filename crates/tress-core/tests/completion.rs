//! Completions and collectors as one thread sees them, against a model in plain data.
#![cfg(not(loom))]

use std::sync::Arc;

use proptest::prelude::*;
use tress_core::base::collector::Collector;
use tress_core::base::completion::{Access, Begin, Cancel, Completion, Refused, State};
use tress_core::base::deadline::Deadline;
use tress_core::base::waiter::Outcome;
use tress_core::base::waitlist::Wakes;

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Cancel,
    Finish(u32),
    Assign(State),
    Guard,
}

fn states() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Pending,
        State::Running,
        State::Cancelled,
        State::Notified,
        State::Finished,
    ])
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        3 => Just(Step::Begin),
        2 => Just(Step::Cancel),
        2 => any::<u32>().prop_map(Step::Finish),
        1 => states().prop_map(Step::Assign),
        1 => Just(Step::Guard),
    ];
    prop::collection::vec((step, any::<bool>()), 0..12)
}

proptest! {
    #[test]
    fn transitions_are_those_of_the_table(steps in steps()) {
        let completion = Completion::<u32>::new();
        let (mut state, mut outcome, mut guarded) = (State::Pending, None, false);
        for (step, holds) in steps {
            let access = if holds { Access::Guarded } else { Access::Free };
            let refuses = guarded && !holds;
            match step {
                Step::Begin => match completion.begin(access) {
                    Ok(Begin::Begun) => {
                        prop_assert!(!refuses && state == State::Pending);
                        state = State::Running;
                    }
                    Ok(Begin::Cancelled(wakes)) => {
                        prop_assert!(!refuses && state == State::Cancelled && wakes.is_empty());
                        state = State::Notified;
                    }
                    Err(Refused::Guarded) => prop_assert!(refuses),
                    Err(Refused::State(seen)) => {
                        prop_assert!(!refuses && seen == state);
                        prop_assert!(!matches!(state, State::Pending | State::Cancelled));
                    }
                },
                Step::Cancel => match completion.cancel(access) {
                    Ok(Cancel::Now(ended)) => {
                        prop_assert!(!refuses && state == State::Pending && ended.wakes.is_empty());
                        state = State::Cancelled;
                    }
                    Ok(Cancel::Before) => prop_assert!(!refuses && state.is_cancelled()),
                    Ok(Cancel::Late) => {
                        prop_assert!(!refuses && matches!(state, State::Running | State::Finished));
                    }
                    Err(refused) => prop_assert!(refuses && refused == Refused::Guarded),
                },
                Step::Finish(value) => match completion.finish(access, value, false) {
                    Ok(ended) => {
                        prop_assert!(!refuses && !state.is_done() && ended.wakes.is_empty());
                        state = State::Finished;
                        outcome = Some(value);
                    }
                    Err((Refused::Guarded, back)) => prop_assert!(refuses && back == value),
                    Err((Refused::State(seen), back)) => {
                        prop_assert!(!refuses && seen == state && state.is_done() && back == value);
                    }
                },
                Step::Assign(wanted) => {
                    completion.assign_state(wanted).wakes.wake();
                    state = wanted;
                }
                Step::Guard => {
                    completion.guard();
                    guarded = true;
                }
            }
            prop_assert_eq!(completion.state(), state);
            prop_assert_eq!(completion.outcome(|value| value.copied()), outcome);
            prop_assert_eq!(completion.enrol().is_none(), state.is_done());
        }
    }

    #[test]
    fn collectors_hear_in_the_order_of_the_ends(order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(), early in 0..8usize) {
        let completions: Vec<_> = (0..8).map(|_| Completion::<usize>::new()).collect();
        let end = |token: usize| completions[token].finish(Access::Free, token, false).map(|ended| ended.wakes.wake());
        for token in &order[..early] {
            prop_assert!(end(*token).is_ok());
        }
        let (stream, count) = (Arc::new(Collector::streaming()), Arc::new(Collector::counting(8 - early, false)));
        let observed: Vec<_> = (0..8).filter(|token| completions[*token].observe(&stream, *token)).collect();
        for token in &observed {
            prop_assert!(completions[*token].observe(&count, *token));
            prop_assert_eq!(completions[*token].waiting(), (0, 2));
        }
        prop_assert_eq!(observed.len(), 8 - early);
        for token in &order[early..] {
            prop_assert!(!count.is_met());
            prop_assert!(end(*token).is_ok());
            prop_assert_eq!(completions[*token].waiting(), (0, 0));
        }
        prop_assert!(count.is_met());
        let heard: Vec<_> = std::iter::from_fn(|| stream.take()).collect();
        prop_assert_eq!(heard.as_slice(), &order[early..]);
    }
}

#[test]
fn a_failure_is_enough_for_a_collector_that_stops_at_one() {
    let completions: Vec<_> = (0..3).map(|_| Completion::<u32>::new()).collect();
    let (stops, goes_on) = (Arc::new(Collector::counting(3, true)), Arc::new(Collector::counting(3, false)));
    for (token, completion) in completions.iter().enumerate() {
        assert!(completion.observe(&stops, token));
        assert!(completion.observe(&goes_on, token));
    }
    completions[0].finish(Access::Free, 1, false).expect("pending").wakes.wake();
    assert!(!stops.is_met());
    completions[1].finish(Access::Free, 1, true).expect("pending").wakes.wake();
    assert!(stops.is_met() && !goes_on.is_met());
    completions[2].finish(Access::Free, 1, false).expect("pending").wakes.wake();
    assert!(goes_on.is_met());
}

#[test]
fn one_that_is_observed_no_more_is_silent() {
    let completion = Completion::<u32>::new();
    let (kept, gone) = (Arc::new(Collector::streaming()), Arc::new(Collector::streaming()));
    for token in 0..3 {
        assert!(completion.observe(&gone, token));
        assert!(completion.observe(&kept, token));
    }
    completion.unobserve(&gone);
    assert_eq!(completion.waiting(), (0, 3));
    completion.finish(Access::Free, 1, false).expect("pending").wakes.wake();
    assert_eq!(gone.take(), None);
    assert_eq!(std::iter::from_fn(|| kept.take()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_end_wakes_a_thread_that_sleeps() {
    let completion = Arc::new(Completion::<u32>::new());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let completion = completion.clone();
            std::thread::spawn(move || {
                if let Some(node) = completion.enrol() {
                    assert!(matches!(node.park(None), Outcome::Granted(_)));
                }
                completion.outcome(|value| value.copied())
            })
        })
        .collect();
    while completion.waiting().0 < 4 {
        std::thread::yield_now();
    }
    completion.finish(Access::Free, 7, false).expect("pending").wakes.wake();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Some(7));
    }
}

#[test]
fn a_timeout_leaves_no_waiter() {
    let completion = Completion::<u32>::new();
    let collector = Collector::counting(1, false);
    for _ in 0..100 {
        let node = completion.enrol().expect("pending");
        assert_eq!(node.park(Some(Deadline::after_ns(1000))), Outcome::TimedOut);
        assert!(!completion.cancel_wait(&node));
        let node = collector.enrol().expect("nothing has arrived");
        assert_eq!(node.park(Some(Deadline::after_ns(1000))), Outcome::TimedOut);
        assert!(!collector.cancel(&node));
    }
    assert_eq!(completion.waiting(), (0, 0));
    let mut wakes = Wakes::none();
    collector.arrived(0, false, &mut wakes);
    assert!(wakes.is_empty() && collector.is_met());
}

#[test]
fn the_extension_is_made_once_and_closes_with_the_end() {
    let completion = Completion::<u32, Vec<u32>>::new();
    assert!(completion.extension(|list| list.is_none()));
    assert!(completion.extend_open(|list| list.push(1)).is_some());
    assert!(completion.finish(Access::Free, 7, false).expect("pending").extended);
    assert!(completion.extend_open(|list| list.push(2)).is_none());
    completion.extend(|list| list.push(3));
    assert_eq!(completion.clear(), (Some(7), Some(vec![1, 3])));
    assert_eq!(completion.clear(), (None, Some(vec![])));
}
