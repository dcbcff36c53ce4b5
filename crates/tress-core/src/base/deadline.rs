//! Points in time: absolute, monotonic, so that a wait that is interrupted and goes on keeps its end.

/// An absolute time of the monotonic clock, in nanoseconds.
///
/// ```
/// use tress_core::base::deadline::Deadline;
///
/// assert!(Deadline::after_ns(0).has_passed());
/// assert!(Deadline::after_ns(u64::MAX).remaining_ns() > 0, "for ever");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    ns: u64,
}

/// The monotonic clock now, in nanoseconds.
#[cfg(not(loom))]
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Models have no clock: it stands still at one second. Timeouts come at any moment, and a model says by the time at which
/// it lets a wait begin for how long that wait has lasted.
#[cfg(loom)]
pub fn now_ns() -> u64 {
    1_000_000_000
}

impl Deadline {
    /// The time `timeout_ns` from now; saturates, so that "for ever" expressed as a huge number stays far away.
    pub fn after_ns(timeout_ns: u64) -> Self {
        Self { ns: now_ns().saturating_add(timeout_ns) }
    }

    /// This very time, as the clock of [`now_ns`] tells it.
    pub const fn at_ns(ns: u64) -> Self {
        Self { ns }
    }

    /// Nanoseconds on the monotonic clock.
    pub const fn as_ns(self) -> u64 {
        self.ns
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        now_ns() >= self.ns
    }

    /// Nanoseconds until then, 0 when it has passed.
    pub fn remaining_ns(self) -> u64 {
        self.ns.saturating_sub(now_ns())
    }
}
