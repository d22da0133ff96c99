//! What Windows would refuse, or regret, before it is deployed.

use crate::model::{CertRoot, Policy, PolicyType};

/// What Windows consists of: a name, the key usage (`01` and the object identifier), the number of the root.
/// The roots are the kernel's own: 4, 5, 6 are Microsoft's product roots (MD5, SHA-1, 2010).
pub(crate) const WINDOWS: &[(&str, &[u8], u8)] = &[
    ("WINDOWS", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0A, 3, 6], 6),
    ("ELAM", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x3D, 4, 1], 6),
    ("HAL_EXT", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x3D, 5, 1], 6),
    ("WHQL", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0A, 3, 5], 6),
    ("WHQL", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0A, 3, 5], 5),
    ("WHQL", &[1, 0x0A, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0A, 3, 5], 4),
];

/// One thing that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Whether Windows refuses the policy, or the machine, because of it.
    pub fatal: bool,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub mend: &'static str,
}

/// The key that is to sign a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKey {
    /// Bits of an RSA key; nothing for any other kind.
    pub rsa_bits: Option<u32>,
    /// Hashes of the to-be-signed parts of the certificates in the signer's chain.
    pub chain: Vec<Vec<u8>>,
}

fn fatal(what: impl Into<String>, mend: &'static str) -> Finding {
    Finding { fatal: true, what: what.into(), mend }
}

fn doubt(what: impl Into<String>, mend: &'static str) -> Finding {
    Finding { fatal: false, what: what.into(), mend }
}

/// What speaks against deploying the policy.
#[must_use]
pub fn deployable(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    let enforced = !policy.options.has("Enabled:Audit Mode");
    let base = policy.policy_type == PolicyType::Base;
    let known = |root: u8| policy.signers.iter().any(|signer| signer.root == CertRoot::WellKnown(root));
    if base && enforced && !known(6) {
        found.push(fatal(
            "an enforced base policy that does not allow Windows itself",
            "allow Windows, or make it a supplemental policy; otherwise the machine does not start",
        ));
    }
    if base && enforced && !policy.options.has("Enabled:Advanced Boot Options Menu") {
        found.push(doubt("there is no boot menu to recover with", "set Enabled:Advanced Boot Options Menu"));
    }
    if base && !policy.options.has("Enabled:UMCI") {
        found.push(doubt("applications are not checked, only drivers", "set Enabled:UMCI"));
    }
    if !base && policy.base_policy_id == policy.policy_id {
        found.push(fatal("a supplemental policy that names itself as its base", "name the base policy"));
    }
    if policy.options.has("Enabled:Unsigned System Integrity Policy")
        && !policy.update_policy_signers.is_empty()
    {
        found.push(doubt(
            "it names who may sign updates, and may itself be unsigned",
            "take away Enabled:Unsigned System Integrity Policy, or the signers",
        ));
    }
    found
}

/// What speaks against signing the policy with this key. Windows refuses to start with a signed policy that breaks
/// these rules, and a signed policy cannot be taken away again without its signer.
#[must_use]
pub fn signable(policy: &Policy, key: &SigningKey) -> Vec<Finding> {
    let mut found = Vec::new();
    if policy.options.has("Enabled:Unsigned System Integrity Policy") {
        found.push(fatal(
            "the option Enabled:Unsigned System Integrity Policy contradicts a signature",
            "take the option away before the policy is signed",
        ));
    }
    if policy.update_policy_signers.is_empty() {
        found.push(fatal(
            "it names nobody who may sign its next version",
            "add an UpdatePolicySigner; a signed policy without one can never be replaced",
        ));
    } else if !by_one_of(policy, &policy.update_policy_signers, &key.chain) {
        found.push(fatal(
            "the signing certificate is not among those that may sign its next version",
            "sign with a certificate under an UpdatePolicySigner, or add its authority",
        ));
    }
    let allows_more = policy.options.has("Enabled:Allow Supplemental Policies");
    if allows_more && policy.supplemental_policy_signers.is_empty() {
        found.push(doubt(
            "it allows supplemental policies and names nobody who may sign them",
            "add a SupplementalPolicySigner, or take the option away",
        ));
    }
    match key.rsa_bits {
        Some(2048 | 3072 | 4096) => {}
        Some(bits) => found.push(fatal(format!("an RSA key of {bits} bits"), "use 2048, 3072 or 4096 bits")),
        None => found
            .push(fatal("the key is not RSA", "sign policies with RSA; Windows takes no other kind here")),
    }
    found
}

fn by_one_of(policy: &Policy, ids: &[String], chain: &[Vec<u8>]) -> bool {
    policy.signers.iter().filter(|signer| ids.contains(&signer.id)).any(|signer| match &signer.root {
        CertRoot::Tbs(hash) => chain.contains(hash),
        CertRoot::WellKnown(_) => false,
    })
}
