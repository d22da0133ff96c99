//! Oracles for what comes over a network.

use crate::intake::{Form, Tokens, parse_query, split};

/// Any bytes as a body, and as the query of a target: elements lie within the body in order, and what a JSON reader
/// takes is split into the very elements that it sees.
pub fn http(data: &[u8]) {
    for form in [Form::Json, Form::Lines] {
        let Ok(parts) = split(data, form) else { continue };
        let mut from = data.as_ptr() as usize;
        for part in &parts {
            let at = part.as_ptr() as usize;
            assert!(at >= from && !part.is_empty());
            from = at + part.len();
        }
        assert!(from <= data.as_ptr() as usize + data.len());
    }
    if let Ok(serde_json::Value::Array(values)) = serde_json::from_slice::<serde_json::Value>(data) {
        let parts = split(data, Form::Json).unwrap_or_default();
        assert_eq!(parts.len(), values.len());
        for (part, value) in parts.iter().zip(&values) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(part).ok().as_ref(), Some(value));
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(query) = parse_query(text)
    {
        for (name, value) in query.iter() {
            assert_eq!(query.get(name), Some(value));
            assert!(name.len() + value.len() <= text.len());
        }
    }
}

/// Any text in the place of the token file: refused with a reason, or tokens of which none is opened by a guess.
pub fn tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Tokens::parse(text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(tokens) => {
            assert_eq!(tokens.iter().count(), tokens.len());
            let Some(now) = event::Timestamp::from_unix(0, 0) else { return };
            for guess in text.split_ascii_whitespace() {
                assert!(tokens.find(guess, now).is_none());
            }
        }
    }
}
