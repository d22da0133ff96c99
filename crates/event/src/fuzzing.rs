//! Oracles for fuzzing, shared with the tests that replay them.
#![allow(clippy::panic, reason = "an oracle reports a broken property by panicking")]

use crate::{Catalogue, MAX_EVENT, admit, admit_generally};
use crate::{read_stored, stored_id, validate, validate_generally};

/// Any bytes: never a panic, no refusal without a fault, and what is admitted survives its own stored form.
pub fn admission(data: &[u8]) {
    let catalogue = Catalogue::standard();
    assert_eq!(
        admit(data, &catalogue),
        admit_generally(data, &catalogue),
        "the quick way and the general one"
    );
    match admit(data, &catalogue) {
        Err(refusal) => assert!(!refusal.faults.is_empty()),
        Ok(event) => {
            let stored = event.canonical();
            assert!(stored.len() <= MAX_EVENT, "stored form of {} bytes", stored.len());
            let again = read_stored(&stored).unwrap_or_else(|e| panic!("stored form refused: {e}"));
            assert_eq!(again, event);
            assert_eq!(stored_id(&stored), Some(event.id));
            let value: serde_json::Value =
                serde_json::from_slice(&stored).unwrap_or_else(|e| panic!("stored form is not JSON: {e}"));
            assert_eq!(value["ts"], event.ts.as_str());
        }
    }
}

/// Any bytes as they may come out of a ledger: what is read has no other spelling, and whatever the schema takes
/// has a stored form that reads as the same event.
pub fn stored(data: &[u8]) {
    let id = stored_id(data);
    if let Ok(event) = read_stored(data) {
        assert_eq!(event.canonical(), data);
        assert_eq!(id, Some(event.id));
    }
    assert_eq!(validate(data), validate_generally(data), "the quick way and the general one");
    let Ok(event) = validate(data) else { return };
    let stored = event.canonical();
    let again = read_stored(&stored).unwrap_or_else(|e| panic!("stored form refused: {e}"));
    assert_eq!(again, event);
}
