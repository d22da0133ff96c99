//! Whose signatures on a seal count: the home's keys, keys named for this once, and policies that ask for more.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use keystore::{Judged, Keyring, MAX_POLICY, Policy, Signed, Status};
use seal::{Seal, SealError};
use signing::{KeyId, PublicKey, Verifier};

use super::malformed;
use super::report::Signer;
use crate::cmd::key;
use crate::failure::{Failure, Outcome};
use crate::given;

/// A seal as the command line names it.
#[derive(Clone, Copy)]
pub(in crate::cmd) struct Source<'a> {
    pub(in crate::cmd) file: &'a Path,
    /// Public keys that are trusted besides the home's (`*.pem`), and policies (`*.toml`).
    pub(in crate::cmd) trust: &'a [PathBuf],
}

/// Which of the home's keys count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cmd) enum Count {
    /// Also those that were rotated away: what they signed before still holds.
    Retired,
    /// Only those whose holder still has them.
    Active,
}

/// The keys that count for one verification, and what is asked of their signatures.
pub(in crate::cmd) struct Trust {
    keys: Vec<Trusted>,
    policies: Vec<(PathBuf, Policy)>,
}

struct Trusted {
    name: String,
    verifier: PublicKey,
    /// The policy that brought it along.
    policy: Option<usize>,
}

/// Opens the seal whose `bytes` were read from `source`: somebody who is trusted now must have signed it, and every
/// policy must be met.
pub(in crate::cmd) fn open(
    bytes: &[u8],
    source: Source<'_>,
    ring: Option<&Keyring>,
) -> Result<(Seal, Vec<Signer>), Failure> {
    let trust = Trust::of(source, ring)?;
    let opened = Seal::open(bytes, &trust.verifiers()).map_err(|e| refused(e, bytes, source, ring))?;
    trust.accept(&opened.signers, source)?;
    let signers = trust.signers(&opened.signers);
    Ok((opened.seal, signers))
}

impl Trust {
    /// The home's keys and those named on the command line. A key that the home revoked does not count, whoever names
    /// it.
    pub(super) fn of(source: Source<'_>, ring: Option<&Keyring>) -> Result<Self, Failure> {
        Self::counting(Count::Retired, source, ring)
    }

    /// The same, for what must not be vouched for by a key that was rotated away.
    pub(in crate::cmd) fn counting(
        count: Count,
        source: Source<'_>,
        ring: Option<&Keyring>,
    ) -> Result<Self, Failure> {
        let mut trust = Self { keys: Vec::new(), policies: Vec::new() };
        for file in source.trust {
            if file.extension().is_some_and(|extension| extension == "toml") {
                trust.take_policy(file, ring)?;
            } else {
                let name = file.display().to_string();
                trust.keys.push(Trusted { name, verifier: unrevoked(file, ring)?, policy: None });
            }
        }
        let own = ring.map(Keyring::verifiers).transpose().map_err(key::failure)?.unwrap_or_default();
        let own = own.into_iter();
        let own = own.filter(|key| count == Count::Retired || key.status == Status::Active);
        trust.keys.extend(own.map(|k| Trusted {
            name: k.name.to_string(),
            verifier: k.verifier,
            policy: None,
        }));
        if let (Count::Active, Some(ring)) = (count, ring) {
            trust.drop_retired(ring)?;
        }
        Ok(trust)
    }

    /// A key that the home rotated away does not count under another name either.
    fn drop_retired(&mut self, ring: &Keyring) -> Outcome {
        let retired: Vec<KeyId> = ring
            .keys()
            .map_err(key::failure)?
            .into_iter()
            .filter(|key| matches!(key.status, Status::Retired { .. }))
            .map(|key| key.key_id)
            .collect();
        self.keys.retain(|key| !retired.contains(&key.verifier.key_id()));
        Ok(())
    }

