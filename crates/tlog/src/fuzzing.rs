//! Oracles of the fuzz targets: what is read prints as it was read, and nothing panics.

use crate::{
    Checkpoint, ConsistencyProof, Hash, HashReader, InclusionProof, Sha256, Tile, TlogError, TreeHash as _,
    bundle, consistency_path, inclusion_path, root_at, verify_consistency, verify_inclusion,
};

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

/// Paths in a small tree, changed as the bytes after the first three say: a changed path proves nothing, an unchanged
/// one proves what it should; and no numbers make a verifier panic.
pub fn path(data: &[u8]) {
    let [old, new, index, edits @ ..] = data else { return };
    let (old, new, index) = (u64::from(*old), u64::from(*new), u64::from(*index));
    let root = |size| root_at::<Sha256, _>(&mut Leaves, size).expect("the tree has every size");
    if let Ok(honest) = inclusion_path::<Sha256, _>(&mut Leaves, index, new) {
        let given = edited(&honest, edits);
        let holds = verify_inclusion::<Sha256>(&leaf(index), index, new, &given, &root(new)).is_ok();
        assert_eq!(holds, given == honest, "leaf {index} of {new}");
    }
    if let Ok(honest) = consistency_path::<Sha256, _>(&mut Leaves, old, new) {
        let given = edited(&honest, edits);
        let holds = verify_consistency::<Sha256>(old, new, &given, &root(old), &root(new)).is_ok();
        assert_eq!(holds, given == honest, "{old} to {new}");
    }
    let Some((numbers, _)) = edits.split_first_chunk::<16>() else { return };
    let far = |at: usize| numbers[at..at + 8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let hashes = edited(&[], edits);
    let _ = verify_inclusion::<Sha256>(&leaf(0), far(0), far(8), &hashes, &leaf(1));
    let _ = verify_consistency::<Sha256>(far(0), far(8), &hashes, &leaf(0), &leaf(1));
}

/// A tree whose leaf `i` is the number `i`.
struct Leaves;

fn leaf(index: u64) -> Hash {
    Sha256::leaf(&index.to_be_bytes())
}

impl HashReader for Leaves {
    type Error = TlogError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let leaves: Vec<Hash> = (index << level..(index + 1) << level).map(leaf).collect();
        Ok(Sha256::subtree(&leaves))
    }
}

/// One edit for each two bytes: what is done, and where.
fn edited(path: &[Hash], edits: &[u8]) -> Vec<Hash> {
    let mut path = path.to_vec();
    for edit in edits.chunks_exact(2) {
        let at = usize::from(edit[1]) % (path.len() + 1);
        match (edit[0] % 4, path.get_mut(at)) {
            (0, _) => path.insert(at, leaf(edit[1].into())),
            (1, Some(_)) => drop(path.remove(at)),
            (2, Some(hash)) => hash[0] ^= edit[0],
            (3, Some(_)) => path.rotate_left(at),
            _ => {}
        }
    }
    path
}
