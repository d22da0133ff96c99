//! A live view of an unmodified Go process, by eBPF.
//!
//! Nothing is written into the target but the kernel's own breakpoints, and these go when the probe goes. Sites are
//! chosen so that a hit costs about a microsecond ([`sites`]); how the programs in the kernel are loaded, attached and
//! read is [`engine`]; each kind of probe is a module beside it. The programs themselves are C, in `bpf/`.
//!
//! What it does not do: it follows no call into C, and does not see calls that the compiler inlined.
//!
//! Duties of the caller: the privilege to load programs (root, or `CAP_BPF` and `CAP_PERFMON`), and draining the ring.
#![forbid(unsafe_code)]

mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod record;
pub mod runtime;
pub mod sites;
pub mod target;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod engine;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod func;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod goroutines;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod http;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod privilege;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod programs;

pub use error::{Error, Result};
pub use target::Target;
