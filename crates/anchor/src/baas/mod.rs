//! Chains that platforms run, over their REST interfaces: AntChain, Tencent TBaaS, XuperChain, and any service that
//! takes the shared fields under a JWT.
//!
//! What a platform is sent and how it is asked is a [`Platform`]; how a request shows who sends it is an
//! [`Authenticate`]. The adapters follow the platforms' public documents and are tested against servers of the
//! project's own that enforce each scheme: none has met the live service yet.

mod antchain;
pub mod auth;
mod rest;
mod tencent;
mod xuper;

use std::time::Duration;

use serde_json::{Map, Value, json};

pub use antchain::AntChain;
pub use auth::{Authenticate, Draft, Ready};
pub use rest::Rest;
pub use tencent::Tencent;
pub use xuper::XuperChain;

use crate::authority::{Authority, Order};
use crate::error::AnchorError;
use crate::http::{Answer, Http};
use crate::receipt::{Anchor, Evidence, Status};

/// How much of a platform's answer is kept in a receipt.
const MAX_KEPT: usize = 4096;

/// How a transaction stands, as a platform says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Where the request stands.
    pub status: Status,
    /// The transaction.
    pub tx_id: Option<String>,
    /// The block that it is in.
    pub block_height: Option<u64>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What is sent to a platform, and how its answers are read.
pub trait Platform: Send + Sync {
    /// `antchain`, `tencent`, `xuperchain` or `rest`.
    fn name(&self) -> &'static str;
    /// The request that puts an order on the chain.
    fn deposit(&self, order: &Order<'_>) -> Draft;
    /// The request that asks for a transaction.
    fn query(&self, tx_id: &str, biz_id: &str) -> Draft;
    /// Reads an answer to either, of any HTTP status.
    ///
    /// # Errors
    /// When it cannot be understood; [`AnchorError::Conflict`] when the id stands for another content there.
    fn read(&self, answer: Answer, biz_id: &str) -> Result<State, AnchorError>;
}

/// A chain: a platform, who asks it, and the name that the configuration gives it.
pub struct Chain {
    name: String,
    http: Http,
    platform: Box<dyn Platform>,
    auth: Box<dyn Authenticate>,
}

impl Chain {
    /// A chain under a name.
    #[must_use]
    pub fn new(name: &str, http: Http, platform: Box<dyn Platform>, auth: Box<dyn Authenticate>) -> Self {
        Self { name: name.to_owned(), http, platform, auth }
    }

    /// Sends, and once more with a new token when the old one is no longer taken.
    fn send(&self, draft: &Draft) -> Result<Answer, AnchorError> {
        let once = || -> Result<Answer, AnchorError> {
            let ready = self.auth.authenticate(draft.clone(), jiff::Timestamp::now())?;
            let headers: Vec<(&str, &str)> =
                ready.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            match ready.body {
                Some(body) => self.http.post(&ready.url, &headers, &body),
                None => self.http.get(&ready.url, &headers),
            }
        };
        let answer = once()?;
        if self.auth.is_refused(&answer) && self.auth.forget() { once() } else { Ok(answer) }
    }

    fn anchor(&self, before: Anchor, answer: Answer) -> Result<Anchor, AnchorError> {
        let kept = String::from_utf8_lossy(&answer.body).chars().take(MAX_KEPT).collect();
        let state = self.platform.read(answer, &before.biz_id)?;
        let known = match before.evidence {
            Evidence::Chain { tx_id, .. } => tx_id,
            _ => None,
        };
        let tx_id = state.tx_id.or(known);
        // A success that names no transaction could not be looked up by anyone.
        if state.status == Status::Success && tx_id.is_none() {
            return Err(AnchorError::malformed("answer of the chain", "it names no transaction"));
        }
        let platform = self.platform.name().to_owned();
        let evidence =
            Evidence::Chain { platform, tx_id, block_height: state.block_height, answer: Some(kept) };
        Ok(Anchor { status: state.status, reason: state.reason, evidence, ..before })
    }
}

impl Authority for Chain {
    fn kind(&self) -> &str {
        self.platform.name()
    }

    fn address(&self) -> &str {
        &self.name
    }

    fn nothing(&self) -> Evidence {
        let platform = self.platform.name().to_owned();
        Evidence::Chain { platform, tx_id: None, block_height: None, answer: None }
    }

    fn submit(&self, order: &Order<'_>) -> Result<Anchor, AnchorError> {
        order.check()?;
        let answer = self.send(&self.platform.deposit(order))?;
        self.anchor(order.anchor(&self.name, Status::Pending, self.nothing()), answer)
    }

    fn status(&self, anchor: &Anchor) -> Result<Anchor, AnchorError> {
        let Evidence::Chain { tx_id: Some(tx), .. } = &anchor.evidence else {
            return Err(AnchorError::request("anchor", "it names no transaction to ask for"));
        };
        let answer = self.send(&self.platform.query(tx, &anchor.biz_id))?;
        self.anchor(anchor.clone(), answer)
    }
}

/// The fields that every chain is given, by the names that the interface shares.
pub(crate) fn fields(order: &Order<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("bizId".into(), order.biz_id.into());
    fields.insert("contentHash".into(), order.subject.sha256().into());
    fields.insert("timestamp".into(), order.requested.as_millisecond().into());
    fields.insert("metadata".into(), json!(order.metadata));
    fields
}

/// Whole numbers, which some platforms write as text.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A text that is not empty.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An answer as JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Value, AnchorError> {
    serde_json::from_slice(body).map_err(|e| AnchorError::malformed("answer of the chain", e))
}

/// How long to wait before asking again: a second, twice as long each time, five minutes at most. `seed` spreads those
/// who wait, so that they do not all come back at once when the chain does.
#[must_use]
pub fn back_off(attempt: u32, seed: u64) -> Duration {
    let whole = 1000u64 << attempt.min(9);
    let spread = seed % (whole / 4);
    Duration::from_millis(whole.min(300_000) - whole.min(300_000) / 8 + spread.min(37_500))
}

/// Reads any bytes as an answer of each platform.
pub(crate) fn read_answers(data: &[u8]) {
    let platforms: [Box<dyn Platform>; 4] = [
        Box::new(AntChain::default()),
        Box::new(Tencent::default()),
        Box::new(XuperChain::default()),
        Box::new(Rest::default()),
    ];
    for platform in platforms {
        for status in [200, 409, 500] {
            let answer = Answer::given(status, data.to_vec());
            if let Ok(state) = platform.read(answer, "id") {
                assert!(state.tx_id != Some(String::new()), "a transaction without a name");
            }
        }
    }
}
