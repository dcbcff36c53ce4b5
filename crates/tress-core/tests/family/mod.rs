//! Processes of a test: children that run a function, and ends that they meet.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::thread;

use tress_core::base::deadline::Deadline;
use tress_core::processes::word::Slept;

/// Longer than anything takes that does not hang.
pub const BOUND_NS: u64 = 60_000_000_000;

/// A child process; killed, if it still runs, when it is dropped.
pub struct Child {
    pid: i32,
}

/// Forks; the child runs `body` and ends with the status that it returns.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child calls nothing but `body`, and ends without running anybody's exit handlers. The C library's allocator
    // is usable in it, and no other lock is taken that a thread of the parent may have held: no output, no panic.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: both may be called at any time.
        unsafe {
            libc::alarm(90);
            libc::_exit(body())
        }
    }
    assert!(pid > 0, "fork failed");
    Child { pid }
}

impl Child {
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Kills it; it stays a zombie.
    pub fn kill(&self) {
        // SAFETY: it has not been waited for, so the number is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: a plain structure of numbers.
        let mut info = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is written to, and the child stays there to be waited for again.
        unsafe { libc::waitid(libc::P_PID, self.pid(), &mut info, libc::WEXITED | libc::WNOWAIT) };
    }

    /// Waits until it has ended; its exit status, or the negative of the signal that ended it.
    pub fn join(self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of this process that nobody else waits for.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        std::mem::forget(self);
        if libc::WIFSIGNALED(status) { -libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        // SAFETY: a child of this process that nobody else waits for.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}

/// Waits for what `attempt` tries; None at the end of the bound, or of `timeout_ns`.
pub fn wait<T>(timeout_ns: u64, mut attempt: impl FnMut(Option<Deadline>) -> Result<T, Slept>) -> Option<T> {
    let end = Deadline::after_ns(timeout_ns);
    loop {
        match attempt(Some(end)) {
            Ok(value) => return Some(value),
            Err(Slept::TimedOut) => return None,
            Err(_) => {}
        }
    }
}

/// Looks for `done` until it holds.
pub fn until(done: impl Fn() -> bool) {
    let end = Deadline::after_ns(BOUND_NS);
    while !done() {
        assert!(!end.has_passed(), "it never came");
        thread::yield_now();
    }
}
