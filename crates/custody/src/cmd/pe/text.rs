//! What `pe verify` and `pe show` say: the facts of a report under names that are part of the interface, and their text.

use authenticode::verify::{Finding, Kind, Report, Signature, Stamp, StampKind};
use pkix::{Certificate, Digest};
use serde::Serialize;

#[derive(Serialize)]
pub(in crate::cmd) struct Facts {
    machine: String,
    kind: &'static str,
    checksum: Check,
    findings: Vec<Broken>,
    signatures: Vec<Signed>,
}

#[derive(Serialize)]
struct Check {
    stored: String,
    computed: String,
}

#[derive(Serialize)]
struct Broken {
    rule: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    text: String,
}

#[derive(Serialize)]
pub(super) struct Signed {
    place: String,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_hashes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<Roots>,
    judged_at: String,
    timestamps: Vec<Stamped>,
    /// The signer first.
    path: Vec<Cert>,
    findings: Vec<Broken>,
}

#[derive(Serialize)]
struct Named {
    algorithm: String,
    value: String,
}

#[derive(Serialize)]
struct Roots {
    sha256: String,
    sm3: String,
}

#[derive(Serialize)]
struct Stamped {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    counts: bool,
}

#[derive(Serialize)]
struct Cert {
    subject: String,
    issuer: String,
    serial: String,
    sha1: String,
    sha256: String,
    key: String,
    not_before: String,
    not_after: String,
}

impl Facts {
    pub(in crate::cmd) fn of(report: &Report) -> Self {
        let image = &report.image;
        Self {
            machine: machine(image.machine),
            kind: match (image.is_kernel(), image.is_dll()) {
                (true, _) => "driver",
                (_, true) => "library",
                _ => "program",
            },
            checksum: Check {
                stored: format!("{:#010x}", image.checksum),
                computed: format!("{:#010x}", report.checksum),
            },
            findings: report.findings.iter().map(broken).collect(),
            signatures: report.signatures.iter().map(signed).collect(),
        }
    }

    pub(in crate::cmd) fn signers(&self) -> String {
        let names: Vec<_> =
            self.signatures.iter().filter_map(|s| s.path.first()).map(|c| c.sha1.as_str()).collect();
        names.join(",")
    }

    /// The gravest finding.
    pub(in crate::cmd) fn first_fault(&self) -> String {
        let all = || self.findings.iter().chain(self.signatures.iter().flat_map(|s| &s.findings));
        let worst = all().find(|b| b.kind == "integrity").or_else(|| all().find(|b| b.kind == "trust"));
        worst.map_or_else(|| "nothing is wrong".to_owned(), |b| b.text.clone())
    }
}

fn broken(finding: &Finding) -> Broken {
    Broken {
        rule: finding.rule.word(),
        kind: match finding.rule.kind() {
            Kind::Integrity => "integrity",
            Kind::Trust => "trust",
            Kind::Remark => "remark",
        },
        certificate: finding.certificate.clone(),
        text: finding.to_string(),
    }
}

pub(super) fn signed(signature: &Signature) -> Signed {
    let path = signature.chain.as_ref().map_or(&signature.partial, |chain| &chain.certificates);
    let mut path: Vec<Cert> = path.iter().map(cert).collect();
    if path.is_empty() {
        path.extend(signature.signer.as_ref().map(cert));
    }
    Signed {
        place: signature.place.clone(),
        holds: signature.holds(),
        digest: signature
            .digest
            .as_ref()
            .map(|(algorithm, value)| Named { algorithm: algorithm.to_string(), value: hex::encode(value) }),
        page_hashes: signature.pages.as_ref().map(|(digest, count)| format!("{digest}, {count} entries")),
        name: signature.opus.name.clone(),
        url: signature.opus.url.clone(),
        seal: signature
            .seal
            .map(|roots| Roots { sha256: hex::encode(roots.sha256), sm3: hex::encode(roots.sm3) }),
        judged_at: signature.judged_at.to_string(),
        timestamps: signature.stamps.iter().map(stamped).collect(),
        path,
        findings: signature.findings.iter().map(broken).collect(),
    }
}

