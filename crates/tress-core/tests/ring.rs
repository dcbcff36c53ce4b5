//! Items through a ring between processes: in order, of any length, and whatever is killed in the middle of one.
#![cfg(not(loom))]

mod embedder;

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;

use embedder::within_bound;
use proptest::prelude::*;
use tress_core::base::deadline::Deadline;
use tress_core::processes::ring::{Getting, LEAST, Next, Ring};

fn content(id: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (id * 31 + at * 7 + at / 251) as u8).collect()
}

fn put(ring: &Ring, bytes: &[u8]) {
    let (one, other) = bytes.split_at(bytes.len() / 3);
    let parts = [one, other];
    let mut putting = ring.put(7, &parts);
    while putting.attempt(None).is_err() {}
}

fn next(getting: &mut Getting<'_>) -> Next {
    loop {
        if let Ok(next) = getting.next(None) {
            return next;
        }
    }
}

fn read(getting: &mut Getting<'_>, len: usize) -> Result<Vec<u8>, Next> {
    let mut into = vec![MaybeUninit::uninit(); len];
    loop {
        match getting.read(&mut into, None) {
            // SAFETY: an item that was read has all its bytes.
            Ok(Next::Item(_)) => return Ok(into.iter().map(|byte| unsafe { byte.assume_init() }).collect()),
            Ok(other) => return Err(other),
            Err(_) => {}
        }
    }
}

fn get(ring: &Ring) -> Result<Vec<u8>, Next> {
    let mut getting = ring.get();
    match next(&mut getting) {
        Next::Item(item) => {
            assert_eq!(item.tag, 7);
            read(&mut getting, item.len)
        }
        other => Err(other),
    }
}

/// Runs `body` in a child, which ends with the thread that made it.
fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: the child calls nothing but the ring, and ends without running anybody's exit handlers. The C library's
    // allocator is usable in it, and no other lock is taken that a thread of the parent may have held.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: it has no preconditions.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        body();
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0, "fork failed");
    pid
}

fn kill(pid: i32) {
    // SAFETY: a child of this process that has not been waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    assert!(libc::WIFSIGNALED(end_of(pid)), "it ended before it was killed");
}

/// Returns once it has stopped.
fn stop(pid: i32) {
    let mut status = 0;
    // SAFETY: a child of this process that nobody else waits for.
    unsafe {
        libc::kill(pid, libc::SIGSTOP);
        assert_eq!(libc::waitpid(pid, &mut status, libc::WUNTRACED), pid);
    }
    assert!(libc::WIFSTOPPED(status), "it ended before it was stopped");
}

fn end_of(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `pid` is a child of this process that nobody else waits for.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    status
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Deadline::after_ns(30_000_000_000);
    while !done() {
        assert!(!end.has_passed(), "{what}");
        std::thread::yield_now();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn items_of_any_length_come_out_as_they_went_in(lens in prop::collection::vec(0usize..3 * LEAST, 1..40)) {
        within_bound(move || {
            let ring = Ring::create(LEAST).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for (id, len) in lens.iter().enumerate() {
                        put(&ring, &content(id, *len));
                    }
                });
                for (id, len) in lens.iter().enumerate() {
                    assert!(get(&ring) == Ok(content(id, *len)), "item {id} of {len} bytes");
                }
            });
            assert!(ring.positions().is_empty());
        });
    }

    #[test]
    fn whatever_is_in_the_memory_nothing_is_read_outside_it(
        words in prop::collection::vec(any::<u64>(), 8), small in any::<bool>(), tail in 0u64..20_000,
    ) {
        within_bound(move || {
            let ring = Ring::create(LEAST).unwrap();
            put(&ring, &content(1, 100));
            for (place, word) in words.iter().enumerate() {
                // Headers that may be true as well as those that never are.
                let word = if small { ((word % 6) << 56) | (word % 5000) } else { *word };
                ring.segment().double_word(place * 8).store(word, Ordering::Relaxed);
            }
            ring.slot().double_word(16).store(tail / 8 * 8, Ordering::Relaxed);
            let mut getting = ring.get();
            while let Some(next) = getting.try_next() {
                let Next::Item(item) = next else { if next == Next::Malformed { break } else { continue } };
                if item.len > 1 << 20 { break }
                let mut into = vec![MaybeUninit::uninit(); item.len];
                match getting.read(&mut into, Some(Deadline::after_ns(0))) {
                    Ok(Next::Item(_)) => {}
                    _ => break,
                }
            }
        });
    }
}

#[test]
fn many_processes_put_and_get_each_item_once() {
    within_bound(|| {
        const EACH: usize = 300;
        let (ring, found) = (Ring::create(LEAST).unwrap(), Ring::create(1 << 20).unwrap());
        let putting: Vec<i32> = (0..3)
            .map(|who| {
                fork(|| {
                    for turn in 0..EACH {
                        put(&ring, &(who * EACH + turn).to_le_bytes().repeat(1 + turn % 300));
                    }
                })
            })
            .collect();
        let getting: Vec<i32> = (0..3)
            .map(|_| {
                fork(|| {
                    for _ in 0..EACH {
                        put(&found, &get(&ring).unwrap());
                    }
                })
            })
            .collect();
        let mut seen = vec![false; 3 * EACH];
        for _ in 0..3 * EACH {
            let bytes = get(&found).unwrap();
            let id = usize::from_le_bytes(bytes[..8].try_into().unwrap());
            assert!(bytes == id.to_le_bytes().repeat(1 + id % EACH % 300));
            assert!(!std::mem::replace(&mut seen[id], true), "item {id} twice");
        }
        for pid in putting.into_iter().chain(getting) {
            assert_eq!(end_of(pid), 0);
        }
    });
}

