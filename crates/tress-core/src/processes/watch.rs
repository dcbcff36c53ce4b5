//! Ending with another process.

use std::io;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

/// Ends this process, at once and whatever it is at, when process `pid` has ended: a thread with a small stack sleeps until then.
///
/// # Errors
/// The kernel's: no file descriptor or no thread left.
pub fn end_with(pid: i32) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(pid) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => end(),
        Err(error) => return Err(error.into()),
    };
    let watch = move || {
        loop {
            let mut fds = [PollFd::new(&process, PollFlags::IN)];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) => end(),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("tress-owner".into()).stack_size(64 << 10).spawn(watch).map(drop)
}

/// Nobody is left whom a clean end would matter to, and any thread may be anywhere.
fn end() -> ! {
    // SAFETY: it ends the process and returns to nobody; no handler runs.
    unsafe { libc::_exit(1) }
}
