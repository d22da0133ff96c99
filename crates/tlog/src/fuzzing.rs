//! Oracles of the fuzz targets: what is read prints as it was read, and nothing panics.

use crate::{Checkpoint, ConsistencyProof, InclusionProof, Tile, bundle};

/// A checkpoint that parses prints as the same bytes.
pub fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(parsed) = Checkpoint::parse(text) {
        assert_eq!(parsed.to_string(), text);
    }
}

/// Proofs that parse print as the same bytes.
pub fn proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(parsed) = InclusionProof::parse(text) {
        assert_eq!(parsed.to_string(), text);
    }
    if let Ok(parsed) = ConsistencyProof::parse(text) {
        assert_eq!(parsed.to_string(), text);
    }
}

/// A tile path that parses prints as the same text.
pub fn tile_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tile) = Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
    }
}

/// A bundle that parses is built again from its entries, byte for byte.
pub fn entry_bundle(data: &[u8]) {
    let count = bundle::entries(data).filter(Result::is_ok).count();
    let Ok(width) = u16::try_from(count) else { return };
    if let Ok(entries) = bundle::parse(data, width) {
        let mut again = Vec::new();
        for entry in entries {
            assert!(bundle::push(&mut again, entry).is_some());
        }
        assert_eq!(again, data);
    }
}
