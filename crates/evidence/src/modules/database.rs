//! The checksum database: records in an RFC 6962 tree, tiles of height 8, and a signed note of the tree's root
//! (golang.org/design/25530-sumdb, and the `golang.org/x/mod/sumdb` packages that serve it).
//!
//! Nothing that it says is believed before its key has signed a tree and the record was proved to be in it. Tiles need
//! no trust: a proof made of wrong ones fails.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::note::NoteVerifier;
use tlog::tile::Level;
use tlog::{Hash, HashReader, Sha256, Tile, TlogError, TreeHash as _};

use super::gosum::escaped;
use super::{ModulesError, Sum, parse};

/// The key of sum.golang.org, as `go` has it built in (cmd/go/internal/modfetch/key.go).
pub const SUM_GOLANG_ORG: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
/// A record of a module is a few hundred bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Where answers come from: a saved copy, or the network.
pub trait Files {
    /// The answer at a path such as `lookup/golang.org/x/mod@v0.21.0`; `None` when there is none.
    ///
    /// # Errors
    /// The system's or the network's.
    fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// At least the first `tile.width` hashes of a tile.
    ///
    /// # Errors
    /// The system's or the network's.
    fn tile(&mut self, tile: Tile) -> io::Result<Option<Vec<u8>>> {
        match self.read(&tile_path(tile))? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.read(&tile_path(Tile::full(tile.level, tile.index))),
        }
    }
}

/// Where a tile stands: the database writes its height, 8, before the level.
fn tile_path(tile: Tile) -> String {
    tile.to_string().replacen("tile/", "tile/8/", 1)
}

/// A folder as `go` keeps it: `GOMODCACHE/cache/download/sumdb/NAME`.
#[derive(Clone, Debug)]
pub struct Copy(pub PathBuf);

