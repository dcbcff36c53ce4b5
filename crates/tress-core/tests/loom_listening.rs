//! Nothing that a worker has written stays unread while leader and collector sleep, over all interleavings with at most three
//! preemptions: a wake-up that is lost is a model that cannot go on.
#![cfg(loom)]

mod sleeping;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use sleeping::Word;
use tress_core::processes::idle::Idle;
use tress_core::processes::listening::{Listening, Whom};

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// A file descriptor that is readable or not.
struct Counter {
    readable: Mutex<bool>,
    written: Condvar,
}

impl Counter {
    fn write(&self) {
        *self.readable.lock().unwrap() = true;
        self.written.notify_one();
    }

    fn wait_and_read(&self) {
        let mut readable = self.readable.lock().unwrap();
        while !*readable {
            readable = self.written.wait(readable).unwrap();
        }
        *readable = false;
    }
}

struct Pool {
    word: AtomicU32,
    posted: [AtomicU64; 1],
    bell: Word,
    collector: Counter,
    /// How many answers each of two workers has written that have not been read.
    written: [AtomicU32; 2],
    /// How many answers have been read: what everybody here waits for.
    read: AtomicU32,
    expected: u32,
}

impl Pool {
    fn expecting(answers: u32) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU32::new(0),
            posted: [AtomicU64::new(0)],
            bell: Word::new(),
            collector: Counter { readable: Mutex::new(false), written: Condvar::new() },
            written: [AtomicU32::new(0), AtomicU32::new(0)],
            read: AtomicU32::new(0),
            expected: answers,
        })
    }

    fn posted(&self) -> Idle<'_> {
        Idle::new(&self.posted)
    }

    fn listening(&self) -> Listening<'_> {
        Listening::new(&self.word, self.posted())
    }

    fn ring(&self) {
        self.bell.word.fetch_add(1, Ordering::SeqCst);
        self.bell.wake();
    }

    fn wake(&self, whom: Whom) {
        match whom {
            Whom::Nobody => {}
            Whom::Leader => self.ring(),
            Whom::Collector => self.collector.write(),
        }
    }

    /// Whether there was anything to read.
    fn read(&self) -> bool {
        let posted = self.posted().take_all();
        let read = posted.iter().map(|worker| self.written[*worker as usize].swap(0, Ordering::SeqCst)).sum();
        self.read.fetch_add(read, Ordering::SeqCst);
        read > 0
    }

    /// What a worker does to answer; whom it is to wake then.
    fn write(&self, worker: u32) -> Whom {
        self.written[worker as usize].fetch_add(1, Ordering::SeqCst);
        self.listening().post(worker)
    }

    fn has_read(&self, answers: u32) -> bool {
        self.read.load(Ordering::SeqCst) >= answers
    }

    /// Waits until so many answers have been read, as the leader if it can become that.
    fn lead(&self, answers: u32) {
        if self.listening().lead() {
            let mut heard = self.bell.word.load(Ordering::SeqCst);
            while !self.has_read(answers) {
                if self.listening().before_leader_sleeps() {
                    self.bell.sleep(heard);
                }
                self.listening().after_leader_slept();
                heard = self.bell.word.load(Ordering::SeqCst);
                self.read();
            }
            self.wake(self.listening().stop_leading());
            if self.has_read(self.expected) {
                // Nobody else tells the collector that all is over.
                self.collector.write();
            }
        }
    }

    fn collect(&self) {
        while !self.has_read(self.expected) {
            self.wake(self.listening().before_collector_sleeps());
            self.collector.wait_and_read();
            self.listening().after_collector_slept();
            if self.read() && self.listening().is_led() {
                self.ring();
            }
        }
    }
}

fn start(pool: &Arc<Pool>, body: impl FnOnce(&Pool) + 'static) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || body(&pool))
}

fn worker(pool: &Arc<Pool>, number: u32) -> thread::JoinHandle<()> {
    start(pool, move |pool| pool.wake(pool.write(number)))
}

#[test]
fn the_collector_reads_what_two_workers_write() {
    model(3, || {
        let pool = Pool::expecting(2);
        let workers = [worker(&pool, 0), worker(&pool, 1)];
        pool.collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn leader_or_collector_reads_what_a_worker_writes() {
    model(3, || {
        let pool = Pool::expecting(1);
        let others = [worker(&pool, 0), start(&pool, |pool| pool.lead(1))];
        pool.collect();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn what_comes_when_the_leader_stops_is_the_collectors() {
    model(2, || {
        let pool = Pool::expecting(2);
        let others = [worker(&pool, 0), worker(&pool, 1), start(&pool, |pool| pool.lead(1))];
        pool.collect();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn one_leader_follows_another() {
    model(2, || {
        let pool = Pool::expecting(2);
        let others = [
            start(&pool, |pool| {
                pool.wake(pool.write(0));
                pool.wake(pool.write(0));
            }),
            start(&pool, |pool| pool.lead(1)),
            start(&pool, |pool| pool.lead(2)),
        ];
        pool.collect();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn a_worker_that_dies_before_it_wakes_anybody_keeps_nothing_unread() {
    model(3, || {
        let pool = Pool::expecting(1);
        let leader = start(&pool, |pool| pool.lead(1));
        let dies = start(&pool, |pool| {
            let _ = pool.write(0);
        });
        let collector = start(&pool, Pool::collect);
        dies.join().unwrap();
        // What is done for a worker that is found dead.
        pool.collector.write();
        if pool.listening().is_led() {
            pool.ring();
        }
        collector.join().unwrap();
        leader.join().unwrap();
    });
}

#[test]
fn a_leader_sees_what_happens_as_it_begins() {
    model(3, || {
        let pool = Pool::expecting(0);
        let _ = pool.listening().before_collector_sleeps();
        let happened = Arc::new(AtomicU32::new(0));
        let other = happened.clone();
        let happens = start(&pool, move |pool| {
            other.store(1, Ordering::Relaxed);
            if pool.listening().is_led() {
                pool.ring();
            }
        });
        assert!(pool.listening().lead());
        let mut heard = pool.bell.word.load(Ordering::SeqCst);
        while happened.load(Ordering::Relaxed) == 0 {
            assert!(pool.listening().before_leader_sleeps());
            pool.bell.sleep(heard);
            pool.listening().after_leader_slept();
            heard = pool.bell.word.load(Ordering::SeqCst);
        }
        happens.join().unwrap();
    });
}
