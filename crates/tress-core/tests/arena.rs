//! Blocks that are lent: what is whose, and what the system has of them.
#![cfg(not(loom))]

use std::io::ErrorKind;
use std::sync::Arc;

use proptest::prelude::*;
use tress_core::processes::arena::{Arena, Block, Lease, WARM};
use tress_core::processes::segment::Segment;

const START: usize = 4096;
const MIB: usize = 1 << 20;

struct Lender {
    arena: Arena,
    segment: Arc<Segment>,
}

impl Lender {
    fn with_room(room: usize) -> Self {
        let segment = Arc::new(Segment::create(START + room).unwrap());
        Self { arena: Arena::new(Arc::clone(&segment), START, START + room), segment }
    }

    fn lend(&mut self, bytes: &[u8]) -> Result<Lease, ErrorKind> {
        self.arena.lend(&[bytes]).map_err(|error| error.kind())
    }

    fn borrow(&self, lease: Lease, len: usize) -> Block {
        Block::borrow(&self.segment, START, lease.offset, len).unwrap()
    }

    fn in_use(&self) -> usize {
        rustix::fs::fstat(self.segment.fd()).unwrap().st_blocks as usize * 512
    }
}

fn bytes(block: &Block) -> &[u8] {
    // SAFETY: inside the mapping that the block keeps; nobody writes there while it is lent.
    unsafe { std::slice::from_raw_parts(block.as_ptr(), block.len()) }
}

#[test]
fn parts_lie_one_after_the_other_and_aligned() {
    let mut lender = Lender::with_room(MIB);
    let lease = lender.arena.lend(&[b"one", b"", b"two"]).unwrap();
    assert_eq!(lease.offset % 64, 0);
    assert_eq!(bytes(&lender.borrow(lease, 6)), b"onetwo");
}

#[test]
fn a_block_that_is_back_is_lent_again_and_an_old_lease_is_of_no_use() {
    let mut lender = Lender::with_room(8192);
    let first = lender.lend(&[1; 5000]).unwrap();
    assert!(lender.arena.is_lent(first));
    assert_eq!(lender.lend(&[2; 5000]), Err(ErrorKind::StorageFull));
    drop(lender.borrow(first, 5000));
    assert!(!lender.arena.is_lent(first));
    let second = lender.lend(&[2; 5000]).unwrap();
    assert_eq!((second.offset, second == first), (first.offset, false));
    assert!(lender.arena.is_lent(second) && !lender.arena.is_lent(first));
    lender.arena.take_back(first);
    assert!(lender.arena.is_lent(second), "it is another's now");
    assert_eq!(lender.lend(&[3; 5000]), Err(ErrorKind::StorageFull));
    lender.arena.take_back(second);
    lender.arena.take_back(second);
    assert_eq!((lender.arena.is_lent(second), lender.arena.lent_bytes()), (false, 0));
    assert!(lender.lend(&[3; 5000]).is_ok());
}

#[test]
fn what_can_never_fit_is_refused() {
    let mut lender = Lender::with_room(MIB);
    assert_eq!(lender.lend(&vec![0; MIB]), Err(ErrorKind::StorageFull));
    assert!(lender.lend(&vec![0; MIB - 64]).is_ok());
}

#[test]
fn blocks_of_other_lengths_make_room() {
    let mut lender = Lender::with_room(MIB);
    let leases = [100_000, 300_000, 500_000].map(|len| (lender.lend(&vec![1; len]).unwrap(), len));
    for (lease, len) in leases {
        drop(lender.borrow(lease, len));
    }
    // There is none of that length, and no room for a new one, but nothing is lent.
    let large = lender.lend(&vec![2; 900_000]).unwrap();
    lender.arena.take_back(large);
    // A larger one for a smaller.
    let small = lender.lend(&vec![3; 200_000]).unwrap();
    assert_eq!(small.offset, large.offset);
    assert!(lender.arena.lent_bytes() >= 900_000, "all of it is lent");
}

