//! Small shared objects, in one process and in its children.
#![cfg(not(loom))]

mod embedder;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use embedder::{fork_and_join, within_bound};
use tress_core::base::fork;
use tress_core::processes::segment::Segment;
use tress_core::processes::slots::{SEGMENT, SLOT, Slot};

/// Slots come from one place in a process, and so do generations: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone(body: impl FnOnce() + Send + 'static) {
    within_bound(|| {
        let _guard = ALONE.lock();
        fork::install();
        body();
    });
}

fn fd(slot: &Slot) -> OwnedFd {
    slot.segment().fd().try_clone_to_owned().unwrap()
}

fn place(slot: &Slot) -> (u64, usize) {
    (slot.segment().id().unwrap(), slot.offset())
}

/// Whether `child` says yes in a child of this process.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    fork_and_join(|| i32::from(!child())) == 0
}

#[test]
fn many_slots_share_a_segment_and_none_a_place() {
    alone(|| {
        let slots: Vec<_> = (0..3 * SEGMENT / SLOT).map(|_| Slot::new().unwrap()).collect();
        let places: HashSet<_> = slots.iter().map(place).collect();
        let segments: HashSet<_> = places.iter().map(|place| place.0).collect();
        assert_eq!(places.len(), slots.len());
        assert!((3..=4).contains(&segments.len()), "{}", segments.len());
        for (slot, number) in slots.iter().zip(1..) {
            assert_eq!(slot.double_word(SLOT - 8).swap(number, Ordering::Relaxed), 0, "new, or another's");
            slot.word(0).store(u32::MAX, Ordering::Relaxed);
        }
        assert!(
            slots.iter().zip(1..).all(|(slot, n)| slot.double_word(SLOT - 8).load(Ordering::Relaxed) == n)
        );
    });
}

#[test]
fn a_slot_that_is_opened_is_the_same_and_its_segment_is_mapped_once() {
    alone(|| {
        let (one, other) = (Slot::new().unwrap(), Slot::new().unwrap());
        let opened = Slot::open(fd(&one), one.offset(), SLOT).unwrap();
        opened.word(4).store(5, Ordering::Relaxed);
        assert_eq!(one.word(4).load(Ordering::Relaxed), 5);
        let again = Slot::open(fd(&one), one.offset(), SLOT).unwrap();
        assert!(std::ptr::eq(again.segment(), opened.segment()));
        if one.segment().id().unwrap() == other.segment().id().unwrap() {
            let opened_other = Slot::open(fd(&other), other.offset(), SLOT).unwrap();
            assert!(std::ptr::eq(opened_other.segment(), opened.segment()));
        }
    });
}

#[test]
fn what_can_be_no_slot_is_refused() {
    alone(|| {
        let slot = Slot::new().unwrap();
        for offset in [1, SLOT - 1, SLOT + 8, SEGMENT, SEGMENT + SLOT, usize::MAX - SLOT + 1] {
            let error = Slot::open(fd(&slot), offset, SLOT).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::InvalidData), "{offset}");
        }
        let other = Segment::create(2 * SEGMENT).unwrap().fd().try_clone_to_owned().unwrap();
        assert!(Slot::open(other, 0, SLOT).is_err_and(|error| error.kind() == ErrorKind::InvalidData));
    });
}

#[test]
fn a_child_makes_its_own_and_shares_what_it_inherits() {
    alone(|| {
        let inherited = Slot::new().unwrap();
        assert!(in_child(|| {
            let own = Slot::new().unwrap();
            inherited.word(8).store(9, Ordering::SeqCst);
            let grandchild = in_child(|| place(&Slot::new().unwrap()).0 != place(&own).0);
            grandchild && place(&own).0 != place(&inherited).0 && own.word(0).load(Ordering::SeqCst) == 0
        }));
        assert_eq!(inherited.word(8).load(Ordering::SeqCst), 9);
        let next = Slot::new().unwrap();
        assert_ne!(place(&next), place(&inherited));
    });
}

#[test]
fn a_fork_beside_threads_that_make_slots_leaves_no_lock_behind() {
    alone(|| {
        let stop = AtomicBool::new(false);
        let one = Slot::new().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let slot = Slot::new().unwrap();
                        drop(Slot::open(fd(&slot), slot.offset(), SLOT).unwrap());
                    }
                });
            }
            let fine = (0..100).all(|_| {
                in_child(|| Slot::new().is_ok() && Slot::open(fd(&one), one.offset(), SLOT).is_ok())
            });
            stop.store(true, Ordering::Relaxed);
            assert!(fine);
        });
    });
}
