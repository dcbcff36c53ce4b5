//! Workers in processes of their own that are killed at any moment: each task is answered or lost, once, and the pool goes on.
#![cfg(not(loom))]

mod embedder;
mod processes;

use std::collections::{HashMap, HashSet};

use embedder::within_bound;
use processes::{bytes, content, echo, hire, offer};
use tress_core::base::deadline::Deadline;
use tress_core::processes::arena::Block;
use tress_core::processes::pool::{Answer, INLINE, INLINE_ANSWER, Payload, Pool};

const LENGTHS: [usize; 4] = [0, INLINE + 1, INLINE_ANSWER + 1, 3];

/// Starts a worker in a process of its own; its number and the process's.
fn start(pool: &Pool) -> (u32, i32) {
    let (number, mut worker) = hire(pool);
    // SAFETY: the child calls nothing but the worker's loop, and ends without running anybody's exit handlers. The C library's
    // allocator is usable in it, and no other lock is taken that a thread of the parent may have held.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: neither has preconditions. The first has the child end with the thread that made it, however that ends.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        echo(&mut worker);
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0, "fork failed");
    (number, pid)
}

/// Waits for the end of a child; its status.
fn end_of(pid: i32) -> i32 {
    change_of(pid, 0)
}

fn change_of(pid: i32, options: i32) -> i32 {
    let end = Deadline::after_ns(30_000_000_000);
    let mut status = 0;
    // SAFETY: `pid` is a child of this process that nobody else waits for.
    while unsafe { libc::waitpid(pid, &mut status, options | libc::WNOHANG) } == 0 {
        assert!(!end.has_passed(), "a worker does not end");
        std::thread::yield_now();
    }
    status
}

/// What has become of the tasks.
#[derive(Default)]
struct Ledger {
    expected: HashMap<u64, usize>,
    answered: HashSet<u64>,
    lost: HashSet<u64>,
}

impl Ledger {
    fn hear(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let len = self.expected.remove(&answer.id).expect("offered, and neither answered nor lost");
            assert_eq!(answer.kind, 1);
            assert!(bytes(&answer.payload) == content(answer.id, len), "not what task {} brought", answer.id);
            self.answered.insert(answer.id);
        }
    }

    fn lose(&mut self, lost: Vec<u64>) {
        assert!(lost.len() <= 1, "a worker has one task");
        for id in lost {
            assert!(
                self.expected.remove(&id).is_some(),
                "task {id} was offered, and neither answered nor lost"
            );
            self.lost.insert(id);
        }
    }
}

#[test]
fn each_task_is_answered_or_lost_once_whenever_workers_are_killed() {
    const KILLS: u32 = 300;
    within_bound(|| {
        let pool = Pool::create().unwrap();
        let mut workers = vec![start(&pool), start(&pool)];
        let mut ledger = Ledger::default();
        let mut next_id = 0;
        let mut random = 88172645463325252u64;
        for kill in 0..KILLS {
            // Some of the tasks are done, some begun and some not, and none of the moments is the same.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            for _ in 0..random % 40 {
                let len = LENGTHS[next_id as usize % LENGTHS.len()];
                if offer(&pool, next_id, &content(next_id, len)) {
                    ledger.expected.insert(next_id, len);
                    next_id += 1;
                }
                if random & 64 != 0 {
                    ledger.hear(pool.read());
                }
            }
            for _ in 0..random % 2000 {
                std::hint::spin_loop();
            }
            let (number, pid) = workers.remove(kill as usize % 2);
            // SAFETY: a child of this process that has not been waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            assert!(libc::WIFSIGNALED(end_of(pid)));
            if random & 128 != 0 {
                ledger.hear(pool.read());
            }
            let (answers, lost) = pool.bury(number);
            ledger.hear(answers);
            ledger.lose(lost);
            workers.push(start(&pool));
        }
        // The last of them do what is left.
        while !ledger.expected.is_empty() {
            ledger.hear(processes::collect(&pool));
        }
        pool.close();
        for (number, pid) in workers {
            assert_eq!(end_of(pid), 0);
            let (answers, lost) = pool.bury(number);
            assert!(answers.is_empty() && lost.is_empty());
        }
        assert_eq!((ledger.answered.len() + ledger.lost.len()) as u64, next_id);
        assert_eq!(pool.lent_bytes(), 0);
    });
}

#[test]
fn a_killed_worker_that_was_picked_leaves_its_task_to_others() {
    within_bound(|| {
        let pool = Pool::create().unwrap();
        for id in 0..20 {
            let dies = start(&pool);
            embedder::until("it sleeps", || pool.idle() == 1);
            let lives = start(&pool);
            embedder::until("both sleep", || pool.idle() == 2);
            // SAFETY: children of this process that have not been waited for.
            unsafe { libc::kill(dies.1, libc::SIGSTOP) };
            assert!(libc::WIFSTOPPED(change_of(dies.1, libc::WUNTRACED)));
            // The stopped one is picked first, as it has the lower number.
            assert!(offer(&pool, id, b"") && pool.idle() == 1);
            // SAFETY: as above.
            unsafe { libc::kill(dies.1, libc::SIGKILL) };
            end_of(dies.1);
            let (answers, lost) = pool.bury(dies.0);
            assert!(answers.is_empty() && lost.is_empty());
            let answers = processes::collect(&pool);
            assert!(answers.iter().map(|answer| (answer.id, answer.worker)).eq([(id, lives.0)]));
            // SAFETY: as above.
            unsafe { libc::kill(lives.1, libc::SIGKILL) };
            end_of(lives.1);
            assert!(pool.bury(lives.0).1.is_empty(), "it had answered");
        }
    });
}

#[test]
fn the_child_of_a_fork_gives_no_block_of_its_parents_back() {
    within_bound(|| {
        tress_core::base::fork::install();
        let pool = Pool::create().unwrap();
        let (_, mut worker) = hire(&pool);
        assert!(offer(&pool, 1, &content(1, 100_000)));
        let task = processes::next(&mut worker).unwrap();
        let lent = pool.lent_bytes();
        // SAFETY: as in `start`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(task);
            // SAFETY: `_exit` has no preconditions.
            unsafe { libc::_exit(0) };
        }
        assert_eq!(end_of(pid), 0);
        assert_eq!(pool.lent_bytes(), lent, "it is still with the parent");
        let Payload::Block(block) = task.payload else { panic!("too long for a slot") };
        let _: &Block = &block;
        drop(block);
        assert_eq!(pool.lent_bytes(), 0);
    });
}
