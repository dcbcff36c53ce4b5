//! The kernel's part of a futex in shared memory, for models: looking at the word and going to sleep are one step to whoever
//! wakes. A sleep ends by a wake-up alone, so that a lost one is a model that cannot go on.
#![cfg(loom)]

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};

/// A word that one thread sleeps on.
pub struct Word {
    pub word: AtomicU32,
    bucket: Mutex<()>,
    woken: Condvar,
}

impl Word {
    pub fn new() -> Self {
        Self { word: AtomicU32::new(0), bucket: Mutex::new(()), woken: Condvar::new() }
    }

    pub fn sleep(&self, expected: u32) {
        let bucket = self.bucket.lock().unwrap();
        if self.word.load(Ordering::Relaxed) == expected {
            drop(self.woken.wait(bucket).unwrap());
        }
    }

    pub fn wake(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.woken.notify_one();
    }
}
