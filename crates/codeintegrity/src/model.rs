//! What a policy says, with the names that only the XML has.

use crate::{Guid, Options, Version};

/// Which of the two kinds a policy is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PolicyType {
    /// Stands alone, or is what supplemental policies extend.
    #[default]
    Base,
    /// Widens the base policy whose identifier it names.
    Supplemental,
}

/// A code-integrity policy.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// Base or supplemental.
    pub policy_type: PolicyType,
    /// Of the policy as a whole; XML only.
    pub friendly_name: Option<String>,
    /// Its version: a signed policy is replaced only by one whose version is not lower.
    pub version: Version,
    /// Always [`crate::PLATFORM`] in practice.
    pub platform: Guid,
    /// Of this policy.
    pub policy_id: Guid,
    /// Of the base policy; the same as `policy_id` in a base policy.
    pub base_policy_id: Guid,
    /// The rule options.
    pub options: Options,
    /// Extended key usages that signers refer to.
    pub ekus: Vec<Eku>,
    /// Allow, deny and attribute rules.
    pub file_rules: Vec<FileRule>,
    /// Whose signatures count.
    pub signers: Vec<Signer>,
    /// What is allowed, for drivers (value 131) and for applications (value 12).
    pub scenarios: Vec<Scenario>,
    /// Who may sign the next version; empty in an unsigned policy. Identifiers of signers.
    pub update_policy_signers: Vec<String>,
    /// Signers that count for user-mode code.
    pub ci_signers: Vec<String>,
    /// Who may sign supplemental policies.
    pub supplemental_policy_signers: Vec<String>,
    /// Hypervisor-protected code integrity: 0 off, 1 on, 2 strict.
    pub hvci_options: u32,
    /// Typed values for other parts of Windows; the policy's name and id are among them.
    pub settings: Vec<Setting>,
}

/// An extended key usage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Eku {
    /// Identifier within the policy.
    pub id: String,
    /// XML only.
    pub friendly_name: Option<String>,
    /// `01` and the DER of the object identifier without its tag, so that `010A2B…` is an OID of ten bytes.
    pub value: Vec<u8>,
}

/// What a file rule does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RuleKind {
    /// Forbids, whoever signed it.
    Deny = 0,
    /// Allows.
    Allow = 1,
    /// Narrows a signer to files with these attributes.
    Attribute = 2,
}

/// A rule about files, by hash, by path or by what their version resource says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRule {
    /// Identifier within the policy.
    pub id: String,
    /// XML only.
    pub friendly_name: Option<String>,
    /// Deny, allow or attribute.
    pub kind: RuleKind,
    /// `OriginalFileName` of the version resource, or `*`.
    pub file_name: Option<String>,
    /// `InternalName`.
    pub internal_name: Option<String>,
    /// `FileDescription`.
    pub file_description: Option<String>,
    /// `ProductName`.
    pub product_name: Option<String>,
    /// Package family of a packaged application.
    pub package_family_name: Option<String>,
    /// Its version.
    pub package_version: Option<Version>,
    /// From this version on.
    pub minimum_version: Option<Version>,
    /// Up to this version.
    pub maximum_version: Option<Version>,
    /// Authenticode hash (SHA-1 or SHA-256, also of the first page), or the flat hash of a file that is no PE.
    pub hash: Vec<u8>,
    /// Applications that the rule is for; macros already resolved.
    pub app_ids: Vec<String>,
    /// Path, with `*` and the `%OSDRIVE%` macros.
    pub file_path: Option<String>,
}

impl FileRule {
    /// A rule of this kind that says nothing yet.
    #[must_use]
    pub fn new(id: impl Into<String>, kind: RuleKind) -> Self {
        Self {
            id: id.into(),
            friendly_name: None,
            kind,
            file_name: None,
            internal_name: None,
            file_description: None,
            product_name: None,
            package_family_name: None,
            package_version: None,
            minimum_version: None,
            maximum_version: None,
            hash: Vec::new(),
            app_ids: Vec::new(),
            file_path: None,
        }
    }
}

/// How a signer's certificate chain is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertRoot {
    /// Hash of the to-be-signed part of a certificate in the chain.
    Tbs(Vec<u8>),
    /// A root that the kernel knows by number.
    WellKnown(u8),
}

/// Someone whose signatures the policy speaks about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signer {
    /// Identifier within the policy.
    pub id: String,
    /// XML only.
    pub name: String,
    /// The certificate that must be in the chain.
    pub root: CertRoot,
    /// Identifiers of the key usages of which the leaf needs all.
    pub ekus: Vec<String>,
    /// Common name of the issuer.
    pub issuer: Option<String>,
    /// Common name of the leaf.
    pub publisher: Option<String>,
    /// OEM identifier.
    pub oem_id: Option<String>,
    /// Identifiers of attribute rules, of which the file must meet one.
    pub file_attributes: Vec<String>,
    /// Only signatures made later count: 100 ns since 1601, zero for always.
    pub sign_time_after: i64,
}

/// A signer that a scenario allows, but for some files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedSigner {
    /// Identifier of the signer.
    pub signer: String,
    /// Identifiers of deny rules.
    pub except: Vec<String>,
}

/// A signer that a scenario denies, but for some files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeniedSigner {
    /// Identifier of the signer.
    pub signer: String,
    /// Identifiers of allow rules.
    pub except: Vec<String>,
}

/// Who and what is allowed and denied, in one of the three groups of a scenario.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SignerGroup {
    /// Signers that are allowed.
    pub allowed: Vec<AllowedSigner>,
    /// Signers that are denied.
    pub denied: Vec<DeniedSigner>,
    /// Identifiers of the file rules in force.
    pub file_rules: Vec<String>,
}

/// A signing scenario: 131 for drivers, 12 for applications.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Identifier within the policy.
    pub id: String,
    /// XML only.
    pub friendly_name: Option<String>,
    /// Its number.
    pub value: u8,
    /// Identifiers of scenarios whose rules count here as well.
    pub inherited: Vec<String>,
    /// `CALG` number of the weakest hash that counts; zero for the default, SHA-256.
    pub minimum_hash_algorithm: u16,
    /// For production signing.
    pub product: Option<SignerGroup>,
    /// For test signing.
    pub test: Option<SignerGroup>,
    /// For test signing of signers.
    pub test_signing: Option<SignerGroup>,
}

/// A typed value for another part of Windows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Who reads it.
    pub provider: String,
    /// Its key.
    pub key: String,
    /// The name of the value.
    pub value_name: String,
    /// The value.
    pub value: Value,
}

/// The value of a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `Boolean`.
    Boolean(bool),
    /// `DWord`.
    Number(u32),
    /// `Binary`.
    Bytes(Vec<u8>),
    /// `String`.
    Text(String),
}
