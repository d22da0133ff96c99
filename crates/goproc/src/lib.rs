//! A running Go process from outside: memory, threads, system calls on its behalf, modules, goroutines and their stacks.
//!
//! It changes nothing by itself: it reads, stops, lets go, and writes what it is told to write. It knows neither patches
//! nor probes. linux/amd64 only; elsewhere the crate is empty but for [`maps`] and [`modules`].
//!
//! Two rules are kept throughout. **The target outlives us**: killed between any two of our system calls, we leave a
//! process that runs on as if nothing had been lent ([`call`]). **Nothing read from the target is believed**: lengths,
//! counts and chains have bounds, and what contradicts itself is an [`Error`].
//!
//! Duties of the caller: all threads stopped ([`Tracer::stop`]) before goroutines are asked for, and for as long as the
//! answer is used; one thread of ours for everything that a [`Tracer`] does.
#![deny(unsafe_code)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod call;
pub mod elf;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod goroutines;
mod machines;
pub mod maps;
pub mod memory;
pub mod modules;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod process;
#[doc(hidden)]
pub mod seam;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod sys;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;
mod unwind;

pub use elf::Executable;
pub use error::{Error, Result};
pub use goroutines::{GoRuntime, Goroutine, Position};
pub use machines::Machine;
pub use maps::Mapping;
pub use memory::Memory;
pub use modules::{Function, Module, Modules};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use process::Process;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use tracer::Tracer;
pub use unwind::{Frame, Unwinder};