#[test]
fn memory_of_blocks_that_are_back_is_kept_up_to_a_bound() {
    let mut lender = Lender::with_room(2 * WARM);
    let some = vec![7; WARM / 8];
    let leases: Vec<_> = (0..10).map(|_| lender.lend(&some).unwrap()).collect();
    assert!(lender.in_use() >= WARM + WARM / 4);
    for lease in leases {
        lender.arena.take_back(lease);
    }
    let kept = lender.in_use();
    assert!((WARM / 2..=WARM + 2 * MIB).contains(&kept), "{kept}");
    let again: Vec<_> = (0..10).map(|_| lender.lend(&some).unwrap()).collect();
    for lease in again {
        assert_eq!(bytes(&lender.borrow(lease, some.len())), some);
    }
}

#[test]
fn a_very_large_block_gives_its_memory_back_at_once() {
    let mut lender = Lender::with_room(2 * WARM);
    let lease = lender.lend(&vec![7; WARM + MIB]).unwrap();
    assert!(lender.in_use() > WARM);
    drop(lender.borrow(lease, WARM + MIB));
    assert!(lender.in_use() <= 2 * MIB, "its lender has not looked yet");
    assert_eq!(lender.arena.lent_bytes(), 0);
}

#[test]
fn what_can_be_no_block_is_refused() {
    let segment = Arc::new(Segment::create(START + MIB).unwrap());
    let refused = |offset: usize, len: usize| {
        Block::borrow(&segment, START, offset, len).is_err_and(|error| error.kind() == ErrorKind::InvalidData)
    };
    for (offset, len) in [
        (0, 1),
        (START, 1),
        (START + 32, 1),
        (START + 65, 1),
        (START + 64, MIB - 63),
        (START + 64, usize::MAX),
        (START + MIB + 64, 0),
        (usize::MAX - 63, 64),
    ] {
        assert!(refused(offset, len), "{offset}, {len}");
    }
    assert!(!refused(START + 64, MIB - 64) && !refused(START + MIB, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Lend(usize),
    /// One of those that are lent is dropped by its borrower, or taken back by its lender.
    GiveBack(usize),
    TakeBack(usize),
    /// One that was lent at some time, whatever became of it, is taken back once more.
    TakeBackOld(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0..20_000usize, Just(4096 - 64), Just(4096 - 63), 0..150_000usize];
    prop_oneof![
        6 => len.prop_map(Step::Lend),
        3 => any::<usize>().prop_map(Step::GiveBack),
        2 => any::<usize>().prop_map(Step::TakeBack),
        1 => any::<usize>().prop_map(Step::TakeBackOld),
    ]
}

proptest! {
    #[test]
    fn a_block_is_one_borrowers_until_it_is_back(steps in prop::collection::vec(step(), 1..120)) {
        const ROOM: usize = 256 << 10;
        let mut lender = Lender::with_room(ROOM);
        let mut live: Vec<(Lease, Vec<u8>)> = Vec::new();
        let mut old: Vec<Lease> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Lend(len) => match lender.lend(&vec![number as u8; len]) {
                    Ok(lease) => live.push((lease, vec![number as u8; len])),
                    Err(error) => {
                        prop_assert_eq!(error, ErrorKind::StorageFull);
                        prop_assert!(!live.is_empty(), "there is room for each of them alone");
                    }
                },
                Step::GiveBack(which) if !live.is_empty() => {
                    let (lease, content) = live.swap_remove(which % live.len());
                    drop(lender.borrow(lease, content.len()));
                    old.push(lease);
                }
                Step::TakeBack(which) if !live.is_empty() => {
                    let (lease, _) = live.swap_remove(which % live.len());
                    lender.arena.take_back(lease);
                    old.push(lease);
                }
                Step::TakeBackOld(which) if !old.is_empty() => lender.arena.take_back(old[which % old.len()]),
                _ => {}
            }
            for (lease, content) in &live {
                prop_assert!(lender.arena.is_lent(*lease));
                let block = lender.borrow(*lease, content.len());
                prop_assert!(bytes(&block) == content, "somebody else wrote there");
                std::mem::forget(block);
            }
            prop_assert!(!old.iter().any(|lease| lender.arena.is_lent(*lease)));
            let needed: usize = live.iter().map(|(_, content)| content.len()).sum();
            let lent = lender.arena.lent_bytes();
            prop_assert!(lent >= needed && lent <= ROOM && (lent == 0) == live.is_empty());
        }
    }
}
