//! Fulcio: a certificate of some minutes for a key of one signature, to whoever an OIDC token names
//! (fulcio, `fulcio.proto` v2, `POST /api/v2/signingCert`).

use pkix::Certificate;
use serde::Deserialize;
use serde_json::{Value, json};
use signing::{EcdsaSigner, Signer as _};
use zeroize::Zeroizing;

use crate::base64_text::{decode, encode};
use crate::error::AnchorError;
use crate::http::Http;

/// More certificates than this are in no chain.
const MAX_CHAIN: usize = 8;

/// A key that exists for one signature, and the certificate that says whose it is.
pub struct Keyless {
    /// The key.
    pub key: EcdsaSigner,
    /// Its certificate.
    pub certificate: Certificate,
}

impl Keyless {
    /// Makes a key, and has the Fulcio at `url` certify it for whoever `token` names.
    ///
    /// # Errors
    /// When the token is none, or Fulcio does not take it.
    pub fn new(http: &Http, url: &str, token: &Zeroizing<String>) -> Result<Self, AnchorError> {
        let key = EcdsaSigner::generate(signing::Algorithm::EcdsaP256).map_err(AnchorError::Key)?;
        let proof = key.sign(challenge(token)?.as_bytes()).map_err(AnchorError::Key)?;
        let request = json!({
            "credentials": {"oidcIdentityToken": token.as_str()},
            "publicKeyRequest": {
                "publicKey": {
                    "algorithm": "ECDSA",
                    "content": pkix::pem::encode("PUBLIC KEY", &key.public_key_der()),
                },
                "proofOfPossession": encode(&proof),
            },
        });
        let url = format!("{}/api/v2/signingCert", url.trim_end_matches('/'));
        let body = Zeroizing::new(request.to_string());
        let answer = http.post(&url, &[("Content-Type", "application/json")], body.as_bytes())?.good()?;
        let certificate = parse(&answer)?;
        if certificate.key.spki != key.public_key_der() {
            return Err(AnchorError::broken("answer of Fulcio", "the certificate is of another key"));
        }
        Ok(Self { key, certificate })
    }
}

/// What possession is proved over: the token's mail address, else its subject (Fulcio, "proof of possession").
fn challenge(token: &str) -> Result<String, AnchorError> {
    let bad = |why: &str| AnchorError::request("identity token", why);
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("it is no JWT"));
    };
    let claims = decode(claims).map_err(|_| bad("its claims are not base64"))?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| bad("its claims are not JSON"))?;
    let of = |name: &str| claims[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    of("email").or_else(|| of("sub")).ok_or_else(|| bad("it names nobody"))
}

/// The leaf of an answer.
pub(crate) fn parse(answer: &[u8]) -> Result<Certificate, AnchorError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        #[serde(alias = "signedCertificateDetachedSct")]
        signed_certificate_embedded_sct: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        chain: Chain,
    }
    #[derive(Deserialize)]
    struct Chain {
        certificates: Vec<String>,
    }
    let bad = |why: &dyn std::fmt::Display| AnchorError::malformed("answer of Fulcio", why);
    let wire: Wire = serde_json::from_slice(answer).map_err(|e| bad(&e))?;
    let chain = wire.signed_certificate_embedded_sct.chain.certificates;
    let leaf =
        chain.first().filter(|_| chain.len() <= MAX_CHAIN).ok_or_else(|| bad(&"no chain of certificates"))?;
    let read = Certificate::from_pem_or_der(leaf.as_bytes()).map_err(|e| bad(&e))?;
    read.into_iter().next().ok_or_else(|| bad(&"no certificate"))
}
