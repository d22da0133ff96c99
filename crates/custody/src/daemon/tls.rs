//! TLS for the listeners: TLS 1.2 and 1.3 by rustls, client certificates under the operator's authority, and the
//! name that such a certificate carries.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::settings::Tls;
use crate::failure::Failure;

/// Reads certificates and keys. With `or_token`, a client may come without a certificate and show a token instead.
pub(crate) fn config(tls: &Tls, or_token: bool) -> Result<Arc<ServerConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Failure::environment)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| unusable(path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if or_token { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| unusable(path, e))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| unusable(&tls.key, e))?;
    let mut config =
        builder.with_single_cert(certificates(&tls.cert)?, key).map_err(|e| unusable(&tls.cert, e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).map_err(|e| unusable(path, e))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| unusable(path, e))?;
    if all.is_empty() {
        return Err(unusable(path, anyhow::anyhow!("it holds no certificate")));
    }
    Ok(all)
}

fn unusable(path: &Path, why: impl Into<anyhow::Error>) -> Failure {
    Failure::input(why.into().context(format!("cannot use {}", path.display())))
        .hint("certificates and keys are PEM files; the key must belong to the first certificate")
}

/// The name of a client, from the subject's alternative names (RFC 5280 §4.2.1.6): a URI (SPIFFE) before a DNS name
/// before a mail address. The common name is not one: RFC 6125 §1.5 has retired it.
pub(crate) fn name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let (_, names) = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()??;
    let pick = |choose: fn(&GeneralName) -> Option<&str>| names.0.iter().find_map(choose);
    let found = pick(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    })
    .or_else(|| {
        pick(|name| match name {
            GeneralName::DnsName(dns) => Some(dns.as_str()),
            _ => None,
        })
    })
    .or_else(|| {
        pick(|name| match name {
            GeneralName::Rfc822Name(mail) => Some(mail.as_str()),
            _ => None,
        })
    })?;
    (!found.is_empty() && found.len() <= 256).then(|| found.to_owned())
}
