//! Readers and writers of a ring between processes that sleep for each other, of which some are killed, over all interleavings with at
//! most three preemptions. A process is a thread here, and the ring's bytes are one cell.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use tress_core::processes::identity;
use tress_core::processes::lock::{Lock, Taken};
use tress_core::processes::patience::Patience;
use tress_core::processes::positions::Positions;
use tress_core::processes::slots::Slot;
use tress_core::processes::word::Slept;

const PIECE: u64 = 8;

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

/// A ring that has room for one piece.
struct Ring {
    positions: Positions,
    put: Lock,
    get: Lock,
    piece: UnsafeCell<u64>,
}

impl Ring {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            positions: Positions::of(Slot::new().unwrap(), PIECE),
            put: Lock::new(false).unwrap(),
            get: Lock::new(false).unwrap(),
            piece: UnsafeCell::new(0),
        })
    }

    fn write(&self, value: u64) {
        let mut patience = Patience::new();
        wait(|| self.positions.await_room(PIECE, &mut patience, None));
        // SAFETY: the lock is held and there is room: the model checks that nobody else is here.
        self.piece.with_mut(|piece| unsafe { *piece = value });
        self.positions.publish(self.positions.tail() + PIECE);
    }

    fn read(&self) -> u64 {
        let mut patience = Patience::new();
        wait(|| self.positions.await_data(&mut patience, None));
        // SAFETY: the lock is held and there is a piece: the model checks that nobody writes.
        let value = self.piece.with(|piece| unsafe { *piece });
        self.positions.take(self.positions.head() + PIECE);
        value
    }

    fn take(lock: &Lock, patience: &mut Patience) -> Taken {
        wait(|| lock.attempt(patience, None))
    }
}

#[test]
fn nobody_sleeps_on_a_ring_that_has_what_it_waits_for() {
    model(3, || {
        let ring = Ring::new();
        let other = ring.clone();
        let writer = thread::spawn(move || {
            other.write(1);
            other.write(2);
        });
        assert_eq!(ring.read(), 1);
        assert_eq!(ring.read(), 2);
        writer.join().unwrap();
    });
}

#[test]
fn two_writers_and_a_reader_take_turns() {
    model(2, || {
        let ring = Ring::new();
        let writers = [1, 2].map(|value| {
            let ring = ring.clone();
            thread::spawn(move || {
                let _ = Ring::take(&ring.put, &mut Patience::new());
                ring.write(value);
                ring.put.release().unwrap();
            })
        });
        assert_eq!(ring.read() + ring.read(), 3);
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_look_without_the_lock_sees_that_something_came() {
    model(3, || {
        let ring = Ring::new();
        let looker = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut patience = Patience::new();
                wait(|| ring.positions.await_data(&mut patience, None));
            })
        };
        let other = ring.clone();
        let another = thread::spawn(move || {
            let mut patience = Patience::new();
            wait(|| other.positions.await_data(&mut patience, None));
        });
        ring.write(1);
        looker.join().unwrap();
        another.join().unwrap();
    });
}

#[test]
fn a_writer_killed_before_it_publishes_has_written_nothing() {
    model(3, || {
        let ring = Ring::new();
        let other = ring.clone();
        let killed = thread::spawn(move || {
            let _ = Ring::take(&other.put, &mut Patience::new());
            other.positions.set_stream(true);
            identity::die();
        });
        let other = ring.clone();
        let next = thread::spawn(move || {
            if let Taken::FromDead(_) = Ring::take(&other.put, &mut Patience::short()) {
                assert!(other.positions.is_stream(), "what the dead one has said is seen");
                other.positions.set_stream(false);
            }
            other.write(2);
            other.put.release().unwrap();
        });
        assert_eq!(ring.read(), 2);
        killed.join().unwrap();
        next.join().unwrap();
    });
}

#[test]
fn a_reader_killed_before_it_takes_leaves_what_there_is() {
    model(3, || {
        let ring = Ring::new();
        let readers = [true, false].map(|is_killed| {
            let ring = ring.clone();
            thread::spawn(move || {
                let _ = Ring::take(&ring.get, &mut Patience::short());
                if is_killed {
                    // SAFETY: as for a read.
                    let _ = (!ring.positions.is_empty()).then(|| ring.piece.with(|piece| unsafe { *piece }));
                    identity::die();
                    return;
                }
                assert_eq!(ring.read(), 1);
                ring.get.release().unwrap();
            })
        });
        ring.write(1);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
