//! A letter finds its reader, wherever that is, and nobody touches the place while it is the other's, over all interleavings with at
//! most three preemptions. A reader that is told of nothing is a model that cannot go on.
#![cfg(loom)]

mod sleeping;

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use sleeping::Word;
use tress_core::processes::letter::{ASLEEP, Letter, Whom};

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// How a reader waits.
#[derive(Clone, Copy)]
enum Reader {
    /// It sleeps on the word until it is woken.
    Sleeps,
    /// Its sleep is over at once, and it watches the stream.
    Watches,
    /// Whichever comes: its first sleep is over at once, and may have been ended by a wake-up that comes late.
    Dozes,
}

struct Place {
    word: Word,
    message: UnsafeCell<u32>,
    /// Messages in the stream that say nothing.
    stream: Mutex<u32>,
    written: Condvar,
}

impl Place {
    fn new() -> Self {
        Self {
            word: Word::new(),
            message: UnsafeCell::new(0),
            stream: Mutex::new(0),
            written: Condvar::new(),
        }
    }

    fn letter(&self) -> Letter<'_> {
        Letter::new(&self.word.word)
    }

    fn send(&self, message: u32) {
        assert!(!self.letter().is_there(), "it has been answered");
        // SAFETY: without a message the place is the writer's: the model checks it.
        self.message.with_mut(|place| unsafe { *place = message });
        match self.letter().post() {
            Whom::Nobody => {}
            Whom::Sleeper => self.word.wake(),
            Whom::Watcher => {
                *self.stream.lock().unwrap() += 1;
                self.written.notify_one();
            }
        }
    }

    fn watch(&self) {
        let mut stream = self.stream.lock().unwrap();
        while *stream == 0 {
            stream = self.written.wait(stream).unwrap();
        }
        *stream -= 1;
        assert!(self.letter().is_there(), "it is announced after it was written");
    }

    fn receive(&self, reader: Reader) -> u32 {
        let letter = self.letter();
        while !letter.is_there() {
            if !letter.before_sleep() {
                continue;
            }
            if matches!(reader, Reader::Sleeps) {
                self.word.sleep(ASLEEP);
            } else if matches!(reader, Reader::Dozes) {
                thread::yield_now();
            }
            letter.after_sleep();
            if !matches!(reader, Reader::Sleeps) && letter.before_watch() {
                self.watch();
            }
        }
        // SAFETY: while there is a message the place is the reader's: the model checks it.
        let message = self.message.with(|place| unsafe { *place });
        letter.taken();
        message
    }
}

fn converse(asking: Reader, answering: Reader, times: u32) {
    model(move || {
        let both = Arc::new((Place::new(), Place::new()));
        let other = both.clone();
        let answers = thread::spawn(move || {
            for _ in 0..times {
                let asked = other.0.receive(answering);
                other.1.send(asked + 1);
            }
        });
        for number in 0..times {
            both.0.send(number * 10);
            assert_eq!(both.1.receive(asking), number * 10 + 1);
        }
        answers.join().unwrap();
        assert_eq!((*both.0.stream.lock().unwrap(), *both.1.stream.lock().unwrap()), (0, 0));
    });
}

#[test]
fn both_sleep() {
    converse(Reader::Sleeps, Reader::Sleeps, 2);
}

#[test]
fn both_watch() {
    converse(Reader::Watches, Reader::Watches, 2);
}

#[test]
fn one_sleeps_and_the_other_watches() {
    converse(Reader::Sleeps, Reader::Watches, 2);
    converse(Reader::Watches, Reader::Sleeps, 2);
}

#[test]
fn one_dozes() {
    converse(Reader::Dozes, Reader::Sleeps, 2);
    converse(Reader::Sleeps, Reader::Dozes, 2);
}
