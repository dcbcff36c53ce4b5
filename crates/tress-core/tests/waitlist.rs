//! The list of waits against a plain queue.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use tress_core::base::waiter::{Cancel, Signal, Waiter};
use tress_core::base::waitlist::{WaitList, Wakes};

#[derive(Clone, Debug)]
enum Step {
    Push,
    PushFront,
    GrantOne,
    GrantAll,
    PopWaiting,
    /// The one that many places from the front gives up.
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Push),
        2 => Just(Step::PushFront),
        3 => Just(Step::GrantOne),
        1 => Just(Step::GrantAll),
        1 => Just(Step::PopWaiting),
        6 => (0usize..40).prop_map(Step::Cancel),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn it_is_a_queue_that_forgets_who_gave_up(steps in steps()) {
        let mut list = WaitList::<Waiter>::new();
        let mut model: VecDeque<Arc<Waiter>> = VecDeque::new();
        for step in steps {
            let mut wakes = Wakes::none();
            match step {
                Step::Push => {
                    let node = Arc::new(Waiter::new());
                    list.push(node.clone());
                    model.push_back(node);
                }
                Step::PushFront => {
                    let node = Arc::new(Waiter::new());
                    list.push_front(node.clone());
                    model.push_front(node);
                }
                Step::GrantOne => {
                    let expected = model.pop_front();
                    prop_assert_eq!(list.grant_one(Signal::Handed, &mut wakes), expected.is_some());
                    if let Some(node) = expected {
                        prop_assert_eq!(node.granted(), Some(Signal::Handed));
                    }
                }
                Step::GrantAll => {
                    prop_assert_eq!(list.grant_all(Signal::Closed, &mut wakes), model.len());
                    for node in model.drain(..) {
                        prop_assert_eq!(node.granted(), Some(Signal::Closed));
                    }
                    prop_assert!(list.is_empty());
                }
                Step::PopWaiting => match (list.pop_waiting(), model.pop_front()) {
                    (Some(node), Some(expected)) => prop_assert!(Arc::ptr_eq(&node, &expected)),
                    (None, None) => {}
                    (got, expected) => prop_assert!(false, "{got:?} instead of {expected:?}"),
                },
                Step::Cancel(place) => {
                    if let Some(node) = model.remove(place) {
                        prop_assert_eq!(node.cancel(), Cancel::Cancelled);
                        list.note_cancelled();
                    }
                }
            }
            // None of them sleeps.
            prop_assert!(wakes.is_empty());
            prop_assert_eq!(list.len(), model.len());
            prop_assert!(model.is_empty() || !list.is_empty());
        }
        for node in &model {
            prop_assert!(node.is_waiting());
        }
    }
}

#[test]
fn those_that_gave_up_are_let_go_of() {
    let mut list = WaitList::new();
    let nodes: Vec<_> = (0..1000).map(|_| Arc::new(Waiter::new())).collect();
    for node in &nodes {
        list.push(node.clone());
    }
    for node in &nodes {
        assert_eq!(node.cancel(), Cancel::Cancelled);
        list.note_cancelled();
        let held = nodes.iter().filter(|node| Arc::strong_count(node) > 1).count();
        assert!(held <= 2 * list.len() + 1, "{held} held for {} that wait", list.len());
    }
    assert!(list.is_empty());
}
