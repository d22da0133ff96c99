//! The home's socket: how everyone else reaches the owner. The protocol is `docs/formats/socket.md`.

pub(crate) mod wire;

#[cfg(unix)]
pub(crate) mod client;
#[cfg(unix)]
pub(crate) mod ears;
#[cfg(unix)]
mod path;
#[cfg(unix)]
mod server;

#[cfg(not(unix))]
mod absent;

#[cfg(not(unix))]
pub(crate) use absent::{Client, Server};
#[cfg(unix)]
pub(crate) use client::Client;
#[cfg(unix)]
pub(crate) use server::Server;

/// Name of the socket in the home.
pub(crate) const SOCKET: &str = "custody.sock";
