//! Descriptors: never waiting unless asked to, and leaving their flags alone.
#![cfg(not(loom))]

use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use tress_core::base::deadline::Deadline;
use tress_core::processes::frames::Source;
use tress_core::processes::wire::{Kind, Ready, Several, Wire};
use tress_core::processes::word::Slept;

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two numbers there, of descriptors that nobody else has.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

fn exercise(reader: impl AsFd, writer: impl AsFd, kind: Kind) {
    assert_eq!((Kind::of(reader.as_fd()), Kind::of(writer.as_fd())), (kind, kind));
    let (mut from, to) = (Wire::new(reader.as_fd(), kind), Wire::new(writer.as_fd(), kind));
    let mut into = vec![MaybeUninit::new(0); 1 << 20];
    assert_eq!(from.read(&mut into).unwrap_err().kind(), ErrorKind::WouldBlock);
    let soon = || Some(Deadline::after_ns(1_000_000));
    assert_eq!(from.wait(Ready::Read, soon()).unwrap(), Slept::TimedOut);
    assert_eq!(to.wait(Ready::Write, None).unwrap(), Slept::Woken);
    let (one, two) = (vec![1; 1 << 16], vec![2; 1 << 16]);
    let mut written = 0;
    let full = loop {
        match to.write(&[IoSlice::new(&one), IoSlice::new(&two)]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert_eq!(to.wait(Ready::Write, soon()).unwrap(), Slept::TimedOut);
    assert_eq!(from.wait(Ready::Read, None).unwrap(), Slept::Woken);
    let mut read = 0;
    while let Ok(count) = from.read(&mut into) {
        read += count;
    }
    assert_eq!(read, written);
    assert!(!from.is_nonblocking() && !to.is_nonblocking());
    drop(writer);
    assert_eq!(from.wait(Ready::Read, None).unwrap(), Slept::Woken);
    assert_eq!(from.read(&mut into).unwrap(), 0);
}

#[test]
fn sockets() {
    let (one, other) = UnixStream::pair().unwrap();
    exercise(one, other, Kind::Socket);
}

#[test]
fn pipes() {
    let (reader, writer) = pipe();
    exercise(reader, writer, Kind::Pipe);
}

#[test]
fn descriptors_of_another_kind_are_asked_first() {
    let (reader, writer) = pipe();
    let (mut from, to) = (Wire::new(reader.as_fd(), Kind::Other), Wire::new(writer.as_fd(), Kind::Other));
    assert!(!from.never_waits());
    let mut into = [MaybeUninit::new(0); 8];
    assert_eq!(from.read(&mut into).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(to.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).unwrap(), 3);
    assert_eq!(from.read(&mut into).unwrap(), 3);
    assert_eq!(Kind::of(File::open("/dev/null").unwrap().as_fd()), Kind::Other);
}

#[test]
fn several_are_told_apart() {
    let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
    let mut several = Several::new(pairs.iter().map(|(one, _)| one.as_fd()));
    assert_eq!(several.wait(Some(Deadline::at_ns(0))).unwrap(), Slept::TimedOut);
    assert!(several.ready().is_empty());
    for place in [0, 2] {
        let other = &pairs[place].1;
        Wire::new(other.as_fd(), Kind::Socket).write(&[IoSlice::new(b"x")]).unwrap();
    }
    assert_eq!(several.wait(None).unwrap(), Slept::Woken);
    assert_eq!(several.ready(), [0, 2]);
}
