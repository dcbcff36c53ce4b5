//! Shared memory: what is refused, and what the system has of it.
#![cfg(not(loom))]

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags};
use tress_core::processes::segment::Segment;

const LEN: usize = 64 << 10;

fn memory(seals: Option<SealFlags>) -> OwnedFd {
    let fd = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, LEN as u64).unwrap();
    if let Some(seals) = seals {
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    }
    fd
}

fn refused(fd: OwnedFd, len: usize) -> bool {
    Segment::open(fd, len).is_err_and(|error| error.kind() == ErrorKind::InvalidData)
}

fn copy(segment: &Segment) -> OwnedFd {
    segment.fd().try_clone_to_owned().unwrap()
}

#[test]
fn nobody_can_change_its_length_any_more() {
    let segment = Segment::create(LEN).unwrap();
    for len in [0, LEN as u64 / 2, 2 * LEN as u64] {
        assert_eq!(rustix::fs::ftruncate(segment.fd(), len), Err(rustix::io::Errno::PERM));
    }
    let more = rustix::fs::fcntl_add_seals(segment.fd(), SealFlags::WRITE);
    assert_eq!(more, Err(rustix::io::Errno::PERM), "nor what may be changed");
}

#[test]
fn memory_that_could_shrink_is_refused() {
    assert!(refused(memory(None), LEN));
    assert!(refused(memory(Some(SealFlags::GROW | SealFlags::SEAL)), LEN));
    assert!(refused(memory(Some(SealFlags::SHRINK | SealFlags::GROW)), LEN), "the seals could be changed");
    assert!(Segment::open(memory(Some(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)), LEN).is_ok());
}

#[test]
fn another_length_and_what_is_no_memory_are_refused() {
    let segment = Segment::create(LEN).unwrap();
    for len in [0, 1, LEN - 1, LEN + 1, 2 * LEN] {
        assert!(refused(copy(&segment), len));
    }
    assert!(refused(std::fs::File::open("/dev/null").unwrap().into(), LEN));
}

#[test]
fn every_mapping_is_of_the_same_memory_and_tells_so() {
    let segment = Segment::create(LEN).unwrap();
    let other = Segment::open(copy(&segment), LEN).unwrap();
    segment.double_word(LEN - 8).store(u64::MAX - 1, Ordering::Relaxed);
    assert_eq!(other.word(LEN - 4).load(Ordering::Relaxed), u32::MAX);
    assert_ne!(segment.at(0, LEN), other.at(0, LEN));
    assert_eq!(segment.id().unwrap(), other.id().unwrap());
    assert_ne!(segment.id().unwrap(), Segment::create(LEN).unwrap().id().unwrap());
    drop(segment);
    assert_eq!(other.double_words(LEN - 16, 2)[1].load(Ordering::Relaxed), u64::MAX - 1);
}

fn panics<R>(access: impl FnOnce() -> R) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(access)).is_err()
}

#[test]
fn what_is_outside_or_not_aligned_panics() {
    let segment = Segment::create(LEN).unwrap();
    assert!(panics(|| segment.at(LEN, 1)) && panics(|| segment.at(1, usize::MAX)));
    assert!(!panics(|| segment.at(LEN, 0)));
    assert!(panics(|| segment.word(LEN).load(Ordering::Relaxed)));
    assert!(panics(|| segment.word(2).load(Ordering::Relaxed)));
    assert!(panics(|| segment.double_word(LEN - 4).load(Ordering::Relaxed)));
    assert!(panics(|| segment.double_words(LEN - 8, 2).len()));
}

/// How much memory the system has given to it.
fn in_use(segment: &Segment) -> u64 {
    rustix::fs::fstat(segment.fd().as_fd()).unwrap().st_blocks as u64 * 512
}

#[test]
fn it_takes_room_when_it_is_touched_or_committed_and_gives_it_back() {
    let segment = Segment::create(64 << 30).unwrap();
    assert_eq!(in_use(&segment), 0);
    segment.word(1 << 30).store(1, Ordering::Relaxed);
    assert!((1..=2 << 20).contains(&in_use(&segment)));
    // In more than one step.
    segment.commit(2 << 30, 5 << 20).unwrap();
    assert!(in_use(&segment) >= 5 << 20);
    segment.word(2 << 30).store(7, Ordering::Relaxed);
    segment.discard(2 << 30, 5 << 20);
    segment.discard(1 << 30, 4096);
    assert_eq!(in_use(&segment), 0);
    assert_eq!(segment.word(2 << 30).load(Ordering::Relaxed), 0);
    assert!(segment.commit(64 << 30, 4096).is_err(), "it is sealed");
}
