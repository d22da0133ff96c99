//! The checksum database over HTTP: through a proxy that serves it, else itself.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use evidence::modules::Files;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::env;
use crate::failure::Failure;

/// An answer of the database is never longer.
const MAX_ANSWER: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// Where systems keep the certificates that they trust; `SSL_CERT_FILE` comes before them.
const BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

pub(super) struct Online {
    agent: ureq::Agent,
    /// Addresses that the paths of the database are appended to; the first that answers is kept.
    bases: Vec<String>,
    /// Whether the first was seen to answer.
    settled: bool,
}

impl Online {
    /// `GOSUMDB` may hold an address behind the key; `GOPROXY` lists proxies, which may serve the database below
    /// `/sumdb/` (golang.org/design/25530-sumdb, "Proxying a Checksum Database"); without either the database is asked.
    pub(super) fn from_environment(name: &str) -> Result<Self, Failure> {
        let sumdb = env("GOSUMDB").unwrap_or_default();
        if sumdb == "off" {
            return Err(Failure::input(anyhow!("GOSUMDB is off")).hint("leave out `--online`"));
        }
        let direct = sumdb.split_ascii_whitespace().nth(1).map(ToOwned::to_owned);
        let proxies = env("GOPROXY").unwrap_or_default();
        let proxies =
            proxies.split([',', '|']).filter(|p| p.starts_with("http://") || p.starts_with("https://"));
        let mut bases: Vec<String> = match direct {
            Some(address) => vec![address.trim_end_matches('/').to_owned()],
            None => proxies.map(|p| format!("{}/sumdb/{name}", p.trim_end_matches('/'))).collect(),
        };
        if bases.is_empty() || name.starts_with("sum.golang.org") {
            bases.push(format!("https://{name}"));
        }
        Ok(Self { agent: agent()?, bases, settled: false })
    }

    fn get(&self, base: &str, path: &str) -> io::Result<Option<Vec<u8>>> {
        let answer = match self.agent.get(format!("{base}/{path}")).call() {
            Ok(answer) => answer,
            // What a database or a proxy says of something that it does not have.
            Err(ureq::Error::StatusCode(404 | 410)) => return Ok(None),
            Err(error) => return Err(io::Error::other(error)),
        };
        let mut bytes = Vec::new();
        answer.into_body().into_reader().take(MAX_ANSWER).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl Files for Online {
    fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if self.settled {
            return self.get(&self.bases[0], path);
        }
        let mut last = Ok(None);
        for at in 0..self.bases.len() {
            match self.get(&self.bases[at], path) {
                Ok(Some(answer)) => {
                    self.bases.swap(0, at);
                    self.settled = true;
                    return Ok(Some(answer));
                }
                other => last = other,
            }
        }
        last
    }
}

fn agent() -> Result<ureq::Agent, Failure> {
    let roots = env("SSL_CERT_FILE").into_iter().chain(BUNDLES.iter().map(|b| (*b).to_owned()));
    let pem = roots.into_iter().find_map(|file| std::fs::read(file).ok()).unwrap_or_default();
    let certificates = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates.collect::<Vec<_>>()))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(PATIENCE)).build();
    Ok(config.into())
}
