//! RLock: a lock and a count.
#![cfg(not(loom))]

mod embedder;

use std::sync::Arc;
use std::thread;

use embedder::{acquire, until, within_bound};
use proptest::prelude::*;
use tress_core::base::thread_id::{self, NOBODY};
use tress_core::threads::rlock::{NotOwner, RLock};

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release,
    ReleaseAllAndRestore,
    ReleaseAll,
}

proptest! {
    #[test]
    fn it_counts(steps in proptest::collection::vec(prop_oneof![
        4 => Just(Step::Acquire),
        4 => Just(Step::Release),
        1 => Just(Step::ReleaseAllAndRestore),
        1 => Just(Step::ReleaseAll),
    ], 0..200)) {
        let lock = RLock::new();
        let mut count = 0usize;
        for step in steps {
            match step {
                Step::Acquire => {
                    prop_assert!(lock.try_acquire());
                    count += 1;
                }
                Step::Release => {
                    prop_assert_eq!(lock.release().map(drop), if count > 0 { Ok(()) } else { Err(NotOwner) });
                    count = count.saturating_sub(1);
                }
                Step::ReleaseAllAndRestore => match lock.release_all() {
                    Ok((held, _)) => {
                        prop_assert_eq!(held, count);
                        prop_assert!(!lock.is_locked());
                        prop_assert!(lock.try_acquire());
                        lock.taken(held);
                    }
                    Err(error) => prop_assert_eq!((error, count), (NotOwner, 0)),
                },
                Step::ReleaseAll => {
                    prop_assert_eq!(lock.release_all().ok().map(|(held, _)| held), (count > 0).then_some(count));
                    count = 0;
                }
            }
            prop_assert_eq!(lock.count(), count);
            prop_assert_eq!(lock.is_locked(), count > 0);
            prop_assert_eq!(lock.is_owned(), count > 0);
            prop_assert_eq!(lock.owner(), if count > 0 { thread_id::current() } else { NOBODY });
        }
    }
}

#[test]
fn only_its_owner_releases_it() {
    within_bound(|| {
        let lock = Arc::new(RLock::new());
        assert!(lock.try_acquire() && lock.try_acquire());
        let other = lock.clone();
        let stranger = thread::spawn(move || {
            assert!(!other.is_owned());
            assert_eq!(other.release().map(drop), Err(NotOwner));
            assert_eq!(other.release_all().map(drop), Err(NotOwner));
            assert!(!other.try_acquire());
            assert!(acquire(other.lock(), None));
            other.taken(1);
            assert!(other.is_owned());
            assert!(other.try_acquire());
            assert_eq!(other.release_all().expect("the owner releases").0, 2);
        });
        until("it waits", || lock.lock().waiting() == 1);
        assert_eq!(lock.count(), 2);
        lock.release().expect("the owner releases").wake();
        assert!(lock.is_owned());
        lock.release().expect("the owner releases").wake();
        stranger.join().unwrap();
        assert!(!lock.is_locked());
        assert_eq!(lock.count(), 0);
    });
}

#[test]
fn the_child_of_a_fork_gets_it_free() {
    let lock = RLock::new();
    assert!(lock.try_acquire() && lock.try_acquire());
    lock.reset_after_fork();
    assert!(!lock.is_locked() && !lock.is_owned());
    assert!(lock.try_acquire());
    assert_eq!(lock.count(), 1);
}
