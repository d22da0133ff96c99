//! The three things that tie a program to whoever publishes it: the digest of its bytes, the fingerprint of its
//! signer's certificate, and a record in the name system under the domain that it is offered at.

use pkix::{Certificate, Digest};
use serde::Serialize;

/// Bytes of one text of a TXT record (RFC 1035 §3.3.14).
const MAX_TXT: usize = 255;

/// The names are part of the interface.
#[derive(Clone, Serialize)]
pub(super) struct Anchors {
    pub(super) file: FileAnchor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<CertificateAnchor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<DomainAnchor>,
}

#[derive(Clone, Serialize)]
pub(super) struct FileAnchor {
    pub(super) name: String,
    /// 64 lower-case digits.
    pub(super) sha256: String,
}

/// One fingerprint in the spellings that different forms ask for.
#[derive(Clone, Serialize)]
pub(super) struct CertificateAnchor {
    pub(super) subject: String,
    /// 40 upper-case digits, as `GetCertHashString` of .NET gives them: the form of the submission.
    pub(super) sha1: String,
    /// As `openssl x509 -fingerprint` prints it.
    pub(super) sha1_colons: String,
    /// As the certificate manager of Windows shows it.
    pub(super) sha1_spaces: String,
    /// What `signtool /sha1` and `Get-ChildItem Cert:` take is the first; the SHA-256 is for everybody else.
    pub(super) sha256: String,
    pub(super) not_after: String,
}

#[derive(Clone, Serialize)]
pub(super) struct DomainAnchor {
    pub(super) domain: String,
    /// Where the record belongs.
    pub(super) record: String,
    /// What it says.
    pub(super) text: String,
    /// Whether it was found among the records that were handed in; none when none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) published: Option<bool>,
}

impl CertificateAnchor {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let sha1 = certificate.thumbprint(Digest::Sha1).to_uppercase();
        let pairs: Vec<&str> = (0..sha1.len() / 2).map(|at| &sha1[2 * at..2 * at + 2]).collect();
        Self {
            subject: certificate.subject.to_string(),
            sha1_colons: pairs.join(":"),
            sha1_spaces: pairs.join(" ").to_lowercase(),
            sha256: certificate.thumbprint(Digest::Sha256).to_uppercase(),
            not_after: certificate.not_after.to_string(),
            sha1,
        }
    }
}

impl DomainAnchor {
    /// The record that ties a file and a certificate to a domain. `found` is what the name system says now, as
    /// `dig +short TXT` prints it.
    pub(super) fn of(
        domain: &str,
        file: &FileAnchor,
        certificate: Option<&CertificateAnchor>,
        found: &[String],
    ) -> Self {
        let mut text = format!("custody-release=1; sha256={}", file.sha256);
        if let Some(certificate) = certificate {
            text += &format!("; cert-sha1={}", certificate.sha1);
        }
        debug_assert!(text.len() <= MAX_TXT, "two fingerprints are shorter than a text of a record");
        let clean = |line: &String| line.replace("\" \"", "").trim().trim_matches('"').to_owned();
        let lines: Vec<String> = found.iter().flat_map(|all| all.lines().map(str::to_owned)).collect();
        let published = (!found.is_empty()).then(|| lines.iter().map(clean).any(|line| line == text));
        Self { domain: domain.to_owned(), record: format!("_custody.{domain}. IN TXT"), text, published }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_however_it_is_quoted() {
        let file = FileAnchor { name: "app.exe".into(), sha256: "ab".repeat(32) };
        let anchor = DomainAnchor::of("download.example.com", &file, None, &[]);
        assert_eq!(anchor.published, None);
        assert!(anchor.text.len() <= MAX_TXT);
        let (front, back) = anchor.text.split_at(20);
        for (line, found) in [
            (format!("\"{}\"", anchor.text), true),
            (format!("\"v=spf1 -all\"\n\"{front}\" \"{back}\"\n"), true),
            (format!("\"{}00\"", anchor.text), false),
            (String::new(), false),
        ] {
            let anchor = DomainAnchor::of("download.example.com", &file, None, std::slice::from_ref(&line));
            assert_eq!(anchor.published, Some(found), "{line}");
        }
    }
}
