//! Frames and messages. A frame is a 32-bit big-endian length and so many bytes of one JSON document.

use std::io::{self, Read, Write};

use event::{EventId, Fault, InvalidComplianceEvent, MAX_OFFERED};
use serde::{Deserialize, Serialize};

use crate::pending::{Receipt, Verdict};
use crate::proof::{Selector, Status};
use crate::query::Filter;
use crate::vault::{VaultAnswer, VaultCall};
use crate::{AuditError, ErrorKind};

/// Version of the protocol; the other end must have the same.
pub(crate) const VERSION: u32 = 1;
/// First word of the hello.
pub(crate) const NAME: &str = "custody-audit";
/// A frame to the owner is at most so long: an event that is too long by a byte is refused by admission, with a
/// verdict; one that is longer ends the connection.
pub(crate) const MAX_REQUEST: usize = MAX_OFFERED + 1024;
/// A frame from the owner is at most so long.
pub(crate) const MAX_REPLY: usize = 32 << 20;
/// Events in a batch.
pub(crate) const MAX_BATCH: usize = 512;
/// Bytes of events in a batch.
pub(crate) const MAX_BATCH_BYTES: usize = 4 << 20;

/// The first frame of both ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    pub(crate) protocol: String,
    pub(crate) version: u32,
}

impl Hello {
    pub(crate) fn ours() -> Self {
        Self { protocol: NAME.into(), version: VERSION }
    }
}

/// What is asked of the owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// So many frames follow, each an event.
    Record {
        count: usize,
    },
    Status {},
    Checkpoint {},
    Prove {
        selector: Selector,
    },
    Consistency {
        old: u64,
    },
    Query {
        filter: Box<Filter>,
        follow: bool,
    },
    Retention {
        confirm_clock: bool,
    },
    RetentionApply {
        orders: crate::retention::Orders,
    },
    Vault {
        ask: Box<VaultCall>,
    },
    /// Whether an event of this trace came in lately.
    TraceSeen {
        id: String,
        within_ms: u64,
    },
    /// A new ring; the connection is the ring's from then on. First request only.
    Ring {
        capacity: u64,
        /// Whether refusals are told.
        refusals: bool,
    },
    /// The ring whose memory comes with this request. First request only.
    RingOffer {
        refusals: bool,
    },
}

/// What the owner answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Reply {
    Hello(Hello),
    Error {
        kind: ErrorKind,
        message: String,
    },
    Recorded(Vec<WireVerdict>),
    Status(Status),
    Note(String),
    Proof(crate::proof::Proof),
    Retention(Box<crate::retention::Report>),
    Applied(Box<crate::retention::Applied>),
    Vault(Box<VaultAnswer>),
    /// The stored event at this index is the next frame.
    Entry {
        index: u64,
    },
    /// Nothing more for now: the follower is up to date.
    Idle,
    /// Nothing more at all.
    End,
    Trace {
        seen: bool,
    },
    /// The ring is served; the memory of a new one comes with this reply.
    Ring {
        capacity: u64,
    },
    /// The record of the ring that ends at this position was refused.
    Refused {
        position: u64,
        /// Refusals of this ring so far, this one included.
        total: u64,
        faults: Vec<Fault>,
    },
}

/// A verdict: a receipt, or faults.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireVerdict {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<Fault>>,
}

impl From<Verdict> for WireVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(receipt) => {
                Self { id: Some(receipt.id.to_string()), index: Some(receipt.index), faults: None }
            }
            Err(refusal) => Self { id: None, index: None, faults: Some(refusal.faults) },
        }
    }
}

impl TryFrom<WireVerdict> for Verdict {
    type Error = AuditError;

    fn try_from(wire: WireVerdict) -> Result<Self, AuditError> {
        match (wire.id.as_deref().and_then(EventId::parse), wire.index, wire.faults) {
            (Some(id), Some(index), None) => Ok(Ok(Receipt { id, index })),
            (None, None, Some(faults)) if !faults.is_empty() => Ok(Err(InvalidComplianceEvent { faults })),
            _ => Err(AuditError::protocol("a verdict is neither a receipt nor a refusal")),
        }
    }
}

/// Writes a frame around bytes.
pub(crate) fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a frame is longer than 4 GiB"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(bytes)
}

/// Writes a message as a frame.
pub(crate) fn write_message(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    write_bytes(out, &serde_json::to_vec(message)?)
}

/// Why there is no frame.
#[derive(Debug)]
pub(crate) enum NoFrame {
    /// The other end closed between two frames.
    Closed,
    /// The frame is longer than the limit. Nothing of it was read.
    TooLong(usize),
    /// It was cut off, or the socket failed.
    Broken,
}

impl From<NoFrame> for AuditError {
    fn from(none: NoFrame) -> Self {
        match none {
            NoFrame::TooLong(length) => Self::protocol(format!("a frame of {length} bytes is too long")),
            // The reason why a local peer is no longer there is the peer's own to tell.
            NoFrame::Closed | NoFrame::Broken => Self::Gone,
        }
    }
}

/// Reads a frame of at most `limit` bytes. Memory grows with what arrives, not with what is announced.
pub(crate) fn read_frame(input: &mut impl Read, limit: usize) -> Result<Vec<u8>, NoFrame> {
    let mut length = [0u8; 4];
    let first = loop {
        match input.read(&mut length) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other.map_err(|_| NoFrame::Broken)?,
        }
    };
    if first == 0 {
        return Err(NoFrame::Closed);
    }
    input.read_exact(&mut length[first..]).map_err(|_| NoFrame::Broken)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(NoFrame::TooLong(length));
    }
    let mut bytes = Vec::with_capacity(length.min(64 * 1024));
    let read = input.take(length as u64).read_to_end(&mut bytes).map_err(|_| NoFrame::Broken)?;
    if read < length {
        return Err(NoFrame::Broken);
    }
    Ok(bytes)
}

/// Reads a message.
pub(crate) fn read_message<T: for<'de> Deserialize<'de>>(
    input: &mut impl Read,
    limit: usize,
) -> Result<T, AuditError> {
    parse(&read_frame(input, limit)?)
}

pub(crate) fn parse<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<T, AuditError> {
    serde_json::from_slice(frame).map_err(|e| AuditError::protocol(format!("not a message: {e}")))
}
