//! Oracles for fuzzing, shared with the tests that replay them.
#![allow(clippy::panic, reason = "an oracle reports a broken property by panicking")]

use event::Catalogue;

pub use crate::intake::fuzzing::{http, tokens};

use crate::catalogue::extended;
use crate::socket::wire::{MAX_REPLY, MAX_REQUEST, Reply, Request, parse, read_frame, write_message};

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

fn again<T: serde::Serialize + PartialEq + std::fmt::Debug>(message: &T, read: impl Fn(&[u8]) -> Option<T>) {
    let mut written = Vec::new();
    write_message(&mut written, message).unwrap_or_else(|e| panic!("not written: {e}"));
    let frame =
        read_frame(&mut written.as_slice(), usize::MAX).unwrap_or_else(|e| panic!("not framed: {e:?}"));
    assert_eq!(read(&frame).as_ref(), Some(message));
}
