//! A ring of records in shared memory: one producer that may be hostile, one consumer that survives it.
//!
//! The consumer creates a memory file and seals its size ([`Memory::create`]); the producer maps the same file
//! ([`Memory::adopt`]) and writes records with no lock and no system call. Bytes and rules: `docs/formats/ring.md`.
//!
//! **What the consumer is promised.** Whatever the other process does with the memory, at any moment, a [`Reader`]
//! neither reads outside of it, nor panics, nor waits longer than it is told to. Each record is copied out once and
//! judged on the copy (length, position, checksum), so changing it afterwards changes nothing. A producer that dies in
//! the middle of a record leaves nothing: a record exists once the producer's cursor has passed it.
//!
//! **What the producer is promised.** Its bytes stay in the ring until the consumer says that they are settled
//! ([`Settler::settle`]), not merely read: a consumer that dies is replaced by another that adopts the same memory and
//! begins at the settled cursor. So a record may be *read* twice; recognising it is the reader's duty.
//!
//! What it does not do: it knows no events, keeps no connection, and does not authenticate; whoever has the descriptor
//! is the producer.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use shmring::{Memory, Producer, consume};
//! let (memory, file) = Memory::create(shmring::MIN_CAPACITY)?;
//! let (mut reader, mut settler) = consume(memory)?;
//! let mut producer = Producer::new(Memory::adopt(&file)?)?; // elsewhere, over a socket
//! let end = producer.push(b"a record")?;
//! let mut read = Vec::new();
//! reader.drain(10, 1 << 20, |record| read.push((record.content.map(<[u8]>::to_vec), record.end)))?;
//! assert_eq!(read, [(Some(b"a record".to_vec()), end)]);
//! settler.settle(end, 0);
//! assert!(producer.settled() >= end);
//! # }
//! # Ok::<(), shmring::RingError>(())
//! ```
#![deny(unsafe_code)]

mod error;
mod layout;

#[cfg(target_os = "linux")]
mod consumer;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod producer;
#[cfg(target_os = "linux")]
mod sys;

pub use error::RingError;
pub use layout::{MAX_CAPACITY, MAX_RECORD, MIN_CAPACITY};

#[cfg(target_os = "linux")]
pub use consumer::{Reader, Record, Settler, consume};
#[cfg(target_os = "linux")]
pub use producer::{Producer, Push};
#[cfg(target_os = "linux")]
pub use sys::linux::{Memory, receive, send};
