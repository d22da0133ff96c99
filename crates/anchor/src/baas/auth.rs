//! How a request shows who sends it: a token from a signed handshake, a JWT that is renewed, a signature of each
//! request by ECDSA or HMAC. Keys are wiped, and stand in no log and no error.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Digest as _;
use signing::Signer;
use zeroize::Zeroizing;

use crate::error::AnchorError;
use crate::http::{Answer, Http};

/// A request before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it goes.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body; without one it is a GET.
    pub body: Option<Value>,
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where it goes.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body; without one it is a GET.
    pub body: Option<Vec<u8>>,
}

/// Shows who sends a request.
pub trait Authenticate: Send + Sync {
    /// Signs a request, or gives it a token.
    ///
    /// # Errors
    /// When the key cannot sign, or nobody gives a token.
    fn authenticate(&self, draft: Draft, now: Timestamp) -> Result<Ready, AnchorError>;

    /// Whether an answer says that a token is no longer taken.
    fn is_refused(&self, answer: &Answer) -> bool {
        answer.status == 401
    }

    /// Forgets a token that is no longer taken. Whether there was one, so that it is worth trying again.
    fn forget(&self) -> bool {
        false
    }
}

/// A token, and until when it is used.
struct Token {
    text: Zeroizing<String>,
    until: Timestamp,
}

/// The token in use.
#[derive(Default)]
struct Tokens(Mutex<Option<Token>>);

impl Tokens {
    /// The token, made new when there is none or its time is over.
    fn current(
        &self,
        now: Timestamp,
        new: impl FnOnce() -> Result<Token, AnchorError>,
    ) -> Result<Zeroizing<String>, AnchorError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = held.as_ref().filter(|token| now < token.until) {
            return Ok(token.text.clone());
        }
        let token = new()?;
        let text = token.text.clone();
        *held = Some(token);
        Ok(text)
    }

    fn forget(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now)
}

fn ready(draft: Draft) -> Result<Ready, AnchorError> {
    let Draft { url, mut headers, body } = draft;
    let body = body.map(|b| serde_json::to_vec(&b)).transpose();
    let body = body.map_err(|e| AnchorError::malformed("request", e))?;
    if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".into(), "application/json; charset=utf-8".into()));
    }
    Ok(Ready { url, headers, body })
}

/// AntChain's handshake: the access id and the time in milliseconds, signed by the application's RSA key (SHA-256), in
/// hexadecimal, give a token that goes into each body (BaaS REST, `/api/contract/shakeHand`).
pub struct Handshake {
    http: Http,
    url: String,
    access_id: String,
    key: Box<dyn Signer>,
    tokens: Tokens,
}

/// AntChain's tokens live for half an hour; ours are renewed before.
const HANDSHAKE_SECONDS: i64 = 25 * 60;

impl Handshake {
    /// A handshake at the platform's address.
    #[must_use]
    pub fn new(http: Http, base: &str, access_id: &str, key: Box<dyn Signer>) -> Self {
        let url = format!("{}/api/contract/shakeHand", base.trim_end_matches('/'));
        Self { http, url, access_id: access_id.to_owned(), key, tokens: Tokens::default() }
    }

    fn shake(&self, now: Timestamp) -> Result<Token, AnchorError> {
        let time = now.as_millisecond().to_string();
        let message = format!("{}{time}", self.access_id);
        let secret = hex::encode(self.key.sign(message.as_bytes()).map_err(AnchorError::Key)?);
        let body = json!({"accessId": self.access_id, "time": time, "secret": secret}).to_string();
        let headers = [("Content-Type", "application/json; charset=utf-8")];
        let answer = super::parse(&self.http.post(&self.url, &headers, body.as_bytes())?.good()?)?;
        let token = super::text(&answer["data"]).filter(|_| answer["success"] == true);
        let declined = || AnchorError::Declined {
            who: self.url.clone(),
            why: format!("no token (code {})", answer["code"].as_str().unwrap_or("unknown")),
        };
        Ok(Token { text: token.ok_or_else(declined)?.into(), until: later(now, HANDSHAKE_SECONDS) })
    }
}

impl Authenticate for Handshake {
    fn authenticate(&self, mut draft: Draft, now: Timestamp) -> Result<Ready, AnchorError> {
        let token = self.tokens.current(now, || self.shake(now))?;
        if let Some(Value::Object(body)) = draft.body.as_mut() {
            body.insert("accessId".into(), self.access_id.clone().into());
            body.insert("token".into(), token.as_str().into());
        }
        ready(draft)
    }

    /// By HTTP, or as the platform does with status 200: `success` false and the code 202.
    fn is_refused(&self, answer: &Answer) -> bool {
        let code = |body: &[u8]| super::parse(body).ok().map(|v| v["success"] == false && v["code"] == "202");
        answer.status == 401 || code(&answer.body) == Some(true)
    }

    fn forget(&self) -> bool {
        self.tokens.forget()
    }
}

/// A JWT that a token service gives for an id and a secret (RFC 6749 §4.4), renewed before its `exp` (RFC 7519 §4.1.4).
pub struct Jwt {
    http: Http,
    url: String,
    id: String,
    secret: Zeroizing<String>,
    tokens: Tokens,
}

/// A token is renewed so long before its end.
const BEFORE_END: i64 = 60;

impl Jwt {
    /// Tokens from the service at `url`.
    #[must_use]
    pub fn new(http: Http, url: &str, id: &str, secret: Zeroizing<String>) -> Self {
        Self { http, url: url.to_owned(), id: id.to_owned(), secret, tokens: Tokens::default() }
    }

