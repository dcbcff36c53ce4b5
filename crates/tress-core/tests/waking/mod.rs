//! A task as an embedder has it: what wakes it, and the thread that runs it once it has been woken.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex};
use std::task::{Wake, Waker};

#[cfg(loom)]
use loom::sync::{Condvar, Mutex};
use tress_core::base::thread_id::{self, ThreadId};
use tress_core::base::waiter::Who;

/// One task and how often it was woken.
pub struct Task {
    bell: Arc<Bell>,
    waker: Waker,
    id: ThreadId,
}

impl Task {
    /// A task with a number of its own.
    pub fn new(number: usize) -> Self {
        let bell = Arc::new(Bell::new());
        Self { waker: Waker::from(bell.clone()), bell, id: thread_id::of_task(number) }
    }

    pub fn who(&self) -> Who<'_> {
        Who::Task(&self.waker, self.id)
    }

    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// How often it was woken.
    pub fn woken(&self) -> u32 {
        self.bell.woken.load(Ordering::Relaxed)
    }

    /// Waits until it is woken.
    pub fn run(&self) {
        self.bell.wait();
    }
}

struct Bell {
    // Not the model checker's: it decides nothing.
    woken: AtomicU32,
    rung: (Mutex<bool>, Condvar),
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        *self.rung.0.lock().unwrap() = true;
        self.rung.1.notify_all();
    }
}

impl Bell {
    fn new() -> Self {
        Self { woken: AtomicU32::new(0), rung: (Mutex::new(false), Condvar::new()) }
    }

    fn wait(&self) {
        let (rung, change) = &self.rung;
        let mut rung = rung.lock().unwrap();
        while !*rung {
            rung = change.wait(rung).unwrap();
        }
        *rung = false;
    }
}