fn stamped(stamp: &Stamp) -> Stamped {
    Stamped {
        kind: match stamp.kind {
            StampKind::Rfc3161 => "rfc3161",
            StampKind::Legacy => "legacy",
        },
        time: stamp.time.map(|time| time.to_string()),
        authority: stamp.authority.clone(),
        counts: stamp.counts,
    }
}

fn cert(certificate: &Certificate) -> Cert {
    Cert {
        subject: certificate.subject.to_string(),
        issuer: certificate.issuer.to_string(),
        serial: certificate.serial_hex(),
        sha1: certificate.thumbprint(Digest::Sha1),
        sha256: certificate.thumbprint(Digest::Sha256),
        key: certificate.key.describe(),
        not_before: certificate.not_before.to_string(),
        not_after: certificate.not_after.to_string(),
    }
}

/// `Machine` (PE Format, "Machine Types").
fn machine(code: u16) -> String {
    match code {
        0x014c => "x86".to_owned(),
        0x01c4 => "arm".to_owned(),
        0x8664 => "x86-64".to_owned(),
        0xaa64 => "arm64".to_owned(),
        other => format!("{other:#06x}"),
    }
}

/// The verdict, and with `explain` everything it rests on.
pub(super) fn verified(file: &str, holds: bool, facts: &Facts, explain: bool) -> String {
    let mut out = format!("`{file}` {}\n", if holds { "holds" } else { "does not hold" });
    for finding in facts.findings.iter().filter(|f| explain || f.kind != "remark") {
        out += &format!("  {:9}  {} ({})\n", finding.kind, finding.text, finding.rule);
    }
    for signature in &facts.signatures {
        out += &one(signature, explain);
    }
    out
}

/// Everything, without a verdict.
pub(super) fn shown(file: &str, facts: &Facts) -> String {
    let check = &facts.checksum;
    let mut out = format!("`{file}`: {} for {}\n", facts.kind, facts.machine);
    let note = if check.stored == check.computed { "" } else { ", computed " };
    let computed = if note.is_empty() { "" } else { &check.computed };
    out += &format!("  checksum   {}{note}{computed}\n", check.stored);
    if facts.signatures.is_empty() {
        out += "  no signature\n";
    }
    for signature in &facts.signatures {
        out += &body(signature);
    }
    out
}

fn one(signature: &Signed, explain: bool) -> String {
    let mut out = match signature.holds {
        true => format!("signature {} holds\n", signature.place),
        false => format!("signature {} does not hold\n", signature.place),
    };
    for finding in signature.findings.iter().filter(|f| explain || f.kind != "remark") {
        out += &format!("  {:9}  {} ({})\n", finding.kind, finding.text, finding.rule);
    }
    if explain {
        let body = body(signature);
        out += body.split_once('\n').map_or("", |(_, rest)| rest);
        out += &format!("  judged at  {}\n", signature.judged_at);
    } else if let Some(signer) = signature.path.first() {
        out += &format!("  signer     {}\n", signer.subject);
        for stamp in signature.timestamps.iter().filter(|stamp| stamp.counts) {
            out += &format!("  dated      {}\n", stamp.time.as_deref().unwrap_or("?"));
        }
    }
    out
}

fn body(signature: &Signed) -> String {
    let mut out = format!("signature {}\n", signature.place);
    let mut line = |name: &str, value: &str| out += &format!("  {name:9}  {value}\n");
    if let Some(digest) = &signature.digest {
        line(&digest.algorithm, &digest.value);
    }
    for (name, value) in
        [("pages", &signature.page_hashes), ("name", &signature.name), ("url", &signature.url)]
    {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let Some(seal) = &signature.seal {
        line("tree", &seal.sha256);
        line("tree sm3", &seal.sm3);
    }
    for stamp in &signature.timestamps {
        let counts = if stamp.counts { "" } else { ", does not count" };
        let authority = stamp.authority.as_deref().unwrap_or("unknown");
        line(
            "timestamp",
            &format!("{} by {authority} ({}{counts})", stamp.time.as_deref().unwrap_or("?"), stamp.kind),
        );
    }
    for (depth, cert) in signature.path.iter().enumerate() {
        line(if depth == 0 { "signer" } else { "issuer" }, &cert.subject);
        line("", &format!("{}, valid {} to {}", cert.key, cert.not_before, cert.not_after));
        line("", &format!("serial {}, sha1 {}", cert.serial, cert.sha1));
    }
    out
}
