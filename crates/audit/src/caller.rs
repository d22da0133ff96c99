//! Who offers or asks over a network, where no kernel vouches for the other end.

use std::net::IpAddr;

/// How a caller showed who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Via {
    /// A bearer token of the token file.
    Token,
    /// A client certificate under the operator's authority.
    Certificate,
    /// Nothing but that it is on this machine.
    Loopback,
}

impl Via {
    /// The word in `ctx.peer.via`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Loopback => "loopback",
        }
    }
}

/// A caller whose name was checked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Caller {
    /// The token's name, or the name in the certificate.
    pub name: String,
    /// How it was checked.
    pub via: Via,
    /// The address that the connection came from.
    pub ip: Option<IpAddr>,
    /// The trace that the request belongs to, for events that name none.
    pub trace: Option<String>,
}
