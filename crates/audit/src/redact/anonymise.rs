//! A coarser view of stored events, for whoever must not learn about persons: what is counted stays, who it was goes.
//!
//! Times become months, addresses networks, subjects pseudonyms that hold within one export and nowhere else, since their
//! key is gone with the value. What still looks personal is masked. The result passes the schema; it is not the ledger's.

use event::{Event, EventId, Fields, Timestamp};
use gm::HmacSm3;

use super::detect::{self, Kind, Kinds};
use super::mask;
use super::{SEALED_NAME, TOKEN_NAME};
use crate::AuditError;
use crate::vault::{Random, SEALED, TOKEN, pseudonym};

/// What ties an event to one run, one process or one request.
const TIES: [&str; 3] = ["trace_id", "span_id", "session"];

/// Makes events coarser, all of one export under one key.
pub struct Anonymiser {
    key: HmacSm3,
    random: Random,
    kinds: Kinds,
}

impl Anonymiser {
    /// One for an export. Its key is never shown and gone with it.
    ///
    /// # Errors
    /// [`AuditError::Randomness`].
    pub fn new() -> Result<Self, AuditError> {
        let mut random = Random::default();
        let key = HmacSm3::new(&random.array::<32>()?);
        let kinds = Kind::ALL.into_iter().fold(Kinds::default(), Kinds::with);
        Ok(Self { key, random, kinds })
    }

    /// The coarser form of a stored event, canonical.
    ///
    /// # Errors
    /// [`AuditError::Entry`] when it is no event, and [`AuditError::Randomness`].
    pub fn coarsen(&mut self, index: u64, stored: &[u8]) -> Result<Vec<u8>, AuditError> {
        let event = event::validate(stored).map_err(|source| AuditError::Entry { index, source })?;
        let mut event: Event<'static> = event.into_owned();
        event.id = self.new_id()?;
        event.ts = month(event.ts);
        self.subjects(&mut event.sub);
        event.ctx.retain(|name| !name.starts_with("peer.") && !TIES.contains(&name));
        for fields in [&mut event.obj, &mut event.ctx] {
            self.values(fields);
        }
        Ok(event.canonical())
    }

    fn new_id(&mut self) -> Result<EventId, AuditError> {
        let mut bytes: [u8; 16] = self.random.array()?;
        bytes[6] = 0x40 | (bytes[6] & 0x0f); // RFC 9562 §5.4: version 4,
        bytes[8] = 0x80 | (bytes[8] & 0x3f); // and its variant
        EventId::from_bytes(bytes).ok_or_else(|| AuditError::protocol("a version 4 id is not one"))
    }

    /// Each identifier under a pseudonym; the kinds stay, but that an address is none any more.
    fn subjects(&self, fields: &mut Fields<'static>) {
        let all: Vec<(String, String)> = fields.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        fields.retain(|_| false);
        for (kind, id) in all {
            match id.parse() {
                Ok(address) if is_address(&kind) => {
                    fields.set(kind, detect::truncated_address(address).to_string());
                }
                _ => fields.set(own_name(&kind).to_owned(), pseudonym(&self.key, &kind, &id)),
            }
        }
    }

    fn values(&self, fields: &mut Fields<'static>) {
        let all: Vec<(String, String)> = fields.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for (name, value) in all {
            if value.starts_with(SEALED) || value.starts_with(TOKEN) {
                fields.set(name, "sealed");
            } else if is_address(&name) {
                fields.set(name, mask::address(&value));
            } else if let Some(coarse) = self.masked(&value) {
                fields.set(name, coarse);
            }
        }
    }

    /// The value with everything masked that looks personal; nothing when nothing does.
    fn masked(&self, value: &str) -> Option<String> {
        let mut hits = Vec::new();
        detect::find(value, self.kinds, &mut hits);
        if hits.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(value.len());
        let mut at = 0;
        for hit in hits {
            out.push_str(&value[at..hit.start]);
            out.push_str(&mask::of_kind(hit.kind, &value[hit.start..hit.end]));
            at = hit.end;
        }
        out.push_str(&value[at..]);
        Some(out)
    }
}

fn own_name(name: &str) -> &str {
    name.strip_suffix(SEALED_NAME).or_else(|| name.strip_suffix(TOKEN_NAME)).unwrap_or(name)
}

fn is_address(name: &str) -> bool {
    super::apply::is_address(name)
}

/// The first moment of a moment's month.
fn month(ts: Timestamp) -> Timestamp {
    let text = format!("{}-01T00:00:00Z", &ts.as_str()[..7]);
    Timestamp::parse(&text).unwrap_or(ts) // every month has a first day
}
