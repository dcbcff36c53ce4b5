//! Watching descriptors, and being woken.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tress_core::coroutines::poller::{Events, Interest, Poller, Ready};

const NEITHER: Interest = Interest { read: false, write: false };
const READ: Interest = Interest { read: true, write: false };
const WRITE: Interest = Interest { read: false, write: true };
const BOTH: Interest = Interest { read: true, write: true };
const BOUND: Duration = Duration::from_secs(60);

fn look(poller: &Poller) -> Vec<Ready> {
    let mut events = Events::new();
    poller.look(&mut events).unwrap();
    events.drain().collect()
}

#[test]
fn a_descriptor_is_ready_for_what_it_is_watched_for() {
    let poller = Poller::new().unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let fd = ours.as_raw_fd();
    poller.watch(ours.as_fd(), false, READ).unwrap();
    assert_eq!(look(&poller), []);
    theirs.write_all(b"x").unwrap();
    assert_eq!(look(&poller), [Ready { fd, interest: READ }]);
    poller.watch(ours.as_fd(), true, BOTH).unwrap();
    assert_eq!(look(&poller), [Ready { fd, interest: BOTH }]);
    ours.read_exact(&mut [0]).unwrap();
    poller.watch(ours.as_fd(), true, WRITE).unwrap();
    assert_eq!(look(&poller), [Ready { fd, interest: WRITE }]);
    poller.watch(ours.as_fd(), true, NEITHER).unwrap();
    assert_eq!(look(&poller), []);
}

#[test]
fn what_is_watched_once_is_ready_once() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let fd = ours.as_raw_fd();
    poller.watch_once(ours.as_fd(), false, READ).unwrap();
    theirs.write_all(b"x").unwrap();
    assert_eq!(look(&poller), [Ready { fd, interest: READ }]);
    assert_eq!(look(&poller), []);
    // Another time, whether or not the caller remembers.
    for is_known in [true, false] {
        poller.watch_once(ours.as_fd(), is_known, READ).unwrap();
        assert_eq!(look(&poller), [Ready { fd, interest: READ }]);
        assert_eq!(look(&poller), []);
    }
    poller.watch(ours.as_fd(), true, READ).unwrap();
    assert_eq!(look(&poller), [Ready { fd, interest: READ }]);
    assert_eq!(look(&poller), [Ready { fd, interest: READ }]);
}

#[test]
fn what_is_left_of_a_closed_descriptor_is_never_ready() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let copy = ours.try_clone().unwrap();
    poller.watch_once(ours.as_fd(), false, READ).unwrap();
    theirs.write_all(b"x").unwrap();
    assert_eq!(look(&poller).len(), 1);
    drop(ours);
    theirs.write_all(b"x").unwrap();
    assert_eq!(look(&poller), []);
    // The copy is a descriptor of its own.
    poller.watch_once(copy.as_fd(), false, READ).unwrap();
    assert_eq!(look(&poller), [Ready { fd: copy.as_raw_fd(), interest: READ }]);
}

#[test]
fn the_end_of_the_other_side_counts_as_both() {
    let poller = Poller::new().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    poller.watch(ours.as_fd(), false, READ).unwrap();
    drop(theirs);
    assert_eq!(look(&poller), [Ready { fd: ours.as_raw_fd(), interest: BOTH }]);
}

#[test]
fn a_descriptor_that_was_closed_without_a_word_is_no_trouble() {
    let poller = Poller::new().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    poller.watch(ours.as_fd(), false, READ).unwrap();
    let number = ours.as_raw_fd();
    drop(ours);
    // The lowest number that is free is the one that was closed.
    let (next, mut other) = UnixStream::pair().unwrap();
    if next.as_raw_fd() == number {
        // To whoever watches it is still the descriptor that it was.
        poller.watch(next.as_fd(), true, BOTH).unwrap();
        other.write_all(b"x").unwrap();
        assert_eq!(look(&poller), [Ready { fd: number, interest: BOTH }]);
    }
    drop(theirs);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let poller = Poller::new().unwrap();
    let directory = std::fs::File::open("/").unwrap();
    let error = poller.watch(directory.as_fd(), false, READ).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_ring_wakes_a_sleeper_and_is_not_kept_for_the_next() {
    let poller = Poller::new().unwrap();
    std::thread::scope(|scope| {
        poller.begin();
        scope.spawn(|| poller.ring());
        let began = Instant::now();
        poller.sleep(&mut Events::new(), Some(BOUND)).unwrap();
        poller.end();
        assert!(began.elapsed() < BOUND);
    });
    // It is awake: nobody needs to be woken, and the next sleep is not cut short.
    poller.ring();
    poller.begin();
    let (began, short) = (Instant::now(), Duration::from_micros(1500));
    poller.sleep(&mut Events::new(), Some(short)).unwrap();
    poller.end();
    assert!(began.elapsed() >= short);
}
