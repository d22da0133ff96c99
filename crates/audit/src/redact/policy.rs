//! `<home>/redaction.toml`: which fields are personal, whose they are, and what is done with them at which severity.
//! The form is `docs/formats/redaction.md`.

use std::collections::HashSet;

use event::Severity;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::detect::Kind;
use super::mask::Keep;
use super::pattern::{Pattern, Section};
use crate::vault::Cipher;

/// Name of the file in the home.
pub const POLICY: &str = "redaction.toml";
/// The version of the format that this program reads.
const VERSION: u32 = 1;
/// A larger file is refused.
pub(crate) const MAX_FILE: usize = 256 * 1024;
/// Rules stand in a set of 64 bits.
const MAX_RULES: usize = 64;
/// Path patterns of a rule.
const MAX_FIELDS: usize = 256;
/// Memory that the operator's patterns may compile to.
const REGEX_SIZE: usize = 1 << 20;

/// What is done with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It stays.
    Keep,
    /// A shape that shows a few characters.
    Mask,
    /// The first characters; of an address, its network.
    Truncate,
    /// A token under the subject's key.
    Hash,
    /// Sealed under the subject's key; with a token beside it, if `token`.
    Seal {
        /// The mode.
        cipher: Cipher,
        /// Whether equal values are to be found.
        token: bool,
    },
}

impl Action {
    fn parse(word: &str) -> Result<Self, String> {
        let seal = |cipher, token| Ok(Self::Seal { cipher, token });
        match word {
            "keep" => Ok(Self::Keep),
            "mask" => Ok(Self::Mask),
            "truncate" => Ok(Self::Truncate),
            "hmac-sm3" => Ok(Self::Hash),
            "sm4-gcm" => seal(Cipher::Sm4Gcm, false),
            "sm4-ctr" => seal(Cipher::Sm4Ctr, false),
            "sm4-gcm+hmac-sm3" => seal(Cipher::Sm4Gcm, true),
            "sm4-ctr+hmac-sm3" => seal(Cipher::Sm4Ctr, true),
            ecb if ecb.to_ascii_lowercase().contains("ecb") => {
                Err("ECB is not offered: equal values would give equal ciphertext, and be found by counting"
                    .into())
            }
            other => {
                let other: String = other.chars().take(40).collect();
                Err(format!(
                    "`{other}` is no action: keep, mask, truncate, hmac-sm3, sm4-gcm, sm4-ctr, sm4-gcm+hmac-sm3, sm4-ctr+hmac-sm3"
                ))
            }
        }
    }

    /// Its word in the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Mask => "mask",
            Self::Truncate => "truncate",
            Self::Hash => "hmac-sm3",
            Self::Seal { cipher: Cipher::Sm4Gcm, token: false } => "sm4-gcm",
            Self::Seal { cipher: Cipher::Sm4Ctr, token: false } => "sm4-ctr",
            Self::Seal { cipher: Cipher::Sm4Gcm, token: true } => "sm4-gcm+hmac-sm3",
            Self::Seal { cipher: Cipher::Sm4Ctr, token: true } => "sm4-ctr+hmac-sm3",
        }
    }

    pub(crate) fn needs_vault(self) -> bool {
        matches!(self, Self::Hash | Self::Seal { .. })
    }
}

/// How a rule recognises a value.
pub(crate) enum Detector {
    Kind(Kind),
    Pattern(regex::bytes::Regex),
}

/// Where the identifier of the data subject is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// In another field of the event.
    Field { kind: String, section: Section, name: String },
    /// The value itself names its subject.
    Value { kind: String },
}

/// A rule.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) fields: Vec<Pattern>,
    pub(crate) detect: Option<Detector>,
    pub(crate) subject: Vec<Source>,
    /// By severity, from DEBUG.
    pub(crate) actions: [Action; 5],
    pub(crate) keep: Keep,
    pub(crate) length: usize,
}

impl Rule {
    pub(crate) fn action(&self, severity: Severity) -> Action {
        self.actions[severity as usize]
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.detect {
            Some(Detector::Kind(kind)) => Some(kind),
            _ => None,
        }
    }
}

