//! What the platform supplies: memory of a sealed size that two processes share, the wait for a word of it to change,
//! and the passing of its descriptor over a Unix socket. Linux only; elsewhere there are no rings.

pub(crate) mod linux;
