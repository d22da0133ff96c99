use crate::proof::{consistency_path, inclusion_path, root_at, verify_consistency, verify_inclusion};
use crate::tile::Level;
use crate::{
    Checkpoint, ConsistencyProof, Frontier, Hash, HashReader, InclusionProof, Sha256, Sm3, Tile, TlogError,
    TreeHash, bundle,
};

/// Reads subtrees straight from the leaves, by the definition.
struct Leaves<H>(Vec<Hash>, std::marker::PhantomData<H>);

impl<H: TreeHash> HashReader for Leaves<H> {
    type Error = TlogError;
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let [from, to] = [index << level, (index + 1) << level].map(|leaf| usize::try_from(leaf).unwrap());
        Ok(H::subtree(&self.0[from..to]))
    }
}

/// MTH of RFC 6962 §2.1, word by word.
fn mth<H: TreeHash>(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => H::empty(),
        1 => leaves[0],
        n => {
            let k = 1 << (usize::BITS - 1 - (n - 1).leading_zeros());
            H::node(&mth::<H>(&leaves[..k]), &mth::<H>(&leaves[k..]))
        }
    }
}

fn every_proof_holds<H: TreeHash>() {
    let leaves: Vec<Hash> = (0..70u32).map(|i| H::leaf(&i.to_be_bytes())).collect();
    let mut reader = Leaves::<H>(leaves.clone(), std::marker::PhantomData);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|n| mth::<H>(&leaves[..n])).collect();
    let mut tree = Frontier::<H>::new();
    for size in 0..=leaves.len() {
        assert_eq!(tree.root(), roots[size]);
        assert_eq!(root_at::<H, _>(&mut reader, size as u64).unwrap(), roots[size]);
        for index in 0..size {
            let mut path = inclusion_path::<H, _>(&mut reader, index as u64, size as u64).unwrap();
            let check = |path: &[Hash], index: usize, size: usize| {
                verify_inclusion::<H>(&leaves[index], index as u64, size as u64, path, &roots[size])
            };
            check(&path, index, size).unwrap();
            if let Some(last) = path.last_mut() {
                last[31] ^= 1;
                assert!(check(&path, index, size).is_err());
            }
            path.push([0; 32]);
            assert!(check(&path, index, size).is_err());
        }
        for old in 0..=size {
            let path = consistency_path::<H, _>(&mut reader, old as u64, size as u64).unwrap();
            let check = |path: &[Hash], old_root: &Hash| {
                verify_consistency::<H>(old as u64, size as u64, path, old_root, &roots[size])
            };
            check(&path, &roots[old]).unwrap();
            assert!(check(&path, &[7; 32]).is_err());
            assert!(check(&[&path[..], &[[0; 32]]].concat(), &roots[old]).is_err());
            if let Some((_, shorter)) = path.split_last() {
                assert!(check(shorter, &roots[old]).is_err());
            }
        }
        if let Some(leaf) = leaves.get(size) {
            tree.push(*leaf);
        }
    }
}

#[test]
fn every_proof_of_a_small_tree_holds_and_no_changed_one_does() {
    every_proof_holds::<Sha256>();
    every_proof_holds::<Sm3>();
}

/// Entries and roots of the Certificate Transparency reference tests.
#[test]
fn roots_of_the_reference_tests() {
    let entries: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::<Sha256>::new();
    for (size, expected) in roots.iter().enumerate() {
        let root: String = tree.root().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(root, *expected, "size {size}");
        if let Some(entry) = entries.get(size) {
            tree.push(Sha256::leaf(entry));
        }
    }
}

/// The examples of c2sp.org/tlog-tiles.
#[test]
fn tiles_of_the_standard() {
    let tile = Tile::full(Level::Hashes(0), 1_234_067);
    assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
    let edge: Vec<String> = Tile::right_edge(70_000).map(|tile| tile.to_string()).collect();
    assert_eq!(
        edge,
        ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"],
        "a tree of 70,000"
    );
    let edge: Vec<String> = Tile::right_edge(256).map(|tile| tile.to_string()).collect();
    assert_eq!(edge, ["tile/1/000.p/1"], "a tree of 256");
    assert_eq!(Tile::width_in(Level::Hashes(0), 272, 70_000), 256);
    assert_eq!(Tile::width_in(Level::Hashes(0), 274, 70_000), 0);
    assert_eq!(Tile::right_edge(u64::MAX).count(), 9);
}

