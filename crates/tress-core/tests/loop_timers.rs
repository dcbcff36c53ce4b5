//! What an event loop calls later.

use proptest::prelude::*;
use tress_core::coroutines::timers::{Numbered, Timers};

#[derive(Debug, Clone, Copy)]
struct Value<T> {
    number: u64,
    is: T,
}

impl<T> From<T> for Value<T> {
    fn from(is: T) -> Self {
        Self { number: 0, is }
    }
}

impl<T> Numbered for Value<T> {
    fn number(&self) -> u64 {
        self.number
    }

    fn set_number(&mut self, number: u64) {
        self.number = number;
    }
}

#[test]
fn the_soonest_comes_first_and_equals_in_order() {
    let mut timers = Timers::new();
    for (when, name) in [(2.0, 'c'), (1.0, 'a'), (1.0, 'b'), (3.0, 'd')] {
        timers.add(when, Value::from(name));
    }
    assert_eq!(timers.first().map(|(when, value)| (when, value.is)), Some((1.0, 'a')));
    assert!(timers.pop_before(1.0).is_none(), "what is due at the end is not due before it");
    let due: Vec<_> = std::iter::from_fn(|| timers.pop_before(2.5)).map(|value| value.is).collect();
    assert_eq!(due, ['a', 'b', 'c']);
    assert_eq!((timers.len(), timers.pop().map(|value| value.is)), (1, Some('d')));
    assert!(timers.is_empty());
}

#[test]
fn when_most_are_cancelled_they_are_taken_out() {
    let mut timers = Timers::new();
    for number in 0..100 {
        timers.add(f64::from(number), Value::from(number));
    }
    let asked = (0..100).find(|_| timers.note_cancelled());
    assert_eq!(asked, Some(50), "at more than half");
    let out = timers.sweep(|value| value.is % 2 == 1);
    assert_eq!((out.len(), timers.len()), (50, 50));
    assert_eq!(timers.pop().map(|value| value.is), Some(0));
    assert_eq!(timers.pop().map(|value| value.is), Some(2), "the order is as before");
    assert_eq!(timers.take().len(), 48);
}

#[test]
fn few_are_left_where_they_are() {
    let mut timers = Timers::new();
    for number in 0..10 {
        timers.add(0.0, Value::from(number));
    }
    assert!((0..10).all(|_| !timers.note_cancelled()));
}

proptest! {
    #[test]
    fn all_come_in_order(whens in prop::collection::vec((-10..10).prop_map(|when| f64::from(when) / 2.0), 0..200)) {
        let mut timers = Timers::new();
        for (number, when) in whens.iter().enumerate() {
            timers.add(*when, Value::from((*when, number)));
        }
        let mut expected: Vec<_> = whens.iter().copied().enumerate().map(|(number, when)| (when, number)).collect();
        expected.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        let found: Vec<_> = std::iter::from_fn(|| timers.pop()).map(|value| value.is).collect();
        prop_assert_eq!(found, expected);
    }
}
