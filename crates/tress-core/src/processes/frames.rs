//! Messages in a stream of bytes, as `multiprocessing.connection` writes them.
//!
//! A message is its length and then its bytes. The length is a signed double word of 32 bits, big-endian; a message of more than
//! `i32::MAX` bytes has -1 there, and its length as an unsigned one of 64 bits behind it. Nothing is read ahead: a stream may be
//! waited for, or passed to another process, between any two messages, and what follows must still be in it.
//!
//! Both directions keep how far they have come, so that a call that found the stream full, or empty, goes on where it was.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;

const SHORT: usize = 4;
const LONG: usize = 12;
const LONG_FOLLOWS: i32 = -1;

/// What a message cannot be read for.
#[derive(Debug)]
pub enum Broken {
    /// The stream ended where a length, or a message, was to begin.
    Ended,
    /// The stream ended in the middle.
    Torn,
    /// No message has that length.
    BadLength,
    /// The kernel's, with `WouldBlock` for a stream in which there is nothing at the moment.
    Io(io::Error),
}

impl Broken {
    /// Whether it is merely that there is nothing at the moment.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Reads into memory that need not be initialised; how many bytes, and all of those are. 0 at the end of the stream.
pub trait Source {
    /// As `Read::read`.
    ///
    /// # Errors
    /// The stream's.
    fn read(&mut self, into: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
}

/// Fills `into` from where `have` says it is filled to.
fn fill(source: &mut impl Source, into: &mut [MaybeUninit<u8>], have: &mut usize) -> Result<(), Broken> {
    while *have < into.len() {
        match source.read(&mut into[*have..]) {
            Ok(0) if *have == 0 => return Err(Broken::Ended),
            Ok(0) => return Err(Broken::Torn),
            Ok(count) => *have += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Io(error)),
        }
    }
    Ok(())
}

/// The reading of one message's length.
#[derive(Debug, Default)]
pub struct Length {
    short: [u8; SHORT],
    long: [u8; LONG - SHORT],
    have_short: usize,
    have_long: usize,
}

impl Length {
    /// At the beginning of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads as much as there is; the length when it is complete.
    ///
    /// # Errors
    /// [`Broken`]; after one that is for now, to be called again.
    pub fn read(&mut self, source: &mut impl Source) -> Result<usize, Broken> {
        fill(source, uninitialised(&mut self.short), &mut self.have_short)?;
        match i32::from_be_bytes(self.short) {
            LONG_FOLLOWS => {
                fill(source, uninitialised(&mut self.long), &mut self.have_long)?;
                let length = u64::from_be_bytes(self.long);
                // No object in memory is longer.
                isize::try_from(length).map(|length| length as usize).map_err(|_| Broken::BadLength)
            }
            length => usize::try_from(length).map_err(|_| Broken::BadLength),
        }
    }
}

/// The same bytes, for one who only writes there.
fn uninitialised(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY:
    // - both types have one layout, and the borrow passes on;
    // - bytes that would be made uninitialised there would be read as numbers later: a `Source` writes bytes, or nothing.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}

/// The reading of one message's bytes.
#[derive(Debug, Default)]
pub struct Body {
    have: usize,
}

impl Body {
    /// At the beginning of the bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads as much as there is into `into`, which is the same in each call; all of it is initialised once this returns.
    ///
    /// # Errors
    /// [`Broken`]; after one that is for now, to be called again.
    pub fn read(&mut self, source: &mut impl Source, into: &mut [MaybeUninit<u8>]) -> Result<(), Broken> {
        fill(source, into, &mut self.have)
    }
}

/// A message on its way out.
#[derive(Debug)]
pub struct Outgoing<'a> {
    prefix: [u8; LONG],
    prefix_len: usize,
    body: &'a [u8],
    sent: usize,
}

impl<'a> Outgoing<'a> {
    /// Of these bytes.
    pub fn new(body: &'a [u8]) -> Self {
        let mut prefix = [0; LONG];
        let prefix_len = match i32::try_from(body.len()) {
            Ok(length) => {
                prefix[..SHORT].copy_from_slice(&length.to_be_bytes());
                SHORT
            }
            Err(_) => {
                prefix[..SHORT].copy_from_slice(&LONG_FOLLOWS.to_be_bytes());
                prefix[SHORT..].copy_from_slice(&(body.len() as u64).to_be_bytes());
                LONG
            }
        };
        Self { prefix, prefix_len, body, sent: 0 }
    }

    /// Writes as much as there is room for by `write`, which is given what is left and says how much of it went.
    ///
    /// # Errors
    /// Those of `write`; after `WouldBlock`, to be called again.
    pub fn write(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        loop {
            let prefix = &self.prefix[self.sent.min(self.prefix_len)..self.prefix_len];
            let body = &self.body[self.sent.saturating_sub(self.prefix_len)..];
            let written = match (prefix.is_empty(), body.is_empty()) {
                (true, true) => return Ok(()),
                (true, false) => write(&[IoSlice::new(body)]),
                // Never an empty slice: whoever reads may be gone once it has the rest.
                (false, true) => write(&[IoSlice::new(prefix)]),
                (false, false) => write(&[IoSlice::new(prefix), IoSlice::new(body)]),
            };
            match written {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
