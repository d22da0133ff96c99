//! The files of a sealed directory as a policy knows them, each with the seal entry that it comes from.
//!
//! A file counts when it is the one that was sealed; or when it is an image that was signed since, by a signature that
//! holds and that binds this tree.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use authenticode::SealRoots;
use authenticode::subject::{Kind, Subject};
use authenticode::verify::{self, Report};
use codeintegrity::Member;
use pkix::Digest;
use seal::{Entry, EntryKind, leaf_input};
use tlog::TreeHash as _;

use crate::cmd::Context;
use crate::cmd::pe::bound::Bound;
use crate::cmd::pe::trust::Trust;
use crate::failure::Failure;

/// Files that Windows runs and that are no images: scripts and installers, known by all their bytes.
const SCRIPTS: &[&str] =
    &["ps1", "psm1", "psd1", "ps1xml", "vbs", "vbe", "js", "jse", "wsf", "msi", "msp", "mst"];

/// An entry that runs.
pub(super) struct Runs {
    pub(super) member: Member,
    /// The leaf hash of its entry in the seal's SHA-256 tree.
    pub(super) leaf: String,
    /// Its signatures, when it is an image.
    pub(super) report: Option<Report>,
}

/// The first digits of the leaf hash: what names the entry in the identifiers of its rules.
pub(super) fn trace(entry: &Entry) -> (String, String) {
    let leaf = hex::encode_upper(tlog::Sha256::leaf(&leaf_input(entry)));
    (leaf[..16].to_owned(), leaf)
}

/// Every entry that Windows would run; every file with `all`.
pub(super) fn gather(
    bound: &Bound,
    directory: &Path,
    trust: &Trust,
    all: bool,
    context: &Context,
) -> Result<Vec<Runs>, Failure> {
    let observed = bound.observe(directory, context)?;
    if let Some(first) = observed.others().first() {
        return Err(differs(bound, directory, first));
    }
    let mut roots = None;
    let mut out = Vec::new();
    for entry in bound.seal.tree().entries().iter().filter(|entry| entry.kind == EntryKind::File) {
        let path = directory.join(entry.path.as_str());
        let mut file = std::fs::File::open(&path).map_err(|e| unreadable(e, &path))?;
        let subject = Subject::read(&mut file).map_err(|e| super::super::failure(e, &path))?;
        let report = match subject.kind {
            Kind::Image => Some(examine(&mut file, &path, trust)?),
            _ if all || is_script(entry) => None,
            _ => continue,
        };
        if content(&mut file).map_err(|e| unreadable(e, &path))? != entry.digest.sha256 {
            let expected = match roots {
                Some(roots) => roots,
                None => *roots.insert(observed.roots(bound)?),
            };
            if !report.as_ref().is_some_and(|report| binds(report, expected)) {
                return Err(differs(bound, directory, entry.path.as_str()));
            }
        }
        let (trace, leaf) = trace(entry);
        let member = Member {
            path: entry.path.to_string(),
            trace,
            hashes: hashes(&subject, &path)?,
            driver: subject.image.as_ref().is_some_and(|image| image.subsystem == 1),
        };
        out.push(Runs { member, leaf, report });
    }
    Ok(out)
}

/// The hashes that a policy names a file by, as Microsoft's own tools write and call them.
fn hashes(subject: &Subject, path: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let named = [
        ("Sha1", subject.digest(Digest::Sha1)),
        ("Sha256", subject.digest(Digest::Sha256)),
        ("Page Sha1", subject.first_page(Digest::Sha1)),
        ("Page Sha256", subject.first_page(Digest::Sha256)),
    ];
    let hashes: Vec<_> = named.into_iter().filter_map(|(name, hash)| Some((name, hash?.to_vec()))).collect();
    if hashes.is_empty() {
        let what = format!("`{}` is a cabinet, and policies name no digest of one", path.display());
        return Err(
            Failure::input(anyhow::anyhow!(what)).hint("leave out `--all`, or seal what it unpacks to")
        );
    }
    Ok(hashes)
}

fn is_script(entry: &Entry) -> bool {
    let extension = entry.path.as_str().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| SCRIPTS.contains(&extension.as_str()))
}

fn content(file: &mut (impl Read + Seek)) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Digest::Sha256.hasher();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn examine(file: &mut std::fs::File, path: &Path, trust: &Trust) -> Result<Report, Failure> {
    let request = trust.request(false);
    verify::verify(file, &request).map_err(|e| super::super::failure(e, path))
}

/// Whether the image was signed, by somebody who is trusted here, as a part of the tree with these roots.
fn binds(report: &Report, roots: SealRoots) -> bool {
    report.holds() && report.signatures.iter().any(|s| s.holds() && s.seal == Some(roots))
}

fn differs(bound: &Bound, directory: &Path, path: &str) -> Failure {
    let what = format!("`{}` is not what `{}` seals: {path} differs", directory.display(), bound.name());
    Failure::finding(anyhow::anyhow!(what)).hint(
        "seal it anew; or, if it was signed with `--seal` since, name the authority of its signer with `--ca`",
    )
}

fn unreadable(error: std::io::Error, path: &Path) -> Failure {
    Failure::environment(anyhow::Error::from(error).context(format!("cannot read `{}`", path.display())))
}
