//! What a program must be, when a seal says it.
//!
//! The seal's bytes are read once; who is trusted is asked at every start, so that a key revoked while the service runs
//! keeps it from being restarted.

use std::path::{Component, Path, PathBuf};

use keystore::Keyring;
use seal::{Entry, EntryKind, Seal, Subject};
use supervise::{Image, Measured, Verdict};

use super::wanted::short;
use crate::cmd::Context;
use crate::cmd::seal::{self as seals, Signer, Source};
use crate::failure::Failure;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// A seal on disk, and whom to trust.
pub(super) struct Sealed {
    file: PathBuf,
    trust: Vec<PathBuf>,
    bytes: Vec<u8>,
    ring: Option<Keyring>,
}

impl Sealed {
    /// Reads the seal and makes sure that it can be used now.
    pub(super) fn open(file: PathBuf, trust: Vec<PathBuf>, context: &Context) -> Result<Self, Failure> {
        let sealed = Self { bytes: seals::read(&file)?, ring: seals::keyring(context), file, trust };
        sealed.seal()?;
        Ok(sealed)
    }

    fn seal(&self) -> Result<(Seal, Vec<Signer>), Failure> {
        let source = Source { file: &self.file, trust: &self.trust };
        seals::open(&self.bytes, source, self.ring.as_ref())
    }

    pub(super) fn verdict(&self, image: &Image) -> Verdict {
        let refused = |reason: String| Verdict::Refused { reason };
        let Ok((seal, signers)) = self.seal() else {
            return refused(format!("nobody who is trusted now signed {}", self.file.display()));
        };
        let found = &image.executable;
        match entry_of(&seal, &found.path) {
            None => refused(format!("{} has no entry for it", self.file.display())),
            Some(entry) => match fault(entry, found) {
                Some(fault) => refused(fault),
                None => Verdict::Accepted { grounds: self.grounds(entry, &signers) },
            },
        }
    }

    fn grounds(&self, entry: &Entry, signers: &[Signer]) -> String {
        let by: Vec<_> = signers.iter().map(|s| format!("{} ({})", s.name, s.key_id)).collect();
        format!("entry {} of {}, signed by {}", entry.path.as_str(), self.file.display(), by.join(", "))
    }

    /// What was sealed, and by whom; for people.
    pub(super) fn line(&self, image: &Image) -> String {
        let Ok((seal, signers)) = self.seal() else { return "by nobody who is trusted now".to_owned() };
        let by: Vec<_> = signers.iter().map(|signer| signer.name.as_str()).collect();
        let what = entry_of(&seal, &image.executable.path)
            .map_or_else(|| "nothing of this path".to_owned(), |entry| short("sha256", &entry.digest.sha256));
        format!("{what}  by {}", by.join(", "))
    }

    /// How to see what changed.
    pub(super) fn look(&self, image: &Image) -> String {
        let root = self.seal().ok().and_then(|(seal, _)| root_of(&seal, &image.executable.path));
        let what = root.unwrap_or_else(|| image.executable.path.clone());
        format!(
            "see what changed with `custody seal verify {} --seal {}`",
            what.display(),
            self.file.display()
        )
    }
}

/// Why `found` is not `entry`.
fn fault(entry: &Entry, found: &Measured) -> Option<String> {
    let path = entry.path.as_str();
    if entry.kind != EntryKind::File {
        return Some(format!("entry {path} is a {}, not a file", entry.kind));
    }
    if entry.size != found.size || entry.digest != found.digest {
        let sealed = hex::encode(entry.digest.sha256);
        return Some(format!("entry {path} was sealed with {} bytes, sha256:{sealed}", entry.size));
    }
    // The other bits say who may start it, which whoever starts it finds out; these say as whom it runs.
    if found.mode & SET_ID & !entry.mode != 0 {
        return Some(format!("entry {path} was sealed without the set-id bits that it has now"));
    }
    None
}

