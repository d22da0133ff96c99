//! A checksum database in a folder, written as golang.org/design/25530-sumdb says.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::Ed25519Signer;
use signing::note::NoteSigner;
use tlog::tile::Level;
use tlog::{Frontier, Hash, Sha256, Tile, TreeHash as _};

pub struct SumDb {
    pub signer: NoteSigner,
    records: Vec<String>,
}

impl SumDb {
    pub fn new(name: &str) -> Self {
        Self {
            signer: NoteSigner::new(name, Ed25519Signer::from_seed(&[7; 32])).unwrap(),
            records: Vec::new(),
        }
    }

    /// Adds the lines of one module's version, and what else the world put in between.
    pub fn add(&mut self, lines: &str) {
        for filler in 0..150 {
            self.records.push(format!("example.net/f{filler} v0.{}.0 h1:x\n", self.records.len()));
        }
        self.records.push(lines.to_owned());
    }

    pub fn note(&self) -> String {
        let mut tree = Frontier::<Sha256>::new();
        self.records.iter().for_each(|record| tree.push(Sha256::leaf(record.as_bytes())));
        let root = STANDARD.encode(tree.root());
        self.signer.sign(&format!("go.sum database tree\n{}\n{root}\n", self.records.len())).unwrap()
    }

    pub fn write(&self, folder: &Path) {
        self.write_tiles(folder);
        for (number, record) in self.records.iter().enumerate() {
            let mut fields = record.split(' ');
            let (module, version) = (fields.next().unwrap(), fields.next().unwrap());
            let path = folder.join("lookup").join(format!("{module}@{version}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{number}\n{record}\n{}", self.note())).unwrap();
        }
        fs::write(folder.join("latest"), self.note()).unwrap();
    }

    fn write_tiles(&self, folder: &Path) {
        let mut hashes: Vec<Hash> = self.records.iter().map(|r| Sha256::leaf(r.as_bytes())).collect();
        for level in 0..8 {
            for (index, tile) in hashes.chunks(256).enumerate() {
                let width = u16::try_from(tile.len()).unwrap();
                let tile_at = Tile { level: Level::Hashes(level), index: index as u64, width };
                let path = folder.join(tile_at.to_string().replacen("tile/", "tile/8/", 1));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, tile.as_flattened()).unwrap();
            }
            hashes = hashes.as_chunks::<256>().0.iter().map(|full| Sha256::subtree(full)).collect();
        }
    }
}
