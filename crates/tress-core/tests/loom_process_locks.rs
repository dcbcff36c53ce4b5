//! Locks, permits and notifications between processes of which some are killed, over all interleavings with at most three
//! preemptions. A process is a thread here.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;
use tress_core::base::deadline::Deadline;
use tress_core::processes::condition::Condition;
use tress_core::processes::identity;
use tress_core::processes::lock::{Lock, Taken};
use tress_core::processes::patience::Patience;
use tress_core::processes::semaphore::Semaphore;
use tress_core::processes::word::Slept;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

fn wait<T>(mut attempt: impl FnMut() -> Result<T, Slept>) -> T {
    loop {
        if let Ok(value) = attempt() {
            return value;
        }
        thread::yield_now();
    }
}

/// A lock and what it guards.
struct Guarded {
    lock: Lock,
    count: UnsafeCell<u32>,
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: Lock::new(false).unwrap(), count: UnsafeCell::new(0) })
    }

    fn add(&self) {
        // SAFETY: the caller holds the lock; the model checks that nobody else is here.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }
}

#[test]
fn nobody_sleeps_on_a_free_lock() {
    model(3, || {
        let guarded = Guarded::new();
        let others = [(); 2].map(|()| {
            let guarded = guarded.clone();
            thread::spawn(move || {
                let mut patience = Patience::new();
                let taken = wait(|| guarded.lock.attempt(&mut patience, None));
                assert_eq!(taken, Taken::Free);
                guarded.add();
                guarded.lock.release().unwrap();
            })
        });
        if guarded.lock.try_acquire() {
            guarded.add();
            guarded.lock.release().unwrap();
        }
        for other in others {
            other.join().unwrap();
        }
        assert!(!guarded.lock.is_held());
    });
}

/// Takes the lock, and is killed.
fn take_and_die(guarded: &Guarded) -> bool {
    let taken = guarded.lock.try_acquire();
    if taken {
        guarded.add();
    }
    identity::die();
    taken
}

/// Waits for the lock, and tells whether its holder had died.
fn take_in_turn(guarded: &Guarded) -> bool {
    let mut patience = Patience::short();
    let taken = wait(|| guarded.lock.attempt(&mut patience, None));
    guarded.add();
    guarded.lock.release().unwrap();
    taken != Taken::Free
}

#[test]
fn one_gets_the_lock_of_a_killed_holder() {
    model(3, || {
        let guarded = Guarded::new();
        let other = guarded.clone();
        assert!(thread::spawn(move || take_and_die(&other)).join().unwrap());
        let other = guarded.clone();
        let other = thread::spawn(move || take_in_turn(&other));
        let told = take_in_turn(&guarded);
        assert_ne!(told, other.join().unwrap());
        assert!(!guarded.lock.is_held());
    });
}

#[test]
fn a_holder_is_killed_while_another_waits() {
    model(3, || {
        let guarded = Guarded::new();
        let other = guarded.clone();
        let holder = thread::spawn(move || take_and_die(&other));
        let told = take_in_turn(&guarded);
        let held = holder.join().unwrap();
        assert!(held || !told);
        assert_eq!(guarded.lock.is_held(), held && !told);
    });
}

#[test]
fn a_release_beside_a_take_keeps_the_count() {
    model(3, || {
        let semaphore = Arc::new(Semaphore::new(2, 2).unwrap());
        let other = semaphore.clone();
        let thread = thread::spawn(move || {
            assert!(other.try_acquire());
            other.release().unwrap();
            assert_eq!(other.held_here(), 0);
        });
        assert!(semaphore.try_acquire());
        assert_eq!(semaphore.held_here(), 1);
        semaphore.release().unwrap();
        thread.join().unwrap();
        assert_eq!((semaphore.value(), semaphore.held_here()), (2, 0));
    });
}

#[test]
fn nobody_sleeps_beside_a_permit() {
    model(2, || {
        let semaphore = Arc::new(Semaphore::new(1, 1).unwrap());
        let others = [(); 2].map(|()| {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                let mut patience = Patience::new();
                let _ = wait(|| semaphore.attempt(&mut patience, None));
                semaphore.release().unwrap();
            })
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.value(), 1);
    });
}

/// One is killed between the change of the word and that of the table, or before, or after its release.
#[test]
fn a_permit_of_a_killed_holder_comes_back_once() {
    for steps in [1, 2, 3] {
        model(2, move || {
            let semaphore = Arc::new(Semaphore::new(1, 1).unwrap());
            let killed = {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    if steps == 1 {
                        identity::doom();
                    }
                    if !semaphore.try_acquire() {
                        return identity::die();
                    }
                    if steps == 2 {
                        identity::doom();
                    }
                    if steps > 1 {
                        semaphore.release().unwrap();
                    }
                    identity::die();
                })
            };
            let mut patience = Patience::short();
            let _ = wait(|| semaphore.attempt(&mut patience, None));
            assert_eq!(semaphore.held_here(), 1);
            killed.join().unwrap();
            assert_eq!(semaphore.value(), 0);
            assert!(!semaphore.try_acquire());
            semaphore.release().unwrap();
            assert_eq!((semaphore.value(), semaphore.held_here()), (1, 0));
        });
    }
}

#[test]
fn a_notification_beside_a_timeout_is_not_lost() {
    model(3, || {
        let condition = Arc::new((Mutex::new(()), Condition::new().unwrap()));
        let waiters = [Some(Deadline::at_ns(0)), None].map(|deadline| {
            let (lock, waiting) = &*condition;
            let ticket = {
                let _held = lock.lock().unwrap();
                waiting.enrol()
            };
            let condition = condition.clone();
            thread::spawn(move || {
                let (lock, waiting) = &*condition;
                let mut patience = Patience::new();
                let notified = loop {
                    match waiting.attempt(ticket, &mut patience, deadline) {
                        Ok(()) => break true,
                        Err(Slept::TimedOut) => break false,
                        Err(_) => {}
                    }
                };
                let _held = lock.lock().unwrap();
                let notified = notified || waiting.leave(ticket);
                if notified && deadline.is_some() {
                    waiting.notify(1);
                }
            })
        });
        {
            let _held = condition.0.lock().unwrap();
            condition.1.notify(1);
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!((condition.1.waiting(), condition.1.under_way()), (0, 0));
    });
}