#[test]
fn a_writer_killed_in_the_middle_loses_its_item_and_no_other() {
    within_bound(|| {
        let ring = Ring::create(LEAST).unwrap();
        put(&ring, b"before");
        let writer = fork(|| put(&ring, &content(1, 4 * LEAST)));
        until("it writes", || ring.positions().is_writer_asleep());
        kill(writer);
        assert_eq!(get(&ring), Ok(b"before".to_vec()));
        assert_eq!(get(&ring), Err(Next::Lost(Some(writer as u32))));
        put(&ring, b"after");
        assert_eq!(get(&ring), Ok(b"after".to_vec()));
    });
}

#[test]
fn the_next_writer_says_that_the_one_before_was_killed() {
    within_bound(|| {
        let ring = Ring::create(LEAST).unwrap();
        let writer = fork(|| put(&ring, &content(1, 4 * LEAST)));
        until("it writes", || ring.positions().is_writer_asleep());
        kill(writer);
        std::thread::scope(|scope| {
            scope.spawn(|| put(&ring, b"after"));
            assert_eq!(get(&ring), Err(Next::Lost(Some(writer as u32))));
            assert_eq!(get(&ring), Ok(b"after".to_vec()));
        });
    });
}

#[test]
fn a_reader_killed_in_the_middle_loses_its_item_and_no_other() {
    within_bound(|| {
        let ring = Ring::create(LEAST).unwrap();
        let (long, last) = (content(1, 8 * LEAST), content(2, 50));
        let writer = fork(|| {
            put(&ring, &long);
            put(&ring, &last);
        });
        until("it writes", || ring.positions().is_writer_asleep());
        // Else it may write so fast that the reader is at the end before it is killed.
        stop(writer);
        let head = ring.positions().head();
        let reader = fork(|| {
            let mut getting = ring.get();
            let Next::Item(item) = next(&mut getting) else { return };
            let mut into = vec![MaybeUninit::uninit(); item.len];
            // What is there of it, and what comes while it looks for more for the first time.
            let _ = getting.read(&mut into, Some(Deadline::after_ns(0)));
            // SAFETY: it has no preconditions.
            unsafe { libc::pause() };
        });
        until("it reads", || ring.positions().head() != head);
        // SAFETY: children of this process that have not been waited for.
        unsafe { libc::kill(reader, libc::SIGKILL) };
        assert!(libc::WIFSIGNALED(end_of(reader)));
        // SAFETY: as above.
        unsafe { libc::kill(writer, libc::SIGCONT) };
        assert_eq!(get(&ring), Err(Next::Lost(Some(reader as u32))));
        assert_eq!(get(&ring), Ok(last));
        assert_eq!(end_of(writer), 0);
    });
}

#[test]
fn what_is_given_up_in_the_middle_is_lost_and_the_ring_goes_on() {
    within_bound(|| {
        let ring = Ring::create(LEAST).unwrap();
        let long = content(1, 4 * LEAST);
        let parts = [&long[..]];
        let mut putting = ring.put(7, &parts);
        while putting.attempt(Some(Deadline::after_ns(0)))
            != Err(tress_core::processes::word::Slept::TimedOut)
        {}
        drop(putting);
        assert_eq!(get(&ring), Err(Next::Lost(None)));
        put(&ring, b"after");
        assert_eq!(get(&ring), Ok(b"after".to_vec()));
    });
}

#[test]
fn the_doorbell_is_ready_as_long_as_there_is_an_item() {
    within_bound(|| {
        use std::os::fd::AsRawFd;
        let ring = Ring::create(LEAST).unwrap();
        put(&ring, b"one");
        let fd = ring.watch().as_raw_fd();
        let is_ready = || {
            let mut ready = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one structure, which outlives the call.
            unsafe { libc::poll(&mut ready, 1, 0) == 1 }
        };
        assert!(is_ready());
        put(&ring, b"two");
        get(&ring).unwrap();
        assert!(is_ready());
        get(&ring).unwrap();
        assert!(!is_ready());
        let child = fork(|| put(&ring, b"three"));
        assert_eq!(end_of(child), 0);
        assert!(is_ready());
        get(&ring).unwrap();
        assert!(!is_ready());
    });
}

#[test]
fn a_ring_is_opened_where_it_was_announced() {
    let ring = Ring::create(LEAST).unwrap();
    let fd = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().unwrap();
    let open = |capacity| Ring::open(ring.slot().clone(), fd(ring.segment().fd()), capacity, fd(ring.bell()));
    put(&ring, b"one");
    assert_eq!(get(&open(LEAST).unwrap()), Ok(b"one".to_vec()));
    assert!(open(2 * LEAST).is_err(), "it is not that long");
    assert!(Ring::create(LEAST + 1).is_err() && Ring::create(64).is_err());
}
