//! Tasks among the threads that wait.
#![cfg(not(loom))]

mod embedder;
mod queueing;
mod waking;

use std::sync::Arc;
use std::thread;

use embedder::{acquire, far, release, until};
use queueing::{get, put};
use tress_core::base::thread_id::{self, NOBODY};
use tress_core::base::waiter::{Cancel, Grant, Signal, Waiter};
use tress_core::base::waitlist::Node;
use tress_core::threads::condition::Condition;
use tress_core::threads::event::Event;
use tress_core::threads::lock::Lock;
use tress_core::threads::queue::{Enrol, Get, Order, Put, Queue};
use tress_core::threads::rlock::RLock;
use waking::Task;

#[test]
fn numbers_of_tasks_are_no_threads() {
    let id = thread_id::of_task(42);
    assert!(thread_id::is_task(id) && thread_id::is_task(thread_id::of_task(0)));
    assert_eq!(thread_id::task_of(id), Some(42));
    for other in [thread_id::current(), NOBODY] {
        assert!(!thread_id::is_task(other));
        assert_eq!(thread_id::task_of(other), None);
    }
}

#[test]
fn a_wait_is_open_until_it_is_granted_or_cancelled() {
    let task = Task::new(1);
    let waiter = Waiter::of(task.who());
    assert!(waiter.is_task() && waiter.is_waiting() && !Waiter::new().is_task());
    assert_eq!(waiter.grant(Signal::Handed), Grant::Asleep);
    assert_eq!(task.woken(), 0);
    waiter.wake();
    assert_eq!(task.woken(), 1);
    assert_eq!(waiter.cancel(), Cancel::Granted(Signal::Handed));
    let waiter = Waiter::of(task.who());
    assert_eq!(waiter.cancel(), Cancel::Cancelled);
    assert_eq!(waiter.grant(Signal::Handed), Grant::Gone);
}

#[test]
fn nobody_waits_for_a_task_to_come() {
    let (queue, tasks) = (Queue::new(Order::Fifo, None), [Task::new(1), Task::new(2)]);
    let nodes: Vec<_> = tasks
        .iter()
        .map(|task| match queue.get_as(task.who(), true) {
            Get::Wait(node) => node,
            other => panic!("{other:?}"),
        })
        .collect();
    for number in 0..2 {
        put(&queue, number, None).unwrap();
    }
    // Neither has run yet, and each has its item.
    for (number, (task, node)) in (0..).zip(tasks.iter().zip(nodes)) {
        assert_eq!(task.woken(), 1);
        assert_eq!(queue.arrive_get(&node).0, Some(number));
    }
}

fn putter(queue: &Queue<u32>, task: &Task, item: u32, enrol: Enrol) -> Arc<impl Node + use<>> {
    match queue.put_as(task.who(), item, enrol) {
        Put::Wait(node, wakes) => {
            wakes.wake();
            node
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_room_is_told_to_one_task_and_what_is_left_is_for_threads() {
    let queue = Arc::new(Queue::new(Order::Fifo, Some(2)));
    put(&queue, 0, None).unwrap();
    put(&queue, 1, None).unwrap();
    let tasks = [Task::new(1), Task::new(2)];
    let nodes = [putter(&queue, &tasks[0], 2, Enrol::Last), putter(&queue, &tasks[1], 3, Enrol::Last)];
    assert_eq!(get(&queue, None), Ok(0));
    assert_eq!([tasks[0].woken(), tasks[1].woken()], [1, 0]);
    assert_eq!(nodes[0].waiter().granted(), Some(Signal::Retry));
    let other = queue.clone();
    let thread = thread::spawn(move || put(&other, 4, far()).unwrap());
    // The thread takes the room before the first task has run, which then is the oldest again.
    thread.join().unwrap();
    let again = putter(&queue, &tasks[0], 2, Enrol::First);
    assert_eq!(get(&queue, None), Ok(1));
    assert_eq!([tasks[0].woken(), tasks[1].woken()], [2, 0]);
    assert_eq!(again.waiter().granted(), Some(Signal::Retry));
    // It uses its room; there is none for the other yet.
    put(&queue, 2, None).unwrap();
    assert_eq!(tasks[1].woken(), 0);
    assert_eq!(get(&queue, None), Ok(4));
    assert_eq!(tasks[1].woken(), 1);
}

#[test]
fn a_task_holds_a_lock_and_for_threads_nobody_does() {
    let (lock, task) = (Arc::new(Lock::new()), Task::new(1));
    assert!(lock.try_acquire_as(task.id()));
    assert_eq!((lock.taker(), lock.owner()), (task.id(), NOBODY));
    let other = lock.clone();
    let thread = thread::spawn(move || {
        assert!(acquire(&other, far()));
        let owner = other.owner();
        release(&other);
        (owner, thread_id::current())
    });
    until("the thread waits", || lock.waiting() == 1);
    // By a thread: which says nothing of whom the lock belongs to.
    release(&lock);
    let (owner, thread) = thread.join().unwrap();
    assert_eq!(owner, thread);
}

#[test]
fn a_task_owns_an_rlock_and_its_thread_does_not() {
    let (lock, task, other) = (RLock::new(), Task::new(1), Task::new(2));
    assert!(lock.try_acquire_as(task.id()) && lock.try_acquire_as(task.id()));
    assert!(!lock.try_acquire() && !lock.try_acquire_as(other.id()));
    assert!(lock.is_owned_by(task.id()) && !lock.is_owned());
    assert!(lock.release().is_err() && lock.release_as(other.id()).is_err());
    let (count, wakes) = lock.release_all_as(task.id()).unwrap();
    wakes.wake();
    assert_eq!((count, lock.is_locked()), (2, false));
}

#[test]
fn an_event_wakes_both() {
    let (event, task) = (Arc::new(Event::new()), Task::new(1));
    let node = event.enrol_as(task.who()).unwrap();
    let other = event.clone();
    let thread = thread::spawn(move || embedder::wait(&other, far()));
    until("the thread waits", || event.waiting() == 2);
    event.set().wake();
    assert!(thread.join().unwrap());
    assert_eq!((task.woken(), node.granted()), (1, Some(Signal::Handed)));
    assert!(event.enrol_as(task.who()).is_none());
}

#[test]
fn a_notified_task_is_woken_when_the_lock_is_free() {
    let (condition, lock, tasks) = (Condition::new(), Lock::new(), [Task::new(1), Task::new(2)]);
    let nodes = tasks.each_ref().map(|task| condition.enrol_as(task.who()));
    assert!(lock.try_acquire());
    let (notified, wakes) = condition.notify(2, Some(&lock));
    wakes.wake();
    assert_eq!((notified, tasks[0].woken()), (2, 0));
    release(&lock);
    assert_eq!([tasks[0].woken(), tasks[1].woken()], [1, 0]);
    // The first gives up, notified, and passes the lock on; the second has it.
    let ended = condition.give_up_as(tasks[0].id(), &nodes[0], Some(&lock));
    assert!(ended.notified && ended.owns_lock);
    assert_eq!(lock.taker(), tasks[0].id());
    release(&lock);
    assert_eq!(tasks[1].woken(), 1);
    assert!(lock.settle_as(tasks[1].id(), nodes[1].waiter().granted().unwrap()));
    assert_eq!(lock.taker(), tasks[1].id());
}
