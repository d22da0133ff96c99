//! The listening sockets.

use std::net::{SocketAddr, TcpListener};

use crate::failure::Failure;

/// Binds every address, or none.
pub(crate) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Failure> {
    addresses
        .iter()
        .map(|address| {
            let listener = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            listener.map_err(|e| {
                Failure::environment(anyhow::Error::from(e).context(format!("cannot listen on {address}")))
                    .hint("name another address with `--listen`, or end what listens there")
            })
        })
        .collect()
}
