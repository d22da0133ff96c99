//! Events through shared memory: the fast way in, for producers that cannot afford a system call.
//!
//! A producer asks the owner for a ring over the home's socket and writes events into it ([`Producer`], or any program
//! that follows `docs/formats/ring.md`). **Fast means not durable yet**: an event in the ring is safe from the death of
//! its producer and of the owner, not of both, nor of the machine. Whoever needs more waits for the ring's settled
//! position, which moves when events are durable or refused.
//!
//! When the owner goes away the producer keeps the memory, goes on writing, and offers it to the next owner, which
//! begins where the last one settled; ids make what was read twice be recorded once.

#[cfg(target_os = "linux")]
mod attach;
#[cfg(target_os = "linux")]
mod encode;
mod full;
mod losses;
#[cfg(target_os = "linux")]
mod serve;

#[cfg(target_os = "linux")]
pub use attach::{Options, Producer, WhenFull};
#[cfg(target_os = "linux")]
pub use encode::Draft;
pub use full::WhenDiskFull;
pub(crate) use losses::Rings;
#[cfg(target_os = "linux")]
pub(crate) use serve::serve;
#[cfg(target_os = "linux")]
pub use shmring::Push;

/// Where there are no rings, nobody gets one.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn serve(
    _: &crate::owner::Owner,
    _: &std::os::unix::net::UnixStream,
    _: &mut crate::socket::ears::Input<'_>,
    _: &crate::peer::Peer,
    _: &crate::socket::wire::Request,
    _: Option<std::os::fd::OwnedFd>,
    _: &std::sync::atomic::AtomicBool,
) -> Result<(), crate::AuditError> {
    let (what, value) = ("ring", String::new());
    Err(crate::AuditError::Request { what, value, why: "needs Linux" })
}
