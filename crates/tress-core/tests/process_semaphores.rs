//! Semaphores, events and conditions between processes, some of which are killed.
#![cfg(not(loom))]

mod family;

use std::sync::atomic::Ordering;
use std::thread;

use family::{BOUND_NS, Child, fork, until, wait};
use tress_core::processes::condition::{Condition, Ticket};
use tress_core::processes::event::Event;
use tress_core::processes::lock::{Taken, TooMany};
use tress_core::processes::patience::Patience;
use tress_core::processes::semaphore::{MOST, Semaphore};
use tress_core::processes::slots::Slot;

const SHORT_NS: u64 = 300_000_000;

fn acquire(semaphore: &Semaphore, timeout_ns: u64) -> Option<Taken> {
    let mut patience = Patience::new();
    wait(timeout_ns, |until| semaphore.attempt(&mut patience, until))
}

fn pause() -> i32 {
    loop {
        // SAFETY: it may be called at any time.
        unsafe { libc::pause() };
    }
}

/// A child that takes permits and keeps them.
fn keeper(semaphore: &Semaphore, permits: u32) -> Child {
    let before = semaphore.value();
    let child = fork(|| {
        for _ in 0..permits {
            if !semaphore.try_acquire() {
                return 1;
            }
        }
        pause()
    });
    until(|| semaphore.value() == before - permits);
    child
}

#[test]
fn counts() {
    let semaphore = Semaphore::new(3, MOST).unwrap();
    for left in [2, 1, 0] {
        assert!(semaphore.try_acquire());
        assert_eq!(semaphore.value(), left);
    }
    assert!(!semaphore.try_acquire());
    assert_eq!(semaphore.held_here(), 3);
    assert_eq!(acquire(&semaphore, SHORT_NS), None, "its holder is alive");
    for _ in 0..3 {
        semaphore.release().unwrap();
    }
    assert_eq!((semaphore.value(), semaphore.held_here()), (3, 0));
}

#[test]
fn permits_of_a_killed_process_come_back() {
    let semaphore = Semaphore::new(3, 3).unwrap();
    let child = keeper(&semaphore, 2);
    let pid = child.pid();
    assert!(semaphore.try_acquire());
    child.kill();
    match acquire(&semaphore, BOUND_NS) {
        Some(Taken::FromDead(dead)) => assert_eq!(dead.pid(), Some(pid)),
        other => panic!("{other:?}"),
    }
    assert_eq!((semaphore.value(), semaphore.held_here()), (1, 2));
    assert_eq!(acquire(&semaphore, BOUND_NS), Some(Taken::Free));
    assert_eq!(acquire(&semaphore, SHORT_NS), None, "there were three");
}

#[test]
fn a_table_has_room_for_as_many_holders_as_permits() {
    let semaphore = Semaphore::new(40, 40).unwrap();
    let children: Vec<_> = (0..40).map(|_| keeper(&semaphore, 1)).collect();
    assert_eq!(semaphore.value(), 0);
    for child in &children {
        child.kill();
    }
    for _ in 0..40 {
        assert!(acquire(&semaphore, BOUND_NS).is_some());
    }
    assert_eq!(acquire(&semaphore, SHORT_NS), None);
}

#[test]
fn processes_that_hold_nothing_make_room() {
    let semaphore = Semaphore::new(1, 1).unwrap();
    let done = Semaphore::new(0, MOST).unwrap();
    let idlers: Vec<_> = (0..20)
        .map(|_| {
            let child = fork(|| {
                let is_done =
                    semaphore.try_acquire() && semaphore.release().is_ok() && done.release().is_ok();
                if is_done { pause() } else { 1 }
            });
            assert!(acquire(&done, BOUND_NS).is_some());
            child
        })
        .collect();
    let child = keeper(&semaphore, 1);
    child.kill();
    assert!(matches!(acquire(&semaphore, BOUND_NS), Some(Taken::FromDead(_))));
    drop(idlers);
}

#[test]
fn permits_that_travel_do_not_come_back() {
    let semaphore = Semaphore::new(2, MOST).unwrap();
    semaphore.release().unwrap();
    let child = keeper(&semaphore, 3);
    child.kill();
    assert_eq!(acquire(&semaphore, SHORT_NS), None, "the child has used up what others had sent");

    let signal = Semaphore::new(0, MOST).unwrap();
    signal.release().unwrap();
    let child = keeper(&signal, 1);
    child.kill();
    assert_eq!(acquire(&signal, SHORT_NS), None);
}

#[test]
fn a_release_that_comes_after_all_is_forgiven() {
    let semaphore = Semaphore::new(1, 1).unwrap();
    let child = keeper(&semaphore, 1);
    child.kill();
    assert!(acquire(&semaphore, BOUND_NS).is_some());
    semaphore.release().unwrap();
    assert_eq!(semaphore.release(), Ok(()), "the killed process's");
    assert_eq!(semaphore.release(), Err(TooMany));
    assert_eq!(semaphore.value(), 1);
}

