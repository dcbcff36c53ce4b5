//! What a connection has still to write, and whether it is worth gathering.
//!
//! A write goes out at once. But a connection that writes several times in one of the loop's calls, as a server does that sends headers and
//! then a body, would pay for each piece with a call of the kernel and a packet. So once it has done that twice, its small pieces are gathered, and
//! go out together when the call ends, or before: when there are many bytes, when somebody asks how many there are, or when the connection
//! is closed. A call that takes long would hold them back; a connection to which that happens gathers no more.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tress_core::base::deadline::now_ns;

use super::kernel::{is_again, send, send_all};

/// So many bytes are gathered at most: a larger message is worth a call of the kernel.
const MOST_GATHERED: usize = 16 * 1024;

/// Bytes are held back no longer than this, if the program's calls are as short as they should be.
const LONGEST_NS: u64 = 1_000_000;

/// As many pieces as the kernel takes in one call.
const MOST_PIECES: usize = 1024;

/// As many pieces need no memory from the heap to be written.
const FEW_PIECES: usize = 8;

const NO_PIECE: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// Bytes that are to be written.
pub struct Chunk {
    bytes: Py<PyBytes>,
    written: usize,
}

/// What came of an attempt to write.
pub enum Written {
    All,
    Part,
    Failed(io::Error),
}

/// So many calls that have written several times show a habit.
const CALLS_OF_A_HABIT: u8 = 2;

/// Whether pieces are gathered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// So many calls have written several times.
    Unknown(u8),
    Gathers,
    /// They were held back for too long.
    Never,
}

impl Default for Habit {
    fn default() -> Self {
        Self::Unknown(0)
    }
}

/// What is to be done with a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is tried at once.
    Now,
    /// It comes after what is there already.
    Behind,
    /// It is the first that is gathered.
    Gather,
}

#[derive(Default)]
pub struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// How many bytes those are.
    size: usize,
    habit: Habit,
    /// The loop's call in which something was written last, and whether that was counted as one that has written several times.
    last_call: u64,
    is_counted: bool,
    /// When the first of the chunks was gathered; None when they wait for room.
    gathered_at_ns: Option<u64>,
}

impl Outgoing {
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether it is there only to be written together with more.
    pub fn is_gathered(&self) -> bool {
        self.gathered_at_ns.is_some()
    }

    /// What to do with so many bytes. `call` is the loop's call that they are written in, if it is in one, and `began_ns` when its turn began.
    #[inline]
    pub fn way(&mut self, len: usize, call: Option<u64>, began_ns: impl FnOnce() -> u64) -> Way {
        if !self.chunks.is_empty() {
            return Way::Behind;
        }
        let Some(call) = call else { return Way::Now };
        let is_next = self.last_call != call;
        self.last_call = call;
        match self.habit {
            Habit::Unknown(CALLS_OF_A_HABIT) if is_next => self.habit = Habit::Gathers,
            Habit::Unknown(_) if is_next => self.is_counted = false,
            Habit::Unknown(seen) if !self.is_counted && seen < CALLS_OF_A_HABIT => {
                self.is_counted = true;
                if now_ns().saturating_sub(began_ns()) < LONGEST_NS {
                    self.habit = Habit::Unknown(seen + 1);
                }
            }
            _ => {}
        }
        if self.habit == Habit::Gathers && len < MOST_GATHERED { Way::Gather } else { Way::Now }
    }

    /// What is added from now on is written together.
    pub fn gather(&mut self) {
        self.gathered_at_ns = Some(now_ns());
    }

    /// Whether so much is gathered that it is better written now; `limit` is where a protocol would have to pause.
    pub fn is_enough(&self, limit: usize) -> bool {
        self.size >= MOST_GATHERED.min(limit)
    }

    /// Gathers no more; false when nothing was gathered.
    pub fn end_gathering(&mut self) -> bool {
        let Some(since_ns) = self.gathered_at_ns.take() else { return false };
        if now_ns().saturating_sub(since_ns) > LONGEST_NS {
            self.habit = Habit::Never;
        }
        true
    }

    /// Adds what comes after the first `written` bytes.
    pub fn push(&mut self, bytes: Bound<'_, PyBytes>, written: usize) {
        self.size += bytes.as_bytes().len() - written;
        self.chunks.push_back(Chunk { bytes: bytes.unbind(), written });
    }

    /// Takes all of it out, for the caller to drop.
    pub fn take(&mut self) -> VecDeque<Chunk> {
        self.size = 0;
        self.gathered_at_ns = None;
        std::mem::take(&mut self.chunks)
    }

    /// Writes what the kernel takes; the chunks that are done with are for the caller to drop.
    pub fn flush(&mut self, py: Python<'_>, fd: RawFd) -> (Written, Vec<Chunk>) {
        let sent = match self.send(py, fd) {
            Ok(sent) => sent,
            Err(error) if is_again(&error) => 0,
            Err(error) => return (Written::Failed(error), Vec::new()),
        };
        self.size -= sent;
        let mut left = sent;
        let mut done = Vec::new();
        while let Some(first) = self.chunks.front_mut() {
            let size = first.bytes.as_bytes(py).len() - first.written;
            if size > left {
                first.written += left;
                break;
            }
            left -= size;
            done.extend(self.chunks.pop_front());
        }
        (if self.chunks.is_empty() { Written::All } else { Written::Part }, done)
    }

    fn send(&self, py: Python<'_>, fd: RawFd) -> io::Result<usize> {
        let rest = |chunk: &Chunk| -> libc::iovec {
            let bytes = &chunk.bytes.as_bytes(py)[chunk.written..];
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        };
        match self.chunks.len() {
            1 => send(fd, &self.chunks[0].bytes.as_bytes(py)[self.chunks[0].written..]),
            count if count <= FEW_PIECES => {
                let mut pieces = [NO_PIECE; FEW_PIECES];
                for (piece, chunk) in pieces.iter_mut().zip(&self.chunks) {
                    *piece = rest(chunk);
                }
                // SAFETY: the pieces are of objects that the chunks keep alive.
                unsafe { send_all(fd, &pieces[..count]) }
            }
            _ => {
                let pieces: Vec<_> = self.chunks.iter().take(MOST_PIECES).map(rest).collect();
                // SAFETY: as above.
                unsafe { send_all(fd, &pieces) }
            }
        }
    }
}
