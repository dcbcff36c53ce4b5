//! A signal handler that does one thing that is safe in one: it adds to an eventfd.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

const SIGNALS: usize = 65;
const NONE: c_int = -1;

static EVENTFDS: [AtomicI32; SIGNALS] = [const { AtomicI32::new(NONE) }; SIGNALS];

extern "C" fn tell(signum: c_int) {
    let Some(slot) = usize::try_from(signum).ok().and_then(|index| EVENTFDS.get(index)) else { return };
    let eventfd = slot.load(Ordering::Relaxed);
    let one = 1u64.to_ne_bytes();
    // SAFETY:
    // - `write` is async-signal-safe, and the buffer is 8 bytes on this stack;
    // - `__errno_location` gives this thread's own errno, which the code that was interrupted may be about to read, so it is
    //   put back.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(eventfd, one.as_ptr().cast(), one.len());
        *errno = before;
    }
}

/// Makes `signum` add 1 to `eventfd`, in whatever thread and state the signal finds the process.
#[pyfunction]
pub fn tell_eventfd(signum: c_int, eventfd: c_int) -> PyResult<()> {
    let slot = usize::try_from(signum)
        .ok()
        .filter(|index| (1..SIGNALS).contains(index))
        .ok_or_else(|| PyValueError::new_err(format!("signum must be from 1 to 64, not {signum}")))?;
    EVENTFDS[slot].store(eventfd, Ordering::Relaxed);
    // SAFETY:
    // - a zeroed `sigaction` is a valid one; its mask is set by `sigemptyset`;
    // - the handler has the signature that goes without SA_SIGINFO, lives as long as the process, and does only what a
    //   handler may.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = tell as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signum, &action, std::ptr::null_mut()) != 0
    };
    if failed {
        EVENTFDS[slot].store(NONE, Ordering::Relaxed);
        return Err(PyOSError::new_err((std::io::Error::last_os_error().raw_os_error(), "sigaction")));
    }
    Ok(())
}
