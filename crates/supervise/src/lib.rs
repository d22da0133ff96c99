//! Starts a program only if it is the one that was sealed, and keeps it.
//!
//! # What it does
//! - **Verified start.** The program is executed into a stop in the kernel, before its first instruction. What was
//!   mapped is hashed there, while the kernel denies writing to it, and shown to the caller's [`Verify`]. Refused, it
//!   is killed where it stands; accepted, it is let go. Every restart is verified again.
//! - **Sockets** are opened once and handed to each process ([`Socket`], `sd_listen_fds(3)`); while the service is
//!   down, connections wait.
//! - **Restarts** follow the meaning of the exit code ([`Policy`]).
//! - **Descendants** are kept in a control group, or found by descent, so that none outlives a stop.
//! - **Facts** ([`Fact`]) tell the caller each step.
//!
//! # What it does not
//! - It protects the start, not the run: who may `ptrace` the service or write `/proc/PID/mem` (root, and often the
//!   same user) can change it later.
//! - It measures the executable and its dynamic loader. Libraries, plugins and data that the program opens by itself
//!   are not measured. Go programs without cgo have none.
//! - The kernel's write denial is as good as the file system below: whoever writes to the block device, or changes a
//!   file on a server, bypasses it. Network and user-space file systems are refused unless asked for
//!   ([`Supervisor::accept_remote`]). The loader is not covered by the denial once it is mapped.
//! - It knows no seals: what is acceptable is the caller's verdict.
//!
//! # Your duties
//! Hold the [`Signals`] before any thread starts; call [`Supervisor::run`] in a process that has no other children.
//!
//! ```no_run
//! use supervise::{Command, Signals, Supervisor, Verdict};
//!
//! let signals = Signals::hold()?;
//! let verifier = |image: &supervise::Image| match image.executable.size {
//!     17_000_000 => Verdict::Accepted { grounds: "the right size".into() },
//!     _ => Verdict::Refused { reason: "another size".into() },
//! };
//! let service = Supervisor::new(Command::new(vec!["/srv/payments".into()])?).verified_by(&verifier);
//! let ending = service.run(&signals, &mut |fact| eprintln!("{fact:?}"))?;
//! # Ok::<_, supervise::SuperviseError>(())
//! ```
#![deny(unsafe_code)]

mod command;
mod error;
mod fact;
#[doc(hidden)]
pub mod fuzzing;
mod listen;
mod policy;
mod supervisor;
mod sys;
#[cfg(target_os = "linux")]
mod tail;
mod verify;

pub use command::Command;
pub use error::{Blame, SuperviseError};
pub use fact::{Containment, Ended, Fact, Usage};
pub use listen::Address;
pub use policy::{Class, End, Next, Policy, Restarts};
pub use supervisor::{Contain, Ending, Supervisor};
pub use sys::{Signals, Socket};
pub use verify::{Image, Measured, Verdict, Verify};