/// The entry that seals the file at `path`. A seal does not say where its tree stands, so the path's end must be an
/// entry's path; of several, the longest. The end of a path is enough of a check because the digests must match, too.
fn entry_of<'s>(seal: &'s Seal, path: &Path) -> Option<&'s Entry> {
    if *seal.subject() == Subject::File {
        return seal.tree().entries().first();
    }
    tails(path).find_map(|tail| seal.tree().entry(&tail))
}

/// Where the tree of `seal` stands if `path` is in it.
fn root_of(seal: &Seal, path: &Path) -> Option<PathBuf> {
    if *seal.subject() != Subject::Directory {
        return None;
    }
    let entry = entry_of(seal, path)?;
    path.ancestors().nth(entry.path.as_str().split('/').count()).map(Path::to_owned)
}

/// `a/b/c`, `b/c`, `c` for `/a/b/c`; nothing for a path that no seal can name.
fn tails(path: &Path) -> impl Iterator<Item = String> {
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| !matches!(part, Component::RootDir))
        .map(|part| part.as_os_str().to_str())
        .collect();
    let parts = parts.unwrap_or_default();
    (0..parts.len()).map(move |from| parts[from..].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use gm::Dual;
    use seal::{EntryPath, Tree};

    fn entry(path: &str, content: &str) -> Entry {
        Entry::file(
            EntryPath::new(path).unwrap(),
            0o755,
            content.len() as u64,
            Dual::digest(content.as_bytes()),
        )
    }

    fn directory(entries: &[(&str, &str)]) -> Seal {
        let entries = entries.iter().map(|(path, content)| entry(path, content)).collect();
        Seal::new("dir", Subject::Directory, Tree::new(entries).unwrap()).unwrap()
    }

    fn found(path: &str, mode: u32, content: &str) -> Measured {
        let digest = Dual::digest(content.as_bytes());
        Measured { path: path.into(), size: content.len() as u64, mode, modified: None, digest }
    }

    fn holds(seal: &Seal, found: &Measured) -> bool {
        entry_of(seal, &found.path).is_some_and(|entry| fault(entry, found).is_none())
    }

    #[test]
    fn a_file_is_known_by_its_content_wherever_it_stands() {
        let seal = Seal::new("a", Subject::File, Tree::new(vec![entry("a", "x")]).unwrap()).unwrap();
        assert!(holds(&seal, &found("/anywhere/b", 0o700, "x")));
        assert!(!holds(&seal, &found("/anywhere/a", 0o755, "y")));
    }

    #[test]
    fn in_a_directory_path_and_content_must_both_match() {
        let seal = directory(&[("bin/pay", "x"), ("bin/admin", "y"), ("pay", "z")]);
        assert!(holds(&seal, &found("/srv/bin/pay", 0o755, "x")));
        assert!(!holds(&seal, &found("/srv/bin/pay", 0o755, "y")), "another entry's content");
        assert!(!holds(&seal, &found("/srv/bin/pay", 0o755, "z")), "a shorter path's content");
        assert!(holds(&seal, &found("/srv/pay", 0o755, "z")));
        assert!(!holds(&seal, &found("/srv/bin/other", 0o755, "x")), "no entry of that name");
        assert!(!holds(&seal, &found("/srv/xbin/pay", 0o755, "x")), "half a name is none");
    }

    #[test]
    fn set_id_bits_must_have_been_sealed() {
        let seal = directory(&[("pay", "x")]);
        assert!(holds(&seal, &found("/pay", 0o500, "x")));
        assert!(!holds(&seal, &found("/pay", 0o4755, "x")));
    }

    #[test]
    fn the_tree_is_found_around_the_program() {
        let seal = directory(&[("bin/pay", "x"), ("pay", "z")]);
        assert_eq!(root_of(&seal, Path::new("/srv/bin/pay")).unwrap(), Path::new("/srv"));
        assert_eq!(root_of(&seal, Path::new("/srv/pay")).unwrap(), Path::new("/srv"));
    }
}