    fn take_policy(&mut self, file: &Path, ring: Option<&Keyring>) -> Outcome {
        let context = || format!("cannot use trust policy `{}`", file.display());
        let mut text = String::new();
        given::open(file)
            .and_then(|opened| opened.take(MAX_POLICY as u64 + 1).read_to_string(&mut text))
            .map_err(|e| Failure::input(anyhow::Error::from(e).context(context())))?;
        let policy = Policy::parse(&text).map_err(|e| {
            let hint = e.hint();
            let failure = Failure::input(anyhow::Error::from(e).context(context()));
            hint.into_iter().fold(failure, Failure::hint)
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        for (name, key) in policy.key_files() {
            let verifier = unrevoked(&folder.join(key), ring)?;
            self.keys.push(Trusted { name: name.to_owned(), verifier, policy: Some(self.policies.len()) });
        }
        self.policies.push((file.to_owned(), policy));
        Ok(())
    }

    pub(in crate::cmd) fn verifiers(&self) -> Vec<&dyn Verifier> {
        self.keys.iter().map(|key| &key.verifier as &dyn Verifier).collect()
    }

    /// The keys at these positions.
    pub(super) fn keys(&self, signers: &[usize]) -> Vec<&PublicKey> {
        signers.iter().filter_map(|at| Some(&self.keys.get(*at)?.verifier)).collect()
    }

    /// Whether every policy is met by those who signed.
    pub(super) fn accept(&self, signers: &[usize], source: Source<'_>) -> Outcome {
        for (at, (file, policy)) in self.policies.iter().enumerate() {
            let unmet = policy.unmet(&self.signed(signers, at));
            if !unmet.is_empty() {
                let rules: Vec<_> = unmet.iter().map(ToString::to_string).collect();
                let (seal, policy) = (source.file.display(), file.display());
                let what = format!("`{seal}` does not meet the policy `{policy}`: {}", rules.join("; "));
                return Err(Failure::finding(anyhow::anyhow!(what)).hint(format!(
                    "who is missing signs with `custody seal sign {seal} --key NAME`; signed by {}",
                    self.signers(signers).iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Every rule of every policy, and how many of these signatures count towards it.
    pub(in crate::cmd) fn judged(&self, signers: &[usize]) -> Vec<(PathBuf, Judged)> {
        let of = |(at, (file, policy)): (usize, &'_ (PathBuf, Policy))| {
            let judged = policy.judged(&self.signed(signers, at));
            judged.into_iter().map(|rule| (file.clone(), rule)).collect::<Vec<_>>()
        };
        self.policies.iter().enumerate().flat_map(of).collect()
    }

    /// The policy that takes back the patch with this SHA-256, and why.
    pub(in crate::cmd) fn revoked(&self, patch: &str) -> Option<(&Path, &str)> {
        self.policies.iter().find_map(|(file, policy)| Some((file.as_path(), policy.revoked(patch)?)))
    }

    pub(in crate::cmd) fn signers(&self, signers: &[usize]) -> Vec<Signer> {
        let keys = signers.iter().filter_map(|at| self.keys.get(*at));
        keys.map(|key| Signer { name: key.name.clone(), key_id: key.verifier.key_id().to_string() }).collect()
    }

    /// The signatures as the policy at `at` names them: a name that it gives to a key of its own stands for no other,
    /// and another policy's names mean nothing to it.
    fn signed(&self, signers: &[usize], at: usize) -> Vec<Signed> {
        let good: Vec<KeyId> =
            signers.iter().filter_map(|at| Some(self.keys.get(*at)?.verifier.key_id())).collect();
        let taken: Vec<&str> = self.policies[at].1.key_files().map(|(name, _)| name).collect();
        let keys = self.keys.iter().map(|key| (key, key.verifier.key_id()));
        keys.filter(|(_, id)| good.contains(id))
            .map(|(key, key_id)| {
                let name = match key.policy {
                    Some(policy) if policy == at => key.name.as_str(),
                    None if !taken.contains(&key.name.as_str()) => key.name.as_str(),
                    _ => "",
                };
                Signed { name: name.to_owned(), key_id, algorithm: key.verifier.algorithm() }
            })
            .collect()
    }
}

/// The key of a file, unless the home revoked it.
fn unrevoked(file: &Path, ring: Option<&Keyring>) -> Result<PublicKey, Failure> {
    let verifier = key::read_public(file)?;
    let status = ring.map(|ring| ring.status(&verifier.key_id())).transpose().map_err(key::failure)?;
    if let Some(Status::Revoked(r)) = status {
        let what = format!("key {} was revoked: {}", verifier.key_id(), r.reason);
        return Err(Failure::finding(anyhow::anyhow!(what)).hint("use a seal that another key signed"));
    }
    Ok(verifier)
}

/// What is said of a seal that nobody who is trusted signed, or that is damaged.
pub(super) fn refused(error: SealError, bytes: &[u8], source: Source<'_>, ring: Option<&Keyring>) -> Failure {
    if let SealError::Signature(signing::SigningError::NoTrustedSignature { .. }) = error {
        return untrusted(bytes, source, ring);
    }
    let finding = matches!(
        error,
        SealError::Signature(signing::SigningError::BadSignature { .. }) | SealError::RootMismatch { .. }
    );
    let unknown = matches!(error, SealError::Unknown { .. });
    let failure = match finding {
        true => Failure::finding(
            anyhow::Error::from(error).context(format!("`{}` was tampered with", source.file.display())),
        ),
        false => malformed(error, source.file),
    };
    if unknown { failure.hint("a newer `custody` may know it") } else { failure }
}

fn untrusted(bytes: &[u8], source: Source<'_>, ring: Option<&Keyring>) -> Failure {
    let signers = Seal::unchecked_signers(bytes).unwrap_or_default();
    let keys = ring.and_then(|r| r.keys().ok()).unwrap_or_default();
    let revoked = keys.iter().find_map(|k| match &k.status {
        Status::Revoked(r) if signers.iter().any(|s| s == k.key_id.as_str()) => Some((k, r)),
        _ => None,
    });
    if let Some((key, revocation)) = revoked {
        let what = format!(
            "`{}` is signed by key `{}`, which was revoked: {}",
            source.file.display(),
            key.name,
            revocation.reason
        );
        return Failure::finding(anyhow::anyhow!(what)).hint("use a seal that another key signed");
    }
    if signers.is_empty() {
        return Failure::finding(anyhow::anyhow!("`{}` is not signed", source.file.display()))
            .hint("ask its maker for one that `custody seal create` signed");
    }
    let by = format!("key {}", signers.join(", "));
    Failure::finding(anyhow::anyhow!("`{}` is signed by {by}, which is not trusted here", source.file.display()))
        .hint("if you know whose key that is: `custody key trust FILE.pub.pem --name NAME`, or `--trust FILE.pub.pem`")
}
