//! How an embedder waits: the loop around enrol, park and cancel that each of these tests needs.
#![allow(dead_code, reason = "each test file uses a part of it")]

use tress_core::base::deadline::{Deadline, now_ns};
use tress_core::base::waiter::{Outcome, Signal};
use tress_core::base::waitlist::Node;
use tress_core::threads::event::Event;
use tress_core::threads::lock::Lock;
use tress_core::threads::semaphore::{Enrol, Semaphore, Take};

/// Waits for `lock`; false when the deadline passed first.
pub fn acquire(lock: &Lock, deadline: Option<Deadline>) -> bool {
    lock.try_acquire() || acquire_since(lock, now_ns(), deadline)
}

/// Waits for `lock` as one whose wait began at `since_ns`.
pub fn acquire_since(lock: &Lock, since_ns: u64, deadline: Option<Deadline>) -> bool {
    let mut again = false;
    loop {
        let Some(node) = lock.enrol(since_ns, again) else { return true };
        match node.waiter().park(deadline) {
            Outcome::Granted(signal) if lock.settle(signal) => return true,
            Outcome::Granted(_) => again = true,
            Outcome::TimedOut => return lock.cancel(&node),
            Outcome::Interrupted => unreachable!("no signals here"),
        }
    }
}

/// Releases `lock` and wakes.
pub fn release(lock: &Lock) {
    lock.release().expect("the lock is held").wake();
}

/// Waits for a permit as one whose wait began at `since_ns`.
pub fn take_since(semaphore: &Semaphore, since_ns: u64, deadline: Option<Deadline>) -> Take {
    let mut again = false;
    loop {
        let node = match semaphore.enrol(since_ns, again) {
            Enrol::Taken => return Take::Taken,
            Enrol::Closed => return Take::Closed,
            Enrol::Waiting(node) => node,
        };
        match node.waiter().park(deadline) {
            Outcome::Granted(Signal::Handed) => return Take::Taken,
            Outcome::Granted(_) => match semaphore.try_acquire() {
                Take::Empty => again = true,
                settled => return settled,
            },
            Outcome::TimedOut if semaphore.cancel(&node) => return Take::Taken,
            Outcome::TimedOut => return Take::Empty,
            Outcome::Interrupted => unreachable!("no signals here"),
        }
    }
}

/// Waits for a permit.
pub fn take(semaphore: &Semaphore, deadline: Option<Deadline>) -> Take {
    take_since(semaphore, now_ns(), deadline)
}

/// Waits for `event`; false when the deadline passed first.
pub fn wait(event: &Event, deadline: Option<Deadline>) -> bool {
    let Some(node) = event.enrol() else { return true };
    match node.park(deadline) {
        Outcome::Granted(_) => true,
        Outcome::TimedOut => event.cancel(&node),
        Outcome::Interrupted => unreachable!("no signals here"),
    }
}

/// Runs `body` in a thread of its own; panics with it, or if it takes longer than any of these tests can.
#[cfg(not(loom))]
pub fn within_bound<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(std::time::Duration::from_secs(60)) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("it sends before it ends"),
        },
    }
}

/// Waits until `condition` holds, as it soon must.
#[cfg(not(loom))]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Deadline::after_ns(30_000_000_000);
    while !condition() {
        assert!(!end.has_passed(), "never: {what}");
        std::thread::yield_now();
    }
}

/// So far away that a test which waits for it hangs.
#[cfg(not(loom))]
pub fn far() -> Option<Deadline> {
    Some(Deadline::after_ns(3_600_000_000_000))
}

/// A moment from now: for waits that are to time out, and whose test does not care when.
#[cfg(not(loom))]
pub fn soon() -> Option<Deadline> {
    Some(Deadline::after_ns(2_000_000))
}

/// Forks, runs `child` in the child, and waits for the status that the child ends with.
pub fn fork_and_join(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls nothing but `child`, and ends without running anybody's exit handlers. The C library's
    // allocator is usable in it, and no other lock is taken that a thread of the parent may have held: no output, no panic.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = child();
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(status) };
    }
    assert!(pid > 0, "fork failed");
    let end = Deadline::after_ns(30_000_000_000);
    let mut status = 0;
    // SAFETY: `pid` is a child of this process that nobody else waits for.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        if end.has_passed() {
            // SAFETY: it has not been waited for, so the number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::yield_now();
    }
    assert!(libc::WIFEXITED(status), "the child was killed: it hung");
    libc::WEXITSTATUS(status)
}