#[test]
fn killed_at_any_moment() {
    let semaphore = Semaphore::new(2, 2).unwrap();
    let rounds = Slot::new().unwrap();
    let rounds = rounds.double_word(0);
    let work = || {
        let mut patience = Patience::new();
        loop {
            if semaphore.attempt(&mut patience, None).is_ok() {
                rounds.fetch_add(1, Ordering::Relaxed);
                if semaphore.release().is_err() {
                    return 1;
                }
                patience = Patience::new();
            }
        }
    };
    let mut children: Vec<_> = (0..4).map(|_| fork(work)).collect();
    for round in 0_u64..60 {
        let seen = rounds.load(Ordering::Relaxed);
        until(|| rounds.load(Ordering::Relaxed) > seen + round * 7 % 50);
        let child = children.remove(0);
        child.kill();
        assert_eq!(child.join(), -libc::SIGKILL, "released once too often");
        children.push(fork(work));
    }
    for child in children {
        child.kill();
        assert_eq!(child.join(), -libc::SIGKILL);
    }
    for _ in 0..2 {
        assert!(acquire(&semaphore, BOUND_NS).is_some(), "no permit is lost");
    }
    assert_eq!(acquire(&semaphore, SHORT_NS), None, "and none too many");
}

#[test]
fn threads_and_processes_share_permits() {
    let semaphore = Semaphore::new(2, 2).unwrap();
    let inside = Slot::new().unwrap();
    let inside = inside.double_word(0);
    let work = || {
        for _ in 0..2000 {
            if acquire(&semaphore, BOUND_NS).is_none() {
                return 1;
            }
            if inside.fetch_add(1, Ordering::AcqRel) >= 2 {
                return 2;
            }
            inside.fetch_sub(1, Ordering::AcqRel);
            if semaphore.release().is_err() {
                return 3;
            }
        }
        0
    };
    let children = [(); 2].map(|()| fork(work));
    thread::scope(|scope| {
        for thread in [(); 2].map(|()| scope.spawn(work)) {
            assert_eq!(thread.join().unwrap(), 0);
        }
    });
    for child in children {
        assert_eq!(child.join(), 0);
    }
    assert_eq!((semaphore.value(), semaphore.held_here()), (2, 0));
}

#[test]
fn an_event_releases_all_who_wait() {
    let event = Event::new().unwrap();
    let ready = Slot::new().unwrap();
    let children = [(); 3].map(|()| {
        fork(|| {
            let before = event.now();
            ready.double_word(0).fetch_add(1, Ordering::AcqRel);
            let mut patience = Patience::new();
            i32::from(wait(BOUND_NS, |until| event.attempt(before, &mut patience, until)).is_none())
        })
    });
    until(|| ready.double_word(0).load(Ordering::Acquire) == 3);
    event.set();
    event.clear();
    for child in children {
        assert_eq!(child.join(), 0);
    }
    let before = event.now();
    let mut patience = Patience::new();
    assert_eq!(wait(SHORT_NS, |until| event.attempt(before, &mut patience, until)), None);
}

fn notified(condition: &Condition, ticket: Ticket, timeout_ns: u64) -> bool {
    let mut patience = Patience::new();
    wait(timeout_ns, |until| condition.attempt(ticket, &mut patience, until)).is_some()
}

#[test]
fn as_many_waiters_go_on_as_were_notified() {
    let condition = Condition::new().unwrap();
    let tickets = [(); 5].map(|()| condition.enrol());
    assert_eq!(condition.waiting(), 5);
    condition.notify(2);
    assert_eq!((condition.waiting(), condition.under_way()), (3, 2));
    let late = condition.enrol();
    assert!(!notified(&condition, late, 0), "it was not there yet");
    let went_on = tickets.map(|ticket| notified(&condition, ticket, 0));
    assert_eq!(went_on.iter().filter(|went_on| **went_on).count(), 2);
    assert!(!condition.leave(late));
    condition.notify(usize::MAX);
    assert_eq!((condition.waiting(), condition.under_way()), (0, 0));
    condition.notify(1);
    assert!(!notified(&condition, condition.enrol(), 0), "nobody was there to be notified");
}

#[test]
fn one_who_leaves_is_not_waited_for() {
    let condition = Condition::new().unwrap();
    let (first, second) = (condition.enrol(), condition.enrol());
    assert!(!condition.leave(first));
    condition.notify(1);
    assert!(notified(&condition, second, 0));
    let third = condition.enrol();
    condition.notify(1);
    assert!(condition.leave(third), "notified in the last moment");
}

#[test]
fn a_killed_waiter_loses_its_own_notification_alone() {
    let condition = Condition::new().unwrap();
    let child = fork(|| {
        let ticket = condition.enrol();
        i32::from(!notified(&condition, ticket, BOUND_NS))
    });
    until(|| condition.waiting() == 1);
    child.kill();
    drop(child);
    let ticket = condition.enrol();
    condition.notify(1);
    condition.notify(1);
    assert!(notified(&condition, ticket, 0));
}

#[test]
fn generations_begin_again() {
    let condition = Condition::new().unwrap();
    for _ in 0..200_000 {
        let ticket = condition.enrol();
        condition.notify(1);
        assert!(notified(&condition, ticket, 0));
    }
    assert_eq!((condition.waiting(), condition.under_way()), (0, 0));
}
