//! The quick way through admission: documents as programs write them, read once from front to back.
//!
//! It takes a part of what the general way takes (`admit.rs`): the fields' own names, strings without escapes, no
//! fault. Of everything else it says nothing, and the general way reads the document again. So it can never decide
//! otherwise, only not at all; `tests/quick.rs` and the fuzz targets of this crate hold the two to the same events.

use std::borrow::Cow;

use crate::admit::{MARGIN, is_action_code, is_address_name};
use crate::scan::plain_length;
use crate::{Catalogue, Event, EventId, Fields, MAX_EVENT, MAX_FIELDS, Severity, Timestamp};

/// Room that a context keeps for what Custody adds: the peer, and the policy's name.
const ADDED: usize = 8;

/// The event, if the document is one that can be read this way. Without a catalogue as [`crate::validate`].
pub(crate) fn read<'a>(document: &'a [u8], catalogue: Option<&Catalogue>) -> Option<Event<'a>> {
    read_form(document, catalogue).map(|(event, _)| event)
}

/// As [`read`], and whether the document is the event's canonical form for certain. What has no space, no escape, all names
/// in order, no empty map, a time with nine digits and an id in lower case cannot be written in another way.
pub(crate) fn read_form<'a>(document: &'a [u8], catalogue: Option<&Catalogue>) -> Option<(Event<'a>, bool)> {
    if document.len() + MARGIN > MAX_EVENT {
        return None; // what comes near the limit is measured
    }
    let text = std::str::from_utf8(document).ok()?;
    let mut reader = Reader { text, at: 0, canonical: true };
    let mut found = Found::default();
    let mut last = "";
    reader.expect(b'{')?;
    loop {
        let name = reader.string()?;
        reader.canonical &= last < name;
        last = name;
        reader.expect(b':')?;
        found.take(name, &mut reader, catalogue)?;
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    reader.skip_space();
    if reader.at != text.len() {
        return None;
    }
    let event = found.event()?;
    catalogue.is_none_or(|catalogue| is_known(&event, catalogue)).then_some((event, reader.canonical))
}

/// The fields that were read.
#[derive(Default)]
struct Found<'a> {
    id: Option<EventId>,
    ts: Option<Timestamp>,
    severity: Option<Severity>,
    act: Option<&'a str>,
    sub: Option<Fields<'a>>,
    obj: Option<Fields<'a>>,
    ctx: Option<Fields<'a>>,
}

impl<'a> Found<'a> {
    /// Reads the value of a field that was not there yet.
    fn take(&mut self, name: &str, reader: &mut Reader<'a>, catalogue: Option<&Catalogue>) -> Option<()> {
        // What stands in the catalogue has the form of an action.
        let is_action = |act: &str| catalogue.map_or_else(|| is_action_code(act), |c| c.knows_action(act));
        match name {
            "id" => {
                let text = reader.string()?;
                reader.canonical &= !text.bytes().any(|byte| byte.is_ascii_uppercase());
                put(&mut self.id, EventId::parse(text)?)
            }
            "ts" => {
                let ts = Timestamp::parse(reader.string()?).ok()?;
                reader.canonical &= reader.text[..reader.at - 1].ends_with(ts.as_str());
                put(&mut self.ts, ts)
            }
            "severity" => put(&mut self.severity, Severity::parse(reader.string()?)?),
            "act" => put(&mut self.act, reader.string().filter(|act| is_action(act))?),
            "sub" => put(&mut self.sub, reader.fields(0)?),
            "obj" => put(&mut self.obj, reader.fields(0)?),
            "ctx" => put(&mut self.ctx, reader.fields(ADDED)?),
            _ => None,
        }
    }

    fn event(self) -> Option<Event<'a>> {
        let sub = self.sub?;
        let named = !sub.is_empty() && sub.iter().all(|(kind, id)| !id.is_empty() || is_address_name(kind));
        if !named {
            return None;
        }
        Some(Event {
            id: self.id?,
            ts: self.ts?,
            severity: self.severity?,
            sub,
            act: Cow::Borrowed(self.act?),
            obj: self.obj.unwrap_or_default(),
            ctx: self.ctx.unwrap_or_default(),
        })
    }
}

fn put<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// What only a caller's event must keep to.
fn is_known(event: &Event<'_>, catalogue: &Catalogue) -> bool {
    event.sub.iter().all(|(kind, _)| catalogue.knows_subject(kind))
        && event.ctx.iter().all(|(key, _)| key != "peer" && !key.starts_with("peer."))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Nothing was read so far that the canonical form writes otherwise.
    canonical: bool,
}

impl<'a> Reader<'a> {
    /// RFC 8259 §2.
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.as_bytes().get(self.at) {
            self.at += 1;
            self.canonical = false;
        }
    }

    /// The next byte that is no white space, behind which reading goes on.
    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A string without escapes: what stands between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = plain_length(rest);
        if *rest.get(length)? != b'"' {
            return None;
        }
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        Some(text)
    }

    /// A map of strings, with room for `more`.
    fn fields(&mut self, more: usize) -> Option<Fields<'a>> {
        self.expect(b'{')?;
        self.skip_space();
        if self.text.as_bytes().get(self.at) == Some(&b'}') {
            self.at += 1;
            self.canonical = false;
            return Some(Fields::default());
        }
        let mut entries: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(6 + more);
        let mut ordered = true;
        loop {
            let key = self.string().filter(|key| is_name(key))?;
            self.expect(b':')?;
            let value = self.string()?;
            if is_address_name(key) {
                value.parse::<std::net::IpAddr>().ok()?;
            }
            // Names are ASCII, so that the order of bytes is that of RFC 8785 §3.2.3.
            ordered &= entries.last().is_none_or(|(last, _)| last.as_ref() < key);
            entries.push((Cow::Borrowed(key), Cow::Borrowed(value)));
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        if entries.len() > MAX_FIELDS {
            return None;
        }
        if !ordered {
            self.canonical = false;
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return None;
            }
        }
        Some(Fields(entries))
    }
}

/// As [`crate::admit::is_name`], by a table.
fn is_name(key: &str) -> bool {
    const REST: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128u8 {
            table[byte as usize] =
                byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || byte == b'-';
            byte += 1;
        }
        table
    };
    let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && key.len() <= 64 && key.bytes().all(|b| REST[usize::from(b)])
}
