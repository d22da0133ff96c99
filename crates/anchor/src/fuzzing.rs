//! Oracles over outside bytes, shared by the fuzz targets and the tests that replay their corpora.

use crate::sigstore::{Artifact, Bundle, Policy, Signer, TrustedRoot};
use crate::verify::{Trust, Verdict};
use crate::{Anchored, Subject};

/// A proof file that is read is written again to one that reads the same, and proves nothing to who trusts nobody.
///
/// # Panics
/// When one of these does not hold.
pub fn receipt(data: &[u8]) {
    let Ok(file) = Anchored::parse(data) else { return };
    let again = file.to_json().expect("what was read is within the limits");
    assert_eq!(Anchored::parse(&again).expect("what was written is read"), file);
    let findings = crate::verify::verify(&file, &file.subject, &Trust::default());
    assert!(findings.iter().all(|f| f.verdict != Verdict::Holds), "{findings:?}");
    let other = Subject::of("other", b"other bytes");
    let findings = crate::verify::verify(&file, &other, &Trust::default());
    assert!(file.subject.is(&other) || findings.iter().all(|f| f.verdict == Verdict::Broken));
}

/// A bundle that is read is written again to one that reads the same, and holds for nobody who trusts nobody.
///
/// # Panics
/// When one of these does not hold.
pub fn bundle(data: &[u8]) {
    let Ok(bundle) = Bundle::parse(data) else { return };
    let again = bundle.to_json().expect("what was read is within the limits");
    assert_eq!(Bundle::parse(&again).expect("what was written is read"), bundle);
    let identity = crate::sigstore::Identity { name: String::new(), issuer: String::new() };
    let (root, signer) = (TrustedRoot::default(), Signer::Identity(identity));
    let policy = Policy { root: &root, signer: &signer, now: pkix::Time(2_000_000_000), logged: true };
    assert!(crate::sigstore::verify(&bundle, &Artifact::Statement, &policy).is_err());
}

/// An answer of either version of Rekor is read or refused.
pub fn rekor(data: &[u8]) {
    crate::rekor::read_answers(data);
}

/// A trusted root is read or refused.
pub fn root(data: &[u8]) {
    let _ = TrustedRoot::parse(data);
}

/// An answer of any platform of chains is read or refused.
///
/// # Panics
/// When a transaction without a name is found in one.
pub fn baas(data: &[u8]) {
    crate::baas::read_answers(data);
}

/// An answer of a witness, or its key, is read or refused.
pub fn witness(data: &[u8]) {
    crate::witness::read_answers(data);
}

/// An answer of Fulcio is read or refused.
pub fn fulcio(data: &[u8]) {
    let _ = crate::sigstore::parse_certificate(data);
}