impl Files for Copy {
    fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match std::fs::File::open(self.0.join(path)) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_ANSWER).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// A wider partial tile begins with the same hashes.
    fn tile(&mut self, tile: Tile) -> io::Result<Option<Vec<u8>>> {
        for width in tile.width..=256 {
            if let Some(bytes) = self.read(&tile_path(Tile { width, ..tile }))? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// Where a record was proved to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Its number.
    pub record: u64,
    /// Leaves of the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

/// A tree that the database signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SignedTree {
    size: u64,
    root: Hash,
}

/// A record's lines, and where they were proved to be.
type Record = (Vec<Sum>, Proven);

/// A database with the key that signs its trees.
pub struct Database<F> {
    files: F,
    key: NoteVerifier,
    trees: Vec<SignedTree>,
    tiles: HashMap<Tile, Vec<u8>>,
    records: HashMap<String, Option<Record>>,
}

impl<F: Files> Database<F> {
    /// Reads answers from `files` and believes what `key` signed.
    pub fn new(files: F, key: NoteVerifier) -> Self {
        Self { files, key, trees: Vec::new(), tiles: HashMap::new(), records: HashMap::new() }
    }

    /// The lines about a module's version; `None` when there is no answer.
    ///
    /// # Errors
    /// When the answer is malformed, not signed, or not proved.
    pub fn look_up(&mut self, module: &str, version: &str) -> Result<Option<Record>, ModulesError> {
        let path = format!("lookup/{}@{}", escaped(module), escaped(version));
        if let Some(known) = self.records.get(&path) {
            return Ok(known.clone());
        }
        let found = match self.read(&path)? {
            Some(answer) => Some(self.record(&answer, module, version)?),
            None => None,
        };
        self.records.insert(path, found.clone());
        Ok(found)
    }

    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, ModulesError> {
        self.files.read(path).map_err(|source| ModulesError::Read { what: path.to_owned(), source })
    }

    fn record(&mut self, answer: &[u8], module: &str, version: &str) -> Result<Record, ModulesError> {
        let refused = |why| ModulesError::Database { what: "record", why };
        let text = std::str::from_utf8(answer).map_err(|_| refused("it is not UTF-8"))?;
        let (number, rest) = text.split_once('\n').ok_or_else(|| refused("it has no number"))?;
        let number: u64 = number.parse().map_err(|_| refused("its number is none"))?;
        let lines = rest.find("\n\n").map(|at| at + 1).ok_or_else(|| refused("it has no tree"))?;
        let (lines, note) = (&rest[..lines], &rest[lines + 1..]);
        let own = self.signed(note)?;
        let sums = parse(lines)?;
        if sums.is_empty() || sums.iter().any(|s| s.module != module || s.version != version) {
            return Err(refused("it is about another module"));
        }
        Ok((sums, self.prove(number, &Sha256::leaf(lines.as_bytes()), own)?))
    }

    /// The tree of a signed note.
    fn signed(&mut self, note: &str) -> Result<SignedTree, ModulesError> {
        let tree = parse_tree(&self.key.open(note)?.text)?;
        let known = self.trees.iter().find(|known| known.size == tree.size);
        if known.is_some_and(|known| known.root != tree.root) {
            return Err(ModulesError::Database { what: "tree", why: "it signed two trees of one size" });
        }
        if known.is_none() {
            self.trees.push(tree);
        }
        Ok(tree)
    }

    /// Proves a record to be in a signed tree: the one that came with it, else the latest, else any other seen. A saved
    /// copy has the tiles of the tree that was the latest when it was made.
    fn prove(&mut self, number: u64, leaf: &Hash, own: SignedTree) -> Result<Proven, ModulesError> {
        if let Some(latest) = self.read("latest")? {
            let note = String::from_utf8(latest);
            let note = note.map_err(|_| ModulesError::Database { what: "tree", why: "it is not UTF-8" })?;
            self.signed(&note)?;
        }
        let mut others: Vec<_> =
            self.trees.iter().copied().filter(|tree| *tree != own && tree.size > number).collect();
        others.sort_by_key(|tree| std::cmp::Reverse(tree.size));
        let mut first_error = None;
        for tree in std::iter::once(own).chain(others) {
            match self.prove_in(number, leaf, tree) {
                Ok(()) => return Ok(Proven { record: number, size: tree.size, root: tree.root }),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(ModulesError::Database { what: "tree", why: "there is none" }))
    }

    fn prove_in(&mut self, number: u64, leaf: &Hash, tree: SignedTree) -> Result<(), ModulesError> {
        let mut reader = Tiles { files: &mut self.files, tiles: &mut self.tiles, size: tree.size };
        let path = tlog::inclusion_path::<Sha256, _>(&mut reader, number, tree.size)?;
        Ok(tlog::verify_inclusion::<Sha256>(leaf, number, tree.size, &path, &tree.root)?)
    }
}

/// `go.sum database tree`, the size, the root in base64.
fn parse_tree(text: &str) -> Result<SignedTree, ModulesError> {
    let refused = || ModulesError::Database { what: "tree", why: "it is not a size and a root" };
    let mut lines = text.lines();
    if lines.next() != Some("go.sum database tree") {
        return Err(refused());
    }
    let size: u64 = lines.next().and_then(|line| line.parse().ok()).ok_or_else(refused)?;
    let root = lines.next().and_then(|line| STANDARD.decode(line).ok()).ok_or_else(refused)?;
    Ok(SignedTree { size, root: root.try_into().map_err(|_| refused())? })
}

/// Hashes out of tiles.
struct Tiles<'a, F> {
    files: &'a mut F,
    tiles: &'a mut HashMap<Tile, Vec<u8>>,
    size: u64,
}

impl<F: Files> HashReader for Tiles<'_, F> {
    type Error = ModulesError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, ModulesError> {
        let missing = || ModulesError::Database { what: "tile", why: "it is not in this copy" };
        // A hash between two levels of tiles is the root of a few neighbours in one tile.
        let (above, height) = (level / 8, level % 8);
        let first = index << height;
        let (number, from) = (first / tlog::TILE_WIDTH, first % tlog::TILE_WIDTH);
        let width = Tile::width_in(Level::Hashes(above), number, self.size);
        let tile = Tile { level: Level::Hashes(above), index: number, width };
        if !self.tiles.contains_key(&tile) {
            let read = self.files.tile(tile);
            let bytes = read.map_err(|source| ModulesError::Read { what: tile_path(tile), source })?;
            self.tiles.insert(tile, bytes.ok_or_else(missing)?);
        }
        let hashes = self.tiles.get(&tile).map(|bytes| bytes.as_chunks::<32>().0).unwrap_or_default();
        let from = usize::try_from(from).map_err(|_| missing())?;
        let wanted = hashes.get(from..from + (1 << height)).ok_or(TlogError::ProofFails { what: "tile" })?;
        Ok(Sha256::subtree(wanted))
    }
}

/// Whatever a database answers: no panic, and nothing unsigned is taken.
pub(crate) fn fuzz(answer: &[u8]) {
    struct One<'a>(&'a [u8]);
    impl Files for One<'_> {
        fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>> {
            Ok((path != "latest").then(|| self.0.to_vec()))
        }
    }
    let Ok(key) = NoteVerifier::parse(SUM_GOLANG_ORG) else { return };
    let mut database = Database::new(One(answer), key);
    let found = database.look_up("example.org/a", "v1.0.0");
    assert!(!matches!(found, Ok(Some(_))), "an answer was believed that nobody signed");
    let _ = parse_tree(&String::from_utf8_lossy(answer));
}
