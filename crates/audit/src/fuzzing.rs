//! Oracles for fuzzing, shared with the tests that replay them.
#![allow(clippy::panic, reason = "an oracle reports a broken property by panicking")]

use event::Catalogue;

pub use crate::intake::fuzzing::{alerts, http, otlp, tokens};

use crate::catalogue::extended;
use crate::socket::wire::{MAX_REPLY, MAX_REQUEST, Reply, Request, parse, read_frame, write_message};
use crate::spill::next_record;

/// Any bytes as they may come over the socket, at either end: never a panic, never more memory than bytes, and a
/// message that is understood is understood again when it is written.
pub fn socket(data: &[u8]) {
    let mut input = data;
    while let Ok(frame) = read_frame(&mut input, MAX_REQUEST) {
        assert!(frame.len() <= data.len());
        if let Ok(request) = parse::<Request>(&frame) {
            again(&request, |frame| parse::<Request>(frame).ok());
            if let Request::Query { filter, .. } = &request {
                let _ = filter.conditions(); // any answer, but one
            }
        }
    }
    let mut input = data;
    while let Ok(frame) = read_frame(&mut input, MAX_REPLY) {
        if let Ok(reply) = parse::<Reply>(&frame) {
            again(&reply, |frame| parse::<Reply>(frame).ok());
        }
    }
}

/// Any text in the place of `catalogue.toml`: refused with a reason, or a catalogue that still knows the standard one.
pub fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match extended(text) {
        Err(why) => assert!(!why.is_empty()),
        Ok(catalogue) => {
            let standard = Catalogue::standard();
            assert!(standard.actions().all(|entry| catalogue.knows_action(entry.code)));
            assert!(standard.subjects().all(|entry| catalogue.knows_subject(entry.code)));
        }
    }
}

/// Any bytes in the place of a segment of the index: refused, or a head within its limits whose pages can be asked.
pub fn index(data: &[u8]) {
    if let Some(head) = crate::index::decode(data) {
        assert!(head.length <= data.len() && head.count <= 65_536 && head.fences.is_sorted());
        for page in data[head.length..].as_chunks::<{ crate::index::PAGE }>().0 {
            if let Some(postings) = crate::index::decode_page(page, 7) {
                assert_eq!(postings.count(), 7);
            }
        }
    }
    if let Some((size, _)) = std::str::from_utf8(data).ok().and_then(crate::index::parse_bound) {
        assert!(size > 0);
    }
    // An entry that the quick look understands has the facts that the parser sees.
    if let (Some(quick), Ok(event)) = (crate::index::scan(data), event::read_stored(data)) {
        assert_eq!(quick, crate::index::of_event(&event));
    }
}

/// Any text in the place of `retention.toml`: refused with a reason, or a table that can be asked.
pub fn retention(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match crate::retention::Retention::parse(text) {
        Err(why) => assert!(!why.is_empty()),
        Ok(table) => {
            for ts in ["0000-01-01T00:00:00Z", "2028-02-29T12:00:00Z", "9999-12-31T23:59:59Z"] {
                let Ok(ts) = event::Timestamp::parse(ts) else { continue };
                let floor = table.floor("AUTH.LOGIN.OK", &["user"], ts);
                let ceiling = table.ceiling("AUTH.LOGIN.OK", &["user"], ts);
                if let (Some(floor), Some(ceiling)) = (floor, ceiling) {
                    assert!(floor.date <= ceiling.date);
                }
            }
            let name = table.rolling.pattern.name("2028-02-29T12:00:00Z", 1);
            assert!(!name.is_empty() && !name.contains('/') && !name.starts_with('.'));
        }
    }
}

/// Any bytes in the place of a backup: refused, and never taken for one without the signature of its own key.
pub fn backup(data: &[u8]) {
    if let Ok(restored) = crate::backup::check(vec![data], None) {
        assert!(restored.files.iter().all(|name| crate::backup::is_small(name)));
    }
}

fn again<T: serde::Serialize + PartialEq + std::fmt::Debug>(message: &T, read: impl Fn(&[u8]) -> Option<T>) {
    let mut written = Vec::new();
    write_message(&mut written, message).unwrap_or_else(|e| panic!("not written: {e}"));
    let frame =
        read_frame(&mut written.as_slice(), usize::MAX).unwrap_or_else(|e| panic!("not framed: {e:?}"));
    assert_eq!(read(&frame).as_ref(), Some(message));
}

/// Any bytes behind the header of a spill: records lie within them, and each has the check sum of its generation.
pub fn spill(data: &[u8]) {
    let Some((generation, mut input)) = data.split_first_chunk::<8>() else { return };
    let mut length = 0;
    while let Some(leaf) = next_record(&mut input, generation) {
        length += leaf.len() + 8;
        assert!(!leaf.is_empty() && length <= data.len());
        let sum = crc32c::crc32c(&[generation.as_slice(), &leaf].concat()).to_be_bytes();
        assert!(data.windows(4).any(|window| window == sum));
    }
}

/// Any text in the place of `redaction.toml`: refused with a reason, or applied to an event without a panic, and what
/// comes out is an event.
pub fn policy(data: &[u8]) {
    use crate::redact::{Policy, explain};
    const EVENT: &[u8] = br#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"ERROR",
        "sub":{"customer":"4711"},"act":"DATA.READ","obj":{"phone":"13812341234","note":"mail a@b.cn, 4111 1111 1111 1111"},
        "ctx":{"ip":"192.168.3.5"}}"#;
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Policy::parse(text) {
        Err(why) => assert!(!why.is_empty()),
        Ok(policy) => {
            let stamp = policy.stamp().to_owned();
            let Ok(explained) = explain(policy, &Catalogue::standard(), EVENT) else { return };
            assert_eq!(explained.event["ctx"]["redaction"], stamp);
            let bytes = serde_json::to_vec(&explained.event).unwrap_or_default();
            event::validate(&bytes).unwrap_or_else(|e| panic!("no event any more: {e}"));
        }
    }
}

/// Any bytes in the place of the vault: damage is named within the file, or every part stands where the parts say.
pub fn vault_file(data: &[u8]) {
    crate::vault::check_file(data);
}

/// Any text in the place of a sealed value: none, or written again to the letter.
pub fn sealed_field(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(field) = crate::vault::SealedField::parse(text) {
        assert_eq!(field.encode(), text);
    }
}

/// Any text: the detectors find what an oracle of regular expressions finds, and nothing else.
pub fn detectors(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::redact::check_detectors(text);
    }
}