/// A policy, ready to be applied.
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    version: u64,
    sha256: [u8; 32],
    stamp: String,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    policy: u64,
    #[serde(default)]
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    label: Option<String>,
    #[serde(default)]
    fields: Vec<String>,
    detect: Option<String>,
    pattern: Option<String>,
    subject: Option<Sources>,
    action: Actions,
    keep_first: Option<usize>,
    keep_last: Option<usize>,
    length: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sources {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Actions {
    One(String),
    BySeverity(BySeverity),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BySeverity {
    debug: String,
    info: Option<String>,
    warn: Option<String>,
    error: Option<String>,
    critical: Option<String>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The rule of the format that it breaks, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_FILE {
            return Err("it is larger than 256 KiB".into());
        }
        let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        if file.version != VERSION {
            return Err(format!("version {} of the format is unknown", file.version));
        }
        if file.rule.len() > MAX_RULES {
            return Err(format!("it has {} rules; {MAX_RULES} are allowed", file.rule.len()));
        }
        let mut names = HashSet::new();
        let mut rules = Vec::with_capacity(file.rule.len());
        for written in file.rule {
            let name: String = written.name.chars().take(64).collect();
            if !names.insert(written.name.clone()) {
                return Err(format!("rule `{name}` is there twice"));
            }
            rules.push(rule(written).map_err(|why| format!("rule `{name}`: {why}"))?);
        }
        let sha256: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let stamp = format!("{}:{}", file.policy, hex::encode(sha256));
        Ok(Self { rules, version: file.policy, sha256, stamp })
    }

    /// The operator's number of it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// SHA-256 of the file, as `sha256sum` prints it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// What is written into every event that was admitted under it: `<version>:<SHA-256>`.
    #[must_use]
    pub fn stamp(&self) -> &str {
        &self.stamp
    }

    /// Whether any rule needs the vault at some severity.
    #[must_use]
    pub fn needs_vault(&self) -> bool {
        self.rules.iter().any(|rule| rule.actions.iter().any(|action| action.needs_vault()))
    }
}

fn rule(written: Written) -> Result<Rule, String> {
    let label = written.label.unwrap_or_else(|| written.name.clone());
    let word =
        |text: &str| event_name(text).then_some(()).ok_or_else(|| format!("`{}` is not a name", cut(text)));
    word(&written.name)?;
    word(&label)?;
    if written.fields.len() > MAX_FIELDS {
        return Err(format!("it names more than {MAX_FIELDS} fields"));
    }
    let fields: Vec<Pattern> =
        written.fields.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
    let detect = detector(written.detect.as_deref(), written.pattern.as_deref())?;
    if fields.is_empty() && detect.is_none() {
        return Err("it has neither `fields` nor `detect`, so it finds nothing".into());
    }
    let sources = match written.subject {
        None => Vec::new(),
        Some(Sources::One(one)) => vec![one],
        Some(Sources::Several(several)) => several,
    };
    let subject = sources.iter().map(|text| source(text)).collect::<Result<_, _>>()?;
    let keep = Keep { first: written.keep_first.unwrap_or(0), last: written.keep_last.unwrap_or(0) };
    if keep.first > 64 || keep.last > 64 {
        return Err("`keep_first` and `keep_last` are at most 64".into());
    }
    let length = written.length.unwrap_or(4);
    if length > 4096 {
        return Err("`length` is at most 4096".into());
    }
    Ok(Rule {
        name: written.name,
        label,
        fields,
        detect,
        subject,
        actions: actions(&written.action)?,
        keep,
        length,
    })
}

/// The action at each severity: the one that is written for it, else that of the next lower one.
fn actions(written: &Actions) -> Result<[Action; 5], String> {
    match written {
        Actions::One(word) => Ok([Action::parse(word)?; 5]),
        Actions::BySeverity(by) => {
            let mut action = Action::parse(&by.debug)?;
            let mut all = [action; 5];
            for (slot, word) in all.iter_mut().skip(1).zip([&by.info, &by.warn, &by.error, &by.critical]) {
                if let Some(word) = word {
                    action = Action::parse(word)?;
                }
                *slot = action;
            }
            Ok(all)
        }
    }
}

fn detector(detect: Option<&str>, pattern: Option<&str>) -> Result<Option<Detector>, String> {
    match (detect, pattern) {
        (None, None) => Ok(None),
        (Some("pattern"), Some(pattern)) => compiled(pattern).map(|regex| Some(Detector::Pattern(regex))),
        (Some("pattern"), None) => Err("`detect = \"pattern\"` needs a `pattern`".into()),
        (Some(kind), None) => match Kind::parse(kind) {
            Some(kind) => Ok(Some(Detector::Kind(kind))),
            None => {
                Err(format!("`{}` is not detected: mobile, idcard, bankcard, email, ip, pattern", cut(kind)))
            }
        },
        (_, Some(_)) => Err("a `pattern` needs `detect = \"pattern\"`".into()),
    }
}

/// Bytes and ASCII classes: what a match cuts of a character is added to it where it is applied.
fn compiled(pattern: &str) -> Result<regex::bytes::Regex, String> {
    let regex = regex::bytes::RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .nest_limit(32)
        .build()
        .map_err(|e| format!("the pattern cannot be used: {e}"))?;
    if regex.is_match(b"") {
        return Err("the pattern matches nothing at all, and so everything".into());
    }
    Ok(regex)
}

fn source(text: &str) -> Result<Source, String> {
    let bad = || format!("`{}` is not `KIND=FIELD` (as `customer=sub.customer`) or `KIND=value`", cut(text));
    let (kind, from) = text.split_once('=').ok_or_else(bad)?;
    if !event_name(kind) {
        return Err(bad());
    }
    if from == "value" {
        return Ok(Source::Value { kind: kind.to_owned() });
    }
    let (section, name) = Section::split(from).filter(|(_, name)| event_name(name)).ok_or_else(bad)?;
    Ok(Source::Field { kind: kind.to_owned(), section, name: name.to_owned() })
}

/// The form of names inside events.
fn event_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
