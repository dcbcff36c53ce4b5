//! A piece of memory that several processes see: without a name, sealed, gone with the last process that maps it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// What keeps a mapping from ever reaching beyond the memory: nobody can make that smaller any more.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// How much is committed in one call, which a signal undoes whole on older kernels: little enough to succeed between two ticks of
/// a timer.
const COMMIT: usize = 2 << 20;

/// Memory that is mapped here and, through its file descriptor, wherever that is passed to.
///
/// Any process that has it may change any byte at any time, so it is read and written by atomics, or through raw pointers
/// by whoever a protocol of atomics says is alone with a range.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use tress_core::processes::segment::Segment;
///
/// let one = Segment::create(4096).unwrap();
/// let other = Segment::open(one.fd().try_clone_to_owned().unwrap(), 4096).unwrap();
/// one.word(64).store(7, Ordering::Relaxed);
/// assert_eq!(other.word(64).load(Ordering::Relaxed), 7);
/// assert!(Segment::open(one.fd().try_clone_to_owned().unwrap(), 8192).is_err(), "it is not that long");
/// ```
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; `Segment` itself gives out only atomics and raw pointers.
unsafe impl Send for Segment {}
// SAFETY: as for Send.
unsafe impl Sync for Segment {}

impl Segment {
    /// New memory of `len` bytes, all zero; it takes room only once it is touched.
    ///
    /// # Errors
    /// The kernel's: no file descriptor or no address space left.
    pub fn create(len: usize) -> io::Result<Self> {
        let fd = rustix::fs::memfd_create(c"tress", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        Self::map(fd, len)
    }

    /// The memory behind `fd`, made by [`Segment::create`] of `len` bytes in this process or another.
    ///
    /// # Errors
    /// `InvalidData` if it is no such memory, or of another length; else the kernel's.
    pub fn open(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let sealed = rustix::fs::fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(SEALS));
        if !sealed || rustix::fs::fstat(&fd)?.st_size as u64 != len as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not the shared memory that was announced",
            ));
        }
        Self::map(fd, len)
    }

    fn map(fd: OwnedFd, len: usize) -> io::Result<Self> {
        // SAFETY:
        // - a new mapping at an address of the kernel's choice takes the place of no other;
        // - the file is sealed against shrinking, so every page of the mapping stays backed.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                &fd,
                0,
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { fd, base, len })
    }

    /// What to pass to another process, with [`Segment::len`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "memory, not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Which memory it is: the same number for every mapping of it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn id(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_ino)
    }

    /// The address of `len` bytes from `offset` on.
    ///
    /// # Panics
    /// If they are not all inside.
    #[inline]
    pub fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(offset <= self.len && len <= self.len - offset, "outside the shared memory");
        // SAFETY: the offset is within the mapping, as just checked.
        unsafe { self.base.add(offset) }
    }

    /// The word at `offset`.
    ///
    /// # Panics
    /// If it is not inside, or `offset` is no multiple of 4.
    #[inline]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0, "not aligned");
        // SAFETY: inside and aligned; the mapping lives as long as self; shared memory is accessed by atomics.
        unsafe { self.at(offset, 4).cast().as_ref() }
    }

    /// The double word at `offset`.
    ///
    /// # Panics
    /// If it is not inside, or `offset` is no multiple of 8.
    #[inline]
    pub fn double_word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset % 8 == 0, "not aligned");
        // SAFETY: as for a word.
        unsafe { self.at(offset, 8).cast().as_ref() }
    }

    /// `count` double words from `offset` on.
    ///
    /// # Panics
    /// If they are not inside, or `offset` is no multiple of 8.
    #[inline]
    pub fn double_words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        assert!(offset % 8 == 0, "not aligned");
        // SAFETY: as for a word, each of them.
        unsafe { std::slice::from_raw_parts(self.at(offset, count * 8).cast().as_ptr(), count) }
    }

    /// Copies `parts`, one after the other, to `offset`.
    ///
    /// # Safety
    /// Nobody else, in this process or another, reads or writes the bytes there meanwhile.
    ///
    /// # Panics
    /// If they do not all fit inside.
    pub unsafe fn fill(&self, offset: usize, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut to = self.at(offset, len).as_ptr();
        for part in parts {
            // SAFETY: all of it is inside, as `at` has checked, and the caller's alone.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
        }
    }

    /// Makes sure that the bytes have memory behind them: writing to one that can have none ends the process.
    ///
    /// # Errors
    /// The kernel's: no memory left.
    pub fn commit(&self, offset: usize, len: usize) -> io::Result<()> {
        let (mut from, end) = (offset, offset + len);
        while from < end {
            let step = COMMIT.min(end - from);
            match rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), from as u64, step as u64) {
                Ok(()) => from += step,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives the memory of whole pages back to the system; they read as zero afterwards.
    pub fn discard(&self, offset: usize, len: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // What fails leaves memory in use, and nothing else.
        let _ = rustix::fs::fallocate(&self.fd, flags, offset as u64, len as u64);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and whatever borrows from it borrows from self.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