#[test]
fn only_the_canonical_tile_path_is_read() {
    for good in ["tile/0/000", "tile/7/x001/000", "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255"] {
        assert_eq!(Tile::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "tile/0/0",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/8/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/001/000",
        "tile/+0/000",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(Tile::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_bundle_is_read_whole_or_not_at_all() {
    let mut bytes = Vec::new();
    for entry in [&b"a"[..], b"", &[9; 65535]] {
        bundle::push(&mut bytes, entry).unwrap();
    }
    assert_eq!(bundle::parse(&bytes, 3).unwrap(), [&b"a"[..], b"", &[9; 65535]]);
    assert!(bundle::parse(&bytes, 2).is_err());
    assert!(bundle::parse(&bytes, 4).is_err());
    assert!(bundle::parse(&bytes[..bytes.len() - 1], 3).is_err());
    assert!(bundle::parse(&[0], 1).is_err());
    assert!(bundle::push(&mut bytes, &[0; 65536]).is_none());
}

/// The example of c2sp.org/tlog-checkpoint, and what it excludes.
#[test]
fn a_checkpoint_has_one_spelling() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint = Checkpoint::parse(text).unwrap();
    assert_eq!((checkpoint.size, checkpoint.to_string().as_str()), (20_852_163, text));
    let sm3 = format!("{text}sm3 CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nother line\n");
    let with_sm3 = Checkpoint::parse(&sm3).unwrap();
    assert_eq!(with_sm3.sm3_root, Some(checkpoint.root));
    assert_eq!(with_sm3.extensions, ["other line"]);
    assert_eq!(with_sm3.to_string(), sm3);
    for (from, to) in [
        ("example.com/behind-the-sofa\n", "\n"),
        ("20852163", "020852163"),
        ("20852163", "+1"),
        ("20852163", "-1"),
        ("20852163", "18446744073709551616"),
        ("q2I=", "q2J="),
        ("q2I=", "q2I"),
        ("q2I=\n", "q2I="),
        ("q2I=\n", "q2I=\n\n"),
        ("q2I=\n", "q2I=\nother\nsm3 CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"),
        ("q2I=\n", "q2I=\nsm3 AAAA\n"),
    ] {
        assert!(Checkpoint::parse(&text.replace(from, to)).is_err(), "{from:?} to {to:?}");
    }
}

#[test]
fn proofs_have_one_spelling() {
    let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let good = format!("c2sp.org/tlog-proof@v1\nextra AAEC\nindex 3\n{hash}\n{hash}\n\nnote\n");
    let proof = InclusionProof::parse(&good).unwrap();
    assert_eq!((proof.index, proof.path.len(), proof.extra.as_deref()), (3, 2, Some(&[0, 1, 2][..])));
    assert_eq!(proof.to_string(), good);
    let bare = "c2sp.org/tlog-proof@v1\nindex 0\n\nnote\n";
    assert_eq!(InclusionProof::parse(bare).unwrap().to_string(), bare);
    let long = format!("c2sp.org/tlog-proof@v1\nindex 0\n{}\nnote\n", format!("{hash}\n").repeat(66));
    for bad in
        [good.replace("v1", "v2"), good.replace("index 3", "index 03"), good.replace("AAEC", "?"), long]
    {
        assert!(InclusionProof::parse(&bad).is_err(), "{bad}");
    }
    let good = format!("custody/consistency-proof@v1\nold 3\nnew 9\n{hash}\nsm3 {hash}\n\nnote\n");
    assert_eq!(ConsistencyProof::parse(&good).unwrap().to_string(), good);
    for bad in [
        good.replace("old 3", "old 10"),
        good.replace("old 3\nnew 9", "new 9\nold 3"),
        good.replace("\nsm3", &format!("\nsm3 {hash}\n{hash}\nsm3")),
        good.replace("\n\n", "\n"),
    ] {
        assert!(ConsistencyProof::parse(&bad).is_err(), "{bad}");
    }
}

/// The seeds of the fuzz targets, and bytes that proptest makes, through the same oracles.
mod replay {
    use fuzz_replay::Target;
    use proptest::prelude::*;

    use crate::fuzzing;

    const TARGETS: &[Target] = &[
        ("tlog_checkpoint", fuzzing::checkpoint),
        ("tlog_proof", fuzzing::proof),
        ("tlog_tile_path", fuzzing::tile_path),
        ("tlog_entry_bundle", fuzzing::entry_bundle),
        ("tlog_path", fuzzing::path),
    ];

    #[test]
    fn seeds() {
        fuzz_replay::corpus(TARGETS);
        fuzz_replay::every_byte(TARGETS);
        for (name, target) in TARGETS {
            fuzz_replay::seeds(name).iter().for_each(|seed| target(&seed.repeat(2)));
        }
    }

    #[test]
    fn any_bytes() {
        fuzz_replay::any_bytes(TARGETS, 600, 256);
    }

    proptest! {
        #[test]
        fn tile_like_paths(path in "tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,8}[0-9]{3}(\\.p/[0-9]{1,4})?") {
            fuzzing::tile_path(path.as_bytes());
        }
    }
}
