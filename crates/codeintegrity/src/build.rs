//! A policy from evidence: what was sealed may run, and each rule says by its identifier which entry it comes from.

use crate::check::WINDOWS;
use crate::error::PolicyError;
use crate::judge::{APPLICATIONS, DRIVERS};
use crate::model::{
    AllowedSigner, CertRoot, Eku, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting, Signer,
    SignerGroup, Value,
};
use crate::{Guid, PLATFORM, Version};

/// A file that may run.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// What a person calls it: its path in the seal.
    pub path: String,
    /// What ties the rule to its seal entry, such as the first digits of the entry's leaf hash: letters, digits, `_`.
    pub trace: String,
    /// Hashes and what they are of, such as `("Sha256", …)`, `("Page Sha256", …)`.
    pub hashes: Vec<(&'static str, Vec<u8>)>,
    /// Whether it runs in the kernel, and so must be allowed there as well.
    pub driver: bool,
}

/// Makes a policy.
pub struct Builder {
    policy: Policy,
    allowed: Vec<String>,
    drivers: Vec<String>,
    signers: Vec<String>,
}

impl Builder {
    /// A base policy, unsigned, for applications and drivers, that allows nothing yet; in audit mode until
    /// [`Builder::enforce`].
    #[must_use]
    pub fn base(name: &str, id: Guid, version: Version) -> Self {
        let mut policy = Policy {
            version,
            platform: PLATFORM,
            policy_id: id,
            base_policy_id: id,
            settings: information(name, id),
            ..Policy::default()
        };
        let options = [
            "Enabled:UMCI",
            "Enabled:Audit Mode",
            "Enabled:Unsigned System Integrity Policy",
            "Enabled:Advanced Boot Options Menu",
            "Enabled:Update Policy No Reboot",
            "Enabled:Allow Supplemental Policies",
        ];
        for option in options {
            let _ = policy.options.insert(option); // they are in the table
        }
        Self { policy, allowed: Vec::new(), drivers: Vec::new(), signers: Vec::new() }
    }

    /// A policy that widens `base`. It inherits everything else from it, audit mode too.
    #[must_use]
    pub fn supplement(name: &str, id: Guid, base: Guid, version: Version) -> Self {
        let mut builder = Self::base(name, id, version);
        builder.policy.policy_type = PolicyType::Supplemental;
        builder.policy.base_policy_id = base;
        builder.policy.options = crate::Options::default();
        let _ = builder.policy.options.insert("Enabled:Unsigned System Integrity Policy"); // it is in the table
        builder
    }

    /// Blocks what is not allowed, instead of reporting it.
    pub fn enforce(&mut self) {
        self.policy.options.remove("Enabled:Audit Mode");
    }

    /// Allows what Windows itself consists of. Without it, an enforced base policy keeps Windows from starting.
    pub fn windows(&mut self) {
        for (id, value, root) in WINDOWS {
            let eku = format!("ID_EKU_{id}");
            if !self.policy.ekus.iter().any(|known| known.id == eku) {
                let value = value.to_vec();
                self.policy.ekus.push(Eku { id: eku.clone(), friendly_name: Some((*id).to_owned()), value });
            }
            let signer = Signer {
                ekus: vec![eku],
                ..named(
                    format!("ID_SIGNER_{id}_{root:02X}"),
                    format!("Microsoft, {id}"),
                    CertRoot::WellKnown(*root),
                )
            };
            self.signers.push(signer.id.clone());
            self.policy.signers.push(signer);
        }
    }

    /// Allows a file by its hashes.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a member without hashes or with a trace that no identifier can hold.
    pub fn member(&mut self, member: &Member) -> Result<(), PolicyError> {
        traceable(&member.path, &member.trace)?;
        if member.hashes.is_empty() {
            return Err(PolicyError::unsupported(member.path.as_str(), "there is no hash of it"));
        }
        for (what, hash) in &member.hashes {
            let rule = FileRule {
                friendly_name: Some(format!("{} Hash {what}", member.path)),
                hash: hash.clone(),
                ..FileRule::new(hash_rule_id(&member.trace, what), RuleKind::Allow)
            };
            if member.driver && !self.drivers.contains(&rule.id) {
                self.drivers.push(rule.id.clone());
            }
            self.allow(rule);
        }
        Ok(())
    }

    /// Allows what stands at a path that only administrators can write to; `%OSDRIVE%`, `%WINDIR%`, `%SYSTEM32%` and
    /// one `*` may stand in it.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a trace that no identifier can hold.
    pub fn path(&mut self, path: &str, trace: &str) -> Result<(), PolicyError> {
        traceable(path, trace)?;
        self.allow(FileRule {
            friendly_name: Some(format!("path {path}")),
            minimum_version: Some(Version::ZERO),
            file_path: Some(path.to_owned()),
            ..FileRule::new(format!("ID_ALLOW_{trace}_PATH"), RuleKind::Allow)
        });
        Ok(())
    }

