//! A ring of frames: against a plain queue, at its edges, and with a writer that writes anything.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tress_core::processes::results::{Frame, Full, HEADER, Ring};
use tress_core::processes::segment::Segment;

const CAPACITY: usize = 512;
const START: usize = 64;
/// What stands before a frame's bytes.
const PREFIX: usize = 24;

/// Two mappings of a ring's memory, and its two sides. There is nothing after its last byte but the end of a page.
fn new_ring() -> (Arc<Segment>, Ring, Ring) {
    let segment = Arc::new(Segment::create(START + HEADER + CAPACITY).unwrap());
    let ring = || Ring::new(Arc::clone(&segment), START, CAPACITY);
    (Arc::clone(&segment), ring(), ring())
}

fn frame(kind: u32, id: u64, payload: &[u8]) -> Frame {
    Frame { kind, id, payload: payload.to_vec() }
}

#[test]
fn a_full_ring_takes_the_next_frame_once_one_is_read() {
    let (_, mut writer, mut reader) = new_ring();
    let largest = vec![9; writer.largest()];
    let fit = CAPACITY / (PREFIX + largest.len()).next_multiple_of(8);
    // Round and round, so that prefixes and payloads lie across the end.
    for round in 0..200 {
        for id in 0..fit as u64 {
            assert_eq!(writer.write(round, id, &[&largest]), Ok(()));
        }
        assert_eq!(writer.write(round, 99, &[&largest]), Err(Full));
        assert_eq!(reader.read().unwrap(), Some(frame(round, 0, &largest)));
        assert_eq!(writer.write(round, 99, &[&largest[1..], &[], &[9]]), Ok(()));
        for id in (1..fit as u64).chain([99]) {
            assert_eq!(reader.read().unwrap(), Some(frame(round, id, &largest)));
        }
        assert_eq!(reader.read().unwrap(), None);
        // A frame of another length moves the place where the next round begins.
        writer.write(0, 0, &[&largest[..round as usize % 32]]).unwrap();
        assert!(reader.read().unwrap().is_some());
    }
}

#[test]
#[should_panic = "too large for the ring"]
fn what_is_too_large_is_refused() {
    let (_, mut writer, _) = new_ring();
    let _ = writer.write(0, 0, &[&[0; CAPACITY / 4], &[0]]);
}

#[test]
fn a_reader_that_is_ahead_leaves_no_room() {
    let (segment, mut writer, _) = new_ring();
    for head in [1, CAPACITY as u64, u64::MAX / 2] {
        segment.double_word(START + 64).store(head, Ordering::SeqCst);
        assert_eq!(writer.write(0, 0, &[b"x"]), Err(Full));
    }
}

#[test]
fn each_rule_that_a_writer_breaks_is_noticed() {
    let largest = CAPACITY as u64 / 4;
    // The length of the frame, that of its payload, and how far the writer says that it has come.
    for (whole, len, tail, is_good) in [
        (32, 8, 32, true),
        (32, 1, 64, true),
        (48, 8, 48, true),
        (32, 8, 31, false),
        (32, 8, 8, false),
        (0, 0, 8, false),
        (0, 0, 64, false),
        (16, 0, 64, false),
        (24, 1, 64, false),
        (33, 8, 64, false),
        (72, 8, 64, false),
        (24 + largest, largest, CAPACITY as u64, true),
        (32 + largest, largest + 1, CAPACITY as u64, false),
        (32, u64::MAX, 64, false),
        (32, u64::MAX - 23, 64, false),
        (32, 8, CAPACITY as u64 + 8, false),
        (32, 8, u64::MAX, false),
    ] {
        let (segment, _, mut reader) = new_ring();
        segment.double_word(START + HEADER).store(whole, Ordering::SeqCst);
        segment.double_word(START + HEADER + 16).store(len, Ordering::SeqCst);
        segment.double_word(START).store(tail, Ordering::SeqCst);
        let read = reader.read();
        assert_eq!(read.is_ok(), is_good, "{whole}, {len}, {tail}: {read:?}");
        assert!(is_good || read.is_err_and(|error| error.kind() == ErrorKind::InvalidData));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u32, u64, Vec<u8>, usize),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<u32>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..=CAPACITY / 4), any::<usize>())
            .prop_map(|(kind, id, payload, cut)| Step::Write(kind, id, payload, cut)),
        Just(Step::Read),
    ]
}

/// Anything that a writer could put where the reader looks: lengths near what would pass, and far from it.
fn nonsense() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..64u64,
        (0..=2 * CAPACITY as u64).prop_map(|near| near & !7),
        (0..64u64).prop_map(|below| u64::MAX - below),
        (0..64u64).prop_map(|below| (u64::from(u32::MAX) - below) & !7),
        any::<u64>(),
    ]
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(steps in prop::collection::vec(step(), 1..80)) {
        let (_, mut writer, mut reader) = new_ring();
        let mut plain = VecDeque::new();
        let mut used = 0;
        let room = |payload: &Vec<u8>| (PREFIX + payload.len()).next_multiple_of(8);
        for step in steps {
            match step {
                Step::Write(kind, id, payload, cut) => {
                    let (one, other) = payload.split_at(cut % (payload.len() + 1));
                    let written = writer.write(kind, id, &[one, other]).is_ok();
                    prop_assert_eq!(written, used + room(&payload) <= CAPACITY);
                    if written {
                        used += room(&payload);
                        plain.push_back(Frame { kind, id, payload });
                    }
                }
                Step::Read => {
                    let expected: Option<Frame> = plain.pop_front();
                    used -= expected.as_ref().map_or(0, |frame| room(&frame.payload));
                    prop_assert_eq!(reader.read().unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn whatever_is_in_the_memory_is_read_as_frames_or_refused(
        good in 0..8usize,
        bytes in prop::collection::vec(any::<u8>(), CAPACITY),
        lengths in prop::collection::vec((0..CAPACITY / 8, nonsense()), 0..64),
        prefix in (nonsense(), nonsense()),
        tails in prop::collection::vec(nonsense(), 1..4),
    ) {
        let (segment, mut writer, mut reader) = new_ring();
        // So that it does not begin at the start.
        for id in 0..good as u64 {
            writer.write(1, id, &[&[0; 70]]).unwrap();
            prop_assert!(reader.read().unwrap().is_some());
        }
        let data = START + HEADER;
        let position = segment.double_word(START + 64).load(Ordering::SeqCst);
        for (at, eight) in bytes.chunks_exact(8).enumerate() {
            let value = u64::from_ne_bytes(eight.try_into().unwrap());
            segment.double_word(data + at * 8).store(value, Ordering::SeqCst);
        }
        for (at, value) in lengths {
            segment.double_word(data + at * 8).store(value, Ordering::SeqCst);
        }
        // Where the reader looks first: the whole length, and that of the payload.
        let at = |offset: u64| data + ((position + offset) as usize & (CAPACITY - 1));
        segment.double_word(at(0)).store(prefix.0, Ordering::SeqCst);
        segment.double_word(at(16)).store(prefix.1, Ordering::SeqCst);
        for tail in tails {
            segment.double_word(START).store(position.wrapping_add(tail), Ordering::SeqCst);
            let mut read = 0;
            loop {
                match reader.read() {
                    Ok(Some(frame)) => {
                        prop_assert!(frame.payload.len() <= reader.largest());
                        read += PREFIX + frame.payload.len();
                        prop_assert!(read <= CAPACITY, "the same bytes twice");
                    }
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert_eq!(error.kind(), ErrorKind::InvalidData);
                        break;
                    }
                }
            }
        }
    }
}
