//! Timestamp authorities: asked one after the other until one answers.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use authenticode::timestamp::{Timestamp, legacy_request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use pkix::Digest;
use pkix::tsp::{MAX_RESPONSE, Request};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::failure::Failure;

/// An authority that takes longer is passed over for the next.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where systems keep the authorities that they trust for the web.
const WEB_ROOTS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

#[derive(Args)]
pub(super) struct AuthorityArgs {
    /// Timestamp authority, RFC 3161; the next is asked when one fails (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Timestamp")]
    tsa: Vec<String>,
    /// Authority of the protocol before RFC 3161, asked when all others failed (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Timestamp")]
    legacy_tsa: Vec<String>,
}

impl AuthorityArgs {
    /// Whether an authority was named.
    pub(super) fn any(&self) -> bool {
        !self.tsa.is_empty() || !self.legacy_tsa.is_empty()
    }

    /// A timestamp over a signature's bytes, and whose it is; none when no authority was named.
    pub(super) fn ask(&self, value: &[u8], digest: Digest) -> Result<Option<(Timestamp, String)>, Failure> {
        if !self.any() {
            return Ok(None);
        }
        // Few authorities know SM3, and Windows none of its tokens.
        let digest = if digest == Digest::Sm3 { Digest::Sha256 } else { digest };
        let agent = agent();
        let mut refusals = Vec::new();
        let modern = self.tsa.iter().map(|url| (url, false));
        for (url, legacy) in modern.chain(self.legacy_tsa.iter().map(|url| (url, true))) {
            let answer = if legacy { old(&agent, url, value) } else { rfc3161(&agent, url, value, digest) };
            match answer {
                Ok(timestamp) => return Ok(Some((timestamp, url.clone()))),
                Err(error) => refusals.push(format!("{url}: {error:#}")),
            }
        }
        let what = format!("no timestamp authority answered: {}", refusals.join("; "));
        Err(Failure::environment(anyhow::anyhow!(what))
            .hint("nothing was changed; name one more with `--tsa URL`, or date it later with `custody pe timestamp`"))
    }
}

fn rfc3161(agent: &Agent, url: &str, value: &[u8], digest: Digest) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::rfc3161(&ask_rfc3161(agent, url, value, digest)?, value)?)
}

/// A `TimeStampToken` over `message` under SHA-256, by the first authority that gives one, and which that was.
pub(crate) fn token(urls: &[String], message: &[u8]) -> Result<(Vec<u8>, String), Failure> {
    let (agent, mut refusals) = (agent(), Vec::new());
    for url in urls {
        match ask_rfc3161(&agent, url, message, Digest::Sha256) {
            Ok(token) => return Ok((token, url.clone())),
            Err(error) => refusals.push(format!("{url}: {error:#}")),
        }
    }
    Err(Failure::environment(anyhow::anyhow!("no timestamp authority answered: {}", refusals.join("; ")))
        .hint("nothing was written; name one more with `--tsa URL`, or none"))
}

fn ask_rfc3161(agent: &Agent, url: &str, value: &[u8], digest: Digest) -> anyhow::Result<Vec<u8>> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let request = Request::new(digest, value, nonce);
    let answer = post(agent, url, "application/timestamp-query", &request.to_der())?;
    Ok(request.token(&answer)?.to_vec())
}

fn old(agent: &Agent, url: &str, value: &[u8]) -> anyhow::Result<Timestamp> {
    let request = STANDARD.encode(legacy_request(value));
    let answer = post(agent, url, "application/octet-stream", request.as_bytes())?;
    let text: Vec<u8> = answer.into_iter().filter(|byte| !byte.is_ascii_whitespace() && *byte != 0).collect();
    Ok(Timestamp::legacy(&STANDARD.decode(text)?, value)?)
}

fn post(agent: &Agent, url: &str, kind: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut answer = agent.post(url).header("Content-Type", kind).send(body)?;
    let mut bytes = Vec::new();
    // In base64 an answer is a third longer.
    answer.body_mut().as_reader().take(2 * MAX_RESPONSE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn agent() -> Agent {
    let roots = WEB_ROOTS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let certificates: Vec<_> = pkix::pem::blocks(&roots, "CERTIFICATE")
        .unwrap_or_default()
        .iter()
        .map(|der| ureq::tls::Certificate::from_der(der).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    Agent::config_builder().tls_config(tls).timeout_global(Some(PATIENCE)).build().new_agent()
}
