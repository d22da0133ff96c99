//! The platform's part. Each platform supplies:
//!
//! - `Signals::hold()`: takes the signals that the supervisor answers to away from their default actions, before any
//!   thread is started; `Signals::next(timeout)`: the next of them, in order.
//! - `Socket`: a listening socket, open for as long as the value lives.
//! - `Unit::new(containment)`: keeps every descendant of what `start` starts findable, whatever it does to itself;
//!   `Unit::{members, ask, kill}` over all of them.
//! - `start(launch, unit, gate)`: a new process image, mapped and measured, that has not run one instruction when
//!   `gate` is asked, and never runs one when `gate` refuses.
//! - `reap()`: the endings of children, with what they used.
//!
//! A platform that cannot keep one of these promises supplies none of them and refuses ([`crate::SuperviseError::Platform`]).

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod platform;

#[cfg(target_os = "linux")]
pub(crate) use platform::read_lines;
pub(crate) use platform::{Child, Notice, Pid, Reaped, Signal, Unit, means_stop, reap, start};
pub use platform::{Signals, Socket};
