//! Locks between processes, some of which are killed.
#![cfg(not(loom))]

mod family;

use std::sync::atomic::Ordering;
use std::thread;

use family::{BOUND_NS, fork, until, wait};
use tress_core::processes::identity::{self, ProcessId};
use tress_core::processes::lock::{Lock, Taken, TooMany};
use tress_core::processes::patience::Patience;
use tress_core::processes::slots::Slot;

fn acquire(lock: &Lock, timeout_ns: u64) -> Option<Taken> {
    if lock.try_acquire() {
        return Some(Taken::Free);
    }
    let mut patience = Patience::new();
    wait(timeout_ns, |until| lock.attempt(&mut patience, until))
}

fn pause() -> i32 {
    loop {
        // SAFETY: it may be called at any time.
        unsafe { libc::pause() };
    }
}

#[test]
fn a_process_is_itself_and_alive() {
    let here = identity::current();
    assert_eq!(here.pid(), Some(std::process::id()));
    assert!(!here.has_ended());
    assert_eq!(ProcessId::from_bits(here.bits()), Some(here));
    assert!(!ProcessId::UNKNOWN.has_ended());
}

#[test]
fn a_child_is_somebody_else_and_ends() {
    let slot = Slot::new().unwrap();
    let here = identity::current();
    let child = fork(|| {
        slot.double_word(0).store(identity::current().bits(), Ordering::Release);
        pause()
    });
    until(|| slot.double_word(0).load(Ordering::Acquire) != 0);
    let there = ProcessId::from_bits(slot.double_word(0).load(Ordering::Acquire)).unwrap();
    assert_ne!(there, here);
    assert_eq!(there.pid(), Some(child.pid()));
    assert!(!there.has_ended());
    child.kill();
    assert!(there.has_ended(), "a zombie");
    drop(child);
    assert!(there.has_ended(), "gone");
}

#[test]
fn a_number_given_out_again_is_another_process() {
    let here = identity::current();
    let earlier = ProcessId::from_bits(here.bits() - (1 << 22)).unwrap();
    assert_eq!(earlier.pid(), here.pid());
    assert!(earlier.has_ended());
}

#[test]
fn any_process_may_release_it() {
    let lock = Lock::new(false).unwrap();
    assert!(lock.try_acquire());
    let child = fork(|| i32::from(lock.release().is_err()));
    assert_eq!(child.join(), 0);
    assert_eq!(lock.release(), Err(TooMany));
}

#[test]
fn one_that_begins_held_is_nobodys() {
    let lock = Lock::new(true).unwrap();
    assert_eq!(lock.holder(), Some(ProcessId::UNKNOWN));
    assert_eq!(acquire(&lock, 300_000_000), None);
    lock.release().unwrap();
    assert!(lock.try_acquire());
}

#[test]
fn a_wait_ends_with_the_release() {
    let lock = Lock::new(false).unwrap();
    assert!(lock.try_acquire());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| acquire(&lock, BOUND_NS));
        lock.release().unwrap();
        assert_eq!(waiter.join().unwrap(), Some(Taken::Free));
    });
}

#[test]
fn a_process_that_only_forked_is_not_the_holder() {
    let lock = Lock::new(false).unwrap();
    assert!(lock.try_acquire());
    let child = fork(|| i32::from(lock.holder() == Some(identity::current())));
    assert_eq!(child.join(), 0);
    assert_eq!(lock.holder(), Some(identity::current()), "whatever becomes of the child");
    assert_eq!(acquire(&lock, 300_000_000), None, "the holder is alive");
}

#[test]
fn a_lock_of_a_killed_process_goes_to_one_waiter() {
    for _ in 0..5 {
        let lock = Lock::new(false).unwrap();
        let child = fork(|| if lock.try_acquire() { pause() } else { 1 });
        until(|| lock.is_held());
        let pid = child.pid();
        let dead = thread::scope(|scope| {
            let waiters = [(); 3].map(|()| {
                scope.spawn(|| {
                    let taken = acquire(&lock, BOUND_NS).expect("within the bound");
                    lock.release().unwrap();
                    taken
                })
            });
            child.kill();
            waiters.map(|waiter| waiter.join().unwrap())
        });
        let told = dead.iter().filter(|taken| match taken {
            Taken::Free => false,
            Taken::FromDead(dead) => dead.pid() == Some(pid),
        });
        assert_eq!(told.count(), 1, "{dead:?}");
        assert!(!lock.is_held());
    }
}

/// Children take the lock and change two words that must agree, and are killed anywhere in between.
#[test]
fn killed_at_any_moment() {
    let lock = Lock::new(false).unwrap();
    let data = Slot::new().unwrap();
    let (first, second) = (data.double_word(0), data.double_word(8));
    let work = || {
        let mut patience = Patience::new();
        loop {
            if let Ok(taken) = lock.attempt(&mut patience, None) {
                let (a, b) = (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed));
                if a != b && taken == Taken::Free {
                    return 1;
                }
                first.store(a + 1, Ordering::Relaxed);
                second.store(a + 1, Ordering::Relaxed);
                if lock.release().is_err() {
                    return 2;
                }
                patience = Patience::new();
            }
        }
    };
    let mut children: Vec<_> = (0..3).map(|_| fork(work)).collect();
    for round in 0_u64..60 {
        let seen = first.load(Ordering::Relaxed);
        until(|| first.load(Ordering::Relaxed) > seen + round * 7 % 50);
        let child = children.remove(0);
        child.kill();
        assert_eq!(child.join(), -libc::SIGKILL, "a child found what it must not");
        children.push(fork(work));
    }
    for child in children {
        child.kill();
        assert_eq!(child.join(), -libc::SIGKILL);
    }
    assert!(acquire(&lock, BOUND_NS).is_some());
}
