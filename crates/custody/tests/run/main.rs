//! `custody run`, from the outside, on real programs.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod contained;
mod kept;
mod raced;
mod rig;
mod sealed;
mod sockets;
mod verified;