    /// Allows what `publisher` signs with a certificate issued under the authority whose to-be-signed part hashes to
    /// `tbs`.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a trace that no identifier can hold.
    pub fn publisher(
        &mut self,
        authority: &str,
        tbs: &[u8],
        publisher: &str,
        trace: &str,
    ) -> Result<(), PolicyError> {
        traceable(publisher, trace)?;
        let id = format!("ID_SIGNER_{trace}");
        if self.policy.signers.iter().any(|signer| signer.id == id) {
            return Ok(());
        }
        let root = CertRoot::Tbs(tbs.to_vec());
        let signer =
            Signer { publisher: Some(publisher.to_owned()), ..named(id.clone(), authority.to_owned(), root) };
        self.policy.signers.push(signer);
        self.policy.ci_signers.push(id.clone());
        self.signers.push(id);
        Ok(())
    }

    /// Names who may sign the next version, and thereby this one: a signed policy is for ever replaced only by one
    /// that they signed.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a trace that no identifier can hold.
    pub fn updated_by(&mut self, name: &str, tbs: &[u8], trace: &str) -> Result<(), PolicyError> {
        traceable(name, trace)?;
        let id = format!("ID_SIGNER_UPDATE_{trace}");
        self.policy.signers.push(named(id.clone(), name.to_owned(), CertRoot::Tbs(tbs.to_vec())));
        self.policy.update_policy_signers.push(id.clone());
        if self.policy.options.has("Enabled:Allow Supplemental Policies") {
            self.policy.supplemental_policy_signers.push(id);
        }
        self.policy.options.remove("Enabled:Unsigned System Integrity Policy");
        Ok(())
    }

    /// Says what the policy was made from, in a setting that Windows keeps and hands to whoever asks for it.
    pub fn about(&mut self, key: &str, value_name: &str, text: &str) {
        self.policy.settings.push(Setting {
            provider: "Custody".to_owned(),
            key: key.to_owned(),
            value_name: value_name.to_owned(),
            value: Value::Text(text.to_owned()),
        });
    }

    fn allow(&mut self, rule: FileRule) {
        if !self.allowed.contains(&rule.id) {
            self.allowed.push(rule.id.clone());
            self.policy.file_rules.push(rule);
        }
    }

    /// The policy. Sealed files are allowed as applications, drivers and Windows also as drivers.
    #[must_use]
    pub fn finish(mut self) -> Policy {
        let allowed = |signers: &[String]| -> Vec<AllowedSigner> {
            signers.iter().map(|id| AllowedSigner { signer: id.clone(), except: Vec::new() }).collect()
        };
        let windows: Vec<String> =
            self.signers.iter().filter(|id| !self.policy.ci_signers.contains(id)).cloned().collect();
        let drivers =
            SignerGroup { allowed: allowed(&windows), file_rules: self.drivers, ..SignerGroup::default() };
        let applications = SignerGroup {
            allowed: allowed(&self.signers),
            file_rules: self.allowed,
            ..SignerGroup::default()
        };
        self.policy.scenarios = vec![
            group("ID_SIGNINGSCENARIO_DRIVERS_1", "drivers", DRIVERS, drivers),
            group("ID_SIGNINGSCENARIO_WINDOWS", "applications", APPLICATIONS, applications),
        ];
        self.policy
    }
}

/// The identifier of the rule for one hash of a member, such as `ID_ALLOW_0123ABCD_PAGE_SHA256`.
#[must_use]
pub fn hash_rule_id(trace: &str, what: &str) -> String {
    format!("ID_ALLOW_{trace}_{}", what.replace(' ', "_").to_uppercase())
}

fn group(id: &str, name: &str, value: u8, product: SignerGroup) -> Scenario {
    Scenario {
        id: id.to_owned(),
        friendly_name: Some(name.to_owned()),
        value,
        inherited: Vec::new(),
        minimum_hash_algorithm: 0,
        product: Some(product),
        test: None,
        test_signing: None,
    }
}

fn named(id: String, name: String, root: CertRoot) -> Signer {
    Signer {
        id,
        name,
        root,
        ekus: Vec::new(),
        issuer: None,
        publisher: None,
        oem_id: None,
        file_attributes: Vec::new(),
        sign_time_after: 0,
    }
}

/// What Windows shows of a policy.
fn information(name: &str, id: Guid) -> Vec<Setting> {
    let setting = |value_name: &str, value: String| Setting {
        provider: "PolicyInfo".to_owned(),
        key: "Information".to_owned(),
        value_name: value_name.to_owned(),
        value: Value::Text(value),
    };
    vec![setting("Name", name.to_owned()), setting("Id", id.to_string())]
}

fn traceable(what: &str, trace: &str) -> Result<(), PolicyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !trace.is_empty() && trace.len() <= 128 && trace.bytes().all(plain) {
        return Ok(());
    }
    Err(PolicyError::unsupported(what, format!("`{trace}` cannot be part of an identifier")))
}
