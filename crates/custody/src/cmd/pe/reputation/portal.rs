//! The partner portal: asked over HTTPS how a submission stands. `docs/formats/submission.md` has what is sent and
//! what is read; it follows the published description of the hardware dashboard and was never held against the live
//! service, for which one needs an account.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authenticode::portal::Standing;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use crate::cmd::pe::credential::read_up_to;
use crate::failure::Failure;

/// For one question, from the look-up of the name to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A larger answer is none.
const MAX_ANSWER: u64 = 1 << 20;
/// Where systems keep the certificates of public authorities.
const WEB_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Whom to ask.
pub(super) struct Portal {
    base: String,
    token: Option<Zeroizing<String>>,
    agent: Agent,
}

impl Portal {
    /// A portal at this address. A bearer token goes over TLS only, but to this machine.
    pub(super) fn new(base: &str, token: Option<&Path>) -> Result<Self, Failure> {
        let loopback = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
        let near = loopback.iter().any(|near| {
            base.strip_prefix(near).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        });
        if !base.starts_with("https://") && !near {
            return Err(Failure::input(anyhow::anyhow!("`{base}` is not an https address"))
                .hint("a token that travels in the clear is everybody's"));
        }
        let token = token.map(bearer).transpose()?;
        let roots = WEB_ROOTS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        let roots: Vec<_> = pkix::pem::blocks(&roots, "CERTIFICATE")
            .unwrap_or_default()
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        // A redirect would carry the token somewhere that nobody named.
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token, agent })
    }

    /// `GET BASE/hardware/products/PRODUCT/submissions/SUBMISSION`.
    pub(super) fn standing(&self, product: &str, submission: &str) -> Result<Standing, Failure> {
        for part in [product, submission] {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(Failure::input(anyhow::anyhow!("`{part}` cannot be a number of the portal's")));
            }
        }
        let url = format!("{}/hardware/products/{product}/submissions/{submission}", self.base);
        let failed = |e: anyhow::Error| Failure::environment(e.context(format!("cannot ask `{url}`")));
        let mut request = self.agent.get(&url).header("Accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {}", token.as_str()));
        }
        let mut answer = request.call().map_err(|e| failed(e.into()))?;
        let mut body = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(MAX_ANSWER + 1)
            .read_to_end(&mut body)
            .map_err(|e| failed(e.into()))?;
        match answer.status().as_u16() {
            200 if body.len() as u64 <= MAX_ANSWER => {}
            200 => return Err(failed(anyhow::anyhow!("its answer is larger than 1 MiB"))),
            status @ (401 | 403) => {
                return Err(failed(anyhow::anyhow!("it answers {status}")).hint(
                    "the token has ended, or may not see this product: get a new one into the token file",
                ));
            }
            429 => return Err(failed(anyhow::anyhow!("it answers 429")).hint("ask less often")),
            status => return Err(failed(anyhow::anyhow!("it answers {status}"))),
        }
        Standing::read(&body)
            .map_err(|e| failed(e.into()))?
            .ok_or_else(|| failed(anyhow::anyhow!("its answer says nothing of a submission's workflow")))
    }
}

/// A token is the first line of its file.
fn bearer(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read_up_to(file, 64 * 1024)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().lines().next().unwrap_or_default().trim();
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(Zeroizing::new(text.to_owned())),
        false => Err(Failure::input(anyhow::anyhow!("the first line of `{}` is no token", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_only() {
        for (base, fine) in [
            ("https://portal.example.com/v2.0/my", true),
            ("http://127.0.0.1:8080", true),
            ("http://portal.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com/", false),
        ] {
            assert_eq!(Portal::new(base, None).is_ok(), fine, "{base}");
        }
    }
}
