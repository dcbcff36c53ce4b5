//! Nothing is left lying while a loop sleeps, over all interleavings with at most three preemptions (see `loom_lock.rs`).
#![cfg(loom)]

use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use tress_core::coroutines::bell::Bell;

/// A loop that is given things to do, and a descriptor that wakes it.
struct Loop {
    bell: Bell,
    to_do: Mutex<u32>,
    wakes: Mutex<u32>,
    woken: Condvar,
}

impl Loop {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bell: Bell::new(),
            to_do: Mutex::new(0),
            wakes: Mutex::new(0),
            woken: Condvar::new(),
        })
    }

    fn give(&self) {
        *self.to_do.lock().unwrap() += 1;
        if self.bell.ring() {
            *self.wakes.lock().unwrap() += 1;
            self.woken.notify_one();
        }
    }

    fn take(&self) -> u32 {
        std::mem::take(&mut *self.to_do.lock().unwrap())
    }

    /// One turn, in which it sleeps if there is nothing to do: a wake-up that is missed is a deadlock, which loom reports.
    fn turn(&self) -> u32 {
        self.bell.begin();
        let taken = self.take();
        if taken == 0 {
            let mut wakes = self.wakes.lock().unwrap();
            while *wakes == 0 {
                wakes = self.woken.wait(wakes).unwrap();
            }
            *wakes -= 1;
        }
        self.bell.end();
        taken + self.take()
    }
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn what_is_given_is_found() {
    model(|| {
        let subject = Loop::new();
        let givers: Vec<_> = (0..2)
            .map(|_| {
                let subject = subject.clone();
                thread::spawn(move || subject.give())
            })
            .collect();
        let mut found = 0;
        while found < 2 {
            found += subject.turn();
        }
        for giver in givers {
            giver.join().unwrap();
        }
    });
}

#[test]
fn one_that_is_awake_is_not_woken() {
    model(|| {
        let bell = Arc::new(Bell::new());
        let (rung, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let ringer = {
            let (bell, rung) = (bell.clone(), rung.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    rung.fetch_add(u32::from(bell.ring()), Ordering::SeqCst);
                }
            })
        };
        bell.begin();
        bell.end();
        ended.store(true, Ordering::SeqCst);
        ringer.join().unwrap();
        // At most once for each sleep.
        assert!(rung.load(Ordering::SeqCst) <= 1);
        assert!(!bell.ring());
    });
}
