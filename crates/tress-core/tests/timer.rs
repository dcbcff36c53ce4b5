//! Timers against a sorted map.
#![cfg(not(loom))]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::base::timer::{TimerId, Timers};

/// Times before this are past for any clock that has run for a moment; those from here on are never reached.
const NEVER: u64 = u64::MAX / 2;

#[derive(Clone, Debug)]
enum Step {
    AddPast(u64),
    AddFuture(u64),
    Cancel(usize),
    CancelAgain,
    PopDue,
    TakeAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..20).prop_map(Step::AddPast),
        12 => (0u64..20).prop_map(|ns| Step::AddFuture(NEVER + ns)),
        12 => (0usize..100).prop_map(Step::Cancel),
        1 => Just(Step::CancelAgain),
        4 => Just(Step::PopDue),
    ];
    let rarely = prop_oneof![200 => step, 1 => Just(Step::TakeAll)];
    proptest::collection::vec(rarely, 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn they_come_up_in_order_and_once(steps in steps()) {
        let mut timers = Timers::new();
        let mut model: BTreeMap<(Deadline, TimerId), u64> = BTreeMap::new();
        let mut added = 0;
        let mut gone = None;
        // Until when somebody who sleeps until the soonest would sleep, looking again only when told to.
        let mut sleeps_until: Option<Deadline> = None;
        for step in steps {
            match step {
                Step::AddPast(ns) | Step::AddFuture(ns) => {
                    added += 1;
                    let due = Deadline::at_ns(ns);
                    let (id, look_again) = timers.add(due, added);
                    prop_assert!(model.insert((due, id), added).is_none());
                    prop_assert_eq!(TimerId::of_number(id.number()), id);
                    if look_again {
                        sleeps_until = timers.soonest();
                    }
                }
                Step::Cancel(place) => {
                    if let Some(key) = model.keys().nth(place).copied() {
                        let expected = model.remove(&key);
                        prop_assert_eq!(timers.cancel(key.1), expected);
                        gone = Some(key.1);
                    }
                }
                Step::CancelAgain => {
                    if let Some(id) = gone {
                        prop_assert_eq!(timers.cancel(id), None);
                    }
                }
                Step::PopDue => {
                    let first = model.keys().next().copied().filter(|(due, _)| due.as_ns() < NEVER);
                    let expected = first.and_then(|key| model.remove(&key));
                    prop_assert_eq!(timers.pop_due(), expected);
                    gone = first.map(|(_, id)| id).or(gone);
                    sleeps_until = timers.soonest();
                }
                Step::TakeAll => {
                    let mut taken = timers.take_all();
                    let mut expected: Vec<_> = std::mem::take(&mut model).into_values().collect();
                    taken.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(taken, expected);
                    sleeps_until = None;
                }
            }
            prop_assert_eq!(timers.len(), model.len());
            prop_assert_eq!(timers.is_empty(), model.is_empty());
            if let Some((due, _)) = model.keys().next() {
                prop_assert!(sleeps_until.is_some_and(|until| until <= *due), "it would sleep too long");
            }
        }
        prop_assert_eq!(timers.soonest(), model.keys().next().map(|(due, _)| *due));
        let mut left: Vec<_> = timers.values().copied().collect();
        left.sort_unstable();
        let mut expected: Vec<_> = model.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn cancelled_timers_are_forgotten() {
    let mut timers = Timers::new();
    let (kept, soonest) = timers.add(Deadline::at_ns(NEVER), "kept");
    assert!(soonest);
    for round in 1..10_000 {
        let (id, soonest) = timers.add(Deadline::at_ns(NEVER + round), "cancelled");
        assert!(!soonest);
        assert_eq!(timers.cancel(id), Some("cancelled"));
        assert_eq!(timers.len(), 1);
    }
    // What is kept of them shows in the debugger's view alone.
    assert!(format!("{timers:?}").len() < 20_000);
    assert_eq!(timers.cancel(kept), Some("kept"));
    assert_eq!(timers.soonest(), None);
}

#[test]
fn equal_times_come_up_in_the_order_of_their_adding() {
    let mut timers = Timers::new();
    for value in 0..100 {
        let _ = timers.add(Deadline::at_ns(5), value);
    }
    for value in 0..100 {
        assert_eq!(timers.pop_due(), Some(value));
    }
    assert_eq!(timers.pop_due(), None);
}
