//! The one way out: requests with a bound on time and on what is read, without redirects.
//!
//! A redirect would send a signed request, or a token, to somebody whom nobody named.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::AnchorError;

/// For one request, from the look-up of the name to the end of the answer. Rekor answers when its batch is integrated.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read: a proof, a certificate chain, a receipt of a chain.
pub const MAX_ANSWER: usize = 4 << 20;
/// How much of an error's words is kept.
const MAX_WORDS: usize = 400;
/// Where systems keep the authorities that they trust for the web.
const WEB_ROOTS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A client.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
}

/// An answer of any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// `Location`, if it is given: never followed, only looked at.
    pub location: Option<String>,
    address: String,
}

impl Default for Http {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Http {
    /// A client that trusts these authorities (DER) for the web; without any, those of the system.
    #[must_use]
    pub fn new(authorities: &[Vec<u8>]) -> Self {
        let system = || {
            let pem = WEB_ROOTS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
            pkix::pem::blocks(&pem, "CERTIFICATE").unwrap_or_default()
        };
        let roots = if authorities.is_empty() { system() } else { authorities.to_vec() };
        let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("custody/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent }
    }

    /// Posts a body.
    ///
    /// # Errors
    /// [`AnchorError::Unreachable`] when there is no answer, [`AnchorError::Malformed`] when it is too long.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, AnchorError> {
        let request = headers.iter().fold(self.agent.post(url), |r, (name, value)| r.header(*name, *value));
        read(url, request.send(body))
    }

    /// Gets a resource.
    ///
    /// # Errors
    /// As [`Http::post`].
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, AnchorError> {
        let request = headers.iter().fold(self.agent.get(url), |r, (name, value)| r.header(*name, *value));
        read(url, request.call())
    }
}

fn read(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, AnchorError> {
    let unreachable = |source| AnchorError::Unreachable { address: url.to_owned(), source: Box::new(source) };
    let mut answer = answer.map_err(unreachable)?;
    let mut body = Vec::new();
    let taken = answer.body_mut().as_reader().take(MAX_ANSWER as u64 + 1).read_to_end(&mut body);
    taken.map_err(|e| unreachable(ureq::Error::Io(e)))?;
    if body.len() > MAX_ANSWER {
        return Err(AnchorError::malformed("answer", "it is larger than 4 MiB"));
    }
    let location = answer.headers().get("location").and_then(|at| at.to_str().ok()).map(str::to_owned);
    Ok(Answer { status: answer.status().as_u16(), body, location, address: url.to_owned() })
}

impl Answer {
    /// An answer that was not heard over the network.
    #[must_use]
    pub fn given(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, location: None, address: String::new() }
    }

    /// The body of an answer of success.
    ///
    /// # Errors
    /// [`AnchorError::Answered`] for any other.
    pub fn good(self) -> Result<Vec<u8>, AnchorError> {
        match self.status {
            200..300 => Ok(self.body),
            _ => Err(self.refused()),
        }
    }

    /// This answer as an error.
    #[must_use]
    pub fn refused(self) -> AnchorError {
        let words: String = String::from_utf8_lossy(&self.body)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_WORDS)
            .collect();
        AnchorError::Answered { address: self.address, status: self.status, words: words.trim().to_owned() }
    }
}
