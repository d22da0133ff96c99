//! Timestamp authorities (RFC 3161, over HTTP as §3.4 has it).

use pkix::Digest;
use pkix::tsp::{Request, Token};

use crate::authority::{Authority, Order};
use crate::base64_text;
use crate::error::AnchorError;
use crate::http::Http;
use crate::receipt::{Anchor, Evidence, Status};

/// An authority at an address.
#[derive(Clone, Debug)]
pub struct Tsa {
    http: Http,
    url: String,
}

impl Tsa {
    /// The authority at `url`.
    #[must_use]
    pub fn new(http: Http, url: impl Into<String>) -> Self {
        Self { http, url: url.into() }
    }

    /// The answer (`TimeStampResp`) of the authority over what has this SHA-256, and the token in it: granted, over
    /// that digest, with the nonce of the question, and signed by a certificate that it carries.
    ///
    /// # Errors
    /// When there is no such answer.
    pub fn stamp(&self, sha256: [u8; 32]) -> Result<(Vec<u8>, Vec<u8>), AnchorError> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(AnchorError::Randomness)?;
        let request = Request::of_imprint(Digest::Sha256, sha256.to_vec(), nonce);
        let headers = [("Content-Type", "application/timestamp-query")];
        let answer = self.http.post(&self.url, &headers, &request.to_der())?.good()?;
        let token = request.token(&answer).map_err(|e| self.refused(&e))?.to_vec();
        Ok((answer, token))
    }

    fn refused(&self, error: &pkix::PkixError) -> AnchorError {
        match error {
            pkix::PkixError::Declined { why, .. } => {
                AnchorError::Declined { who: self.url.clone(), why: why.clone() }
            }
            other => AnchorError::malformed("timestamp response", other),
        }
    }
}

impl Authority for Tsa {
    fn kind(&self) -> &str {
        "rfc3161"
    }

    fn address(&self) -> &str {
        &self.url
    }

    fn nothing(&self) -> Evidence {
        Evidence::Rfc3161 { token: None }
    }

    fn submit(&self, order: &Order<'_>) -> Result<Anchor, AnchorError> {
        let (_, token) = self.stamp(order.subject.digest.sha256)?;
        let evidence = Evidence::Rfc3161 { token: Some(base64_text::encode(&token)) };
        Ok(order.anchor(self.address(), Status::Success, evidence))
    }
}

/// When a token says it was made, unchecked: for showing.
#[must_use]
pub fn unchecked_time(token: &str) -> Option<pkix::Time> {
    let der = base64_text::decode(token).ok()?;
    Token::read(&der).ok()?.info().ok().map(|info| info.time)
}