    fn ask(&self, now: Timestamp) -> Result<Token, AnchorError> {
        let pair = Zeroizing::new(format!("{}:{}", form(&self.id), form(&self.secret)));
        let basic = Zeroizing::new(format!("Basic {}", crate::base64_text::encode(pair.as_bytes())));
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", basic.as_str())];
        let answer = self.http.post(&self.url, &headers, b"grant_type=client_credentials")?.good()?;
        let answer = super::parse(&answer)?;
        let declined = || AnchorError::Declined { who: self.url.clone(), why: "it gave no token".into() };
        let text = Zeroizing::new(super::text(&answer["access_token"]).ok_or_else(declined)?);
        let stated = answer["expires_in"].as_i64().map(|seconds| later(now, seconds));
        let end = expiry(&text).or(stated).unwrap_or(now);
        Ok(Token { text, until: later(end, -BEFORE_END) })
    }
}

/// `exp` of a JWT: when to renew it. The signature is the service's concern; nothing is decided here but that.
fn expiry(jwt: &str) -> Option<Timestamp> {
    let claims = crate::base64_text::decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims["exp"].as_i64()?).ok()
}

/// `application/x-www-form-urlencoded`, as RFC 6749 §2.3.1 asks of the id and the secret.
fn form(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => out.push(byte.into()),
            _ => drop(write!(out, "%{byte:02X}")), // writing to a String cannot fail
        }
        out
    })
}

impl Authenticate for Jwt {
    fn authenticate(&self, mut draft: Draft, now: Timestamp) -> Result<Ready, AnchorError> {
        let token = self.tokens.current(now, || self.ask(now))?;
        draft.headers.push(("Authorization".into(), format!("Bearer {}", token.as_str())));
        ready(draft)
    }

    fn forget(&self) -> bool {
        self.tokens.forget()
    }
}

/// Tencent Cloud's TC3-HMAC-SHA256 over the canonical request (API 3.0, "Signature v3").
pub struct Tc3 {
    secret_id: String,
    secret_key: Zeroizing<String>,
    service: String,
}

impl Tc3 {
    /// Requests of a service, signed by a secret key.
    #[must_use]
    pub fn new(secret_id: &str, secret_key: Zeroizing<String>, service: &str) -> Self {
        Self { secret_id: secret_id.to_owned(), secret_key, service: service.to_owned() }
    }

    fn signature(&self, date: &str, to_sign: &str) -> String {
        let hmac =
            |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let first = Zeroizing::new(format!("TC3{}", self.secret_key.as_str()));
        let day = hmac(first.as_bytes(), date);
        let service = hmac(day.as_ref(), &self.service);
        let signing = hmac(service.as_ref(), "tc3_request");
        hex::encode(hmac(signing.as_ref(), to_sign))
    }
}

impl Authenticate for Tc3 {
    fn authenticate(&self, draft: Draft, now: Timestamp) -> Result<Ready, AnchorError> {
        const KIND: &str = "application/json; charset=utf-8";
        let mut ready = ready(draft)?;
        let host = host(&ready.url)?.to_owned();
        let (seconds, date) = (now.as_second().to_string(), now.to_string());
        let date = date.get(..10).unwrap_or_default();
        let hash = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
        let action = ready.headers.iter().find(|(name, _)| name == "X-TC-Action");
        let action = action.map(|(_, value)| value.to_lowercase()).unwrap_or_default();
        let payload = hash(ready.body.as_deref().unwrap_or_default());
        let canonical = format!(
            "POST\n/\n\ncontent-type:{KIND}\nhost:{host}\nx-tc-action:{action}\n\ncontent-type;host;x-tc-action\n{payload}"
        );
        let scope = format!("{date}/{}/tc3_request", self.service);
        let to_sign = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{}", hash(canonical.as_bytes()));
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=content-type;host;x-tc-action, Signature={}",
            self.secret_id,
            self.signature(date, &to_sign)
        );
        ready.headers.push(("Authorization".into(), authorization));
        ready.headers.push(("X-TC-Timestamp".into(), seconds));
        Ok(ready)
    }
}

/// The host of an address, with a port that is not the scheme's own: as it stands in the `Host` header.
fn host(url: &str) -> Result<&str, AnchorError> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let host = rest.and_then(|rest| rest.split(['/', '?']).next()).filter(|host| !host.is_empty());
    host.ok_or_else(|| AnchorError::request("address", "it has no host"))
}

/// XuperBaaS: each request carries `auth-v1/{milliseconds}/{signature}` over the time and the sorted query, by the
/// account's ECDSA key, whose public half goes along (XuperBaas API, "general notes").
pub struct PerRequest {
    key: Box<dyn Signer>,
}

impl PerRequest {
    /// Requests signed by this key, which must be one of ECDSA on P-256.
    ///
    /// # Errors
    /// For a key of another algorithm.
    pub fn new(key: Box<dyn Signer>) -> Result<Self, AnchorError> {
        match key.algorithm() {
            signing::Algorithm::EcdsaP256 => Ok(Self { key }),
            other => {
                Err(AnchorError::request("key", format!("XuperChain takes ECDSA on P-256, not {other}")))
            }
        }
    }
}

impl Authenticate for PerRequest {
    fn authenticate(&self, draft: Draft, now: Timestamp) -> Result<Ready, AnchorError> {
        let mut ready = ready(draft)?;
        let time = now.as_millisecond();
        let query = ready.url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let mut parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
        parts.sort_unstable();
        let message = format!("_={time}{}", parts.concat());
        let signature = self.key.sign(message.as_bytes()).map_err(AnchorError::Key)?;
        ready.headers.push(("Authorization".into(), format!("auth-v1/{time}/{}", hex::encode(signature))));
        ready.headers.push(("X-User-Pubkey".into(), hex::encode(self.key.public_key_der())));
        Ok(ready)
    }
}
