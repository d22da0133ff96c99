//! A service that takes the shared fields as they are: `POST /v1/evidence`, `GET /v1/evidence/{bizId}`. `custody serve` is one.

use serde_json::Value;

use super::{Draft, Platform, State, fields, parse, text, whole};
use crate::authority::Order;
use crate::error::AnchorError;
use crate::http::Answer;
use crate::receipt::Status;

/// A service at an address.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// Its address.
    pub url: String,
}

impl Platform for Rest {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn deposit(&self, order: &Order<'_>) -> Draft {
        let url = format!("{}/v1/evidence", self.url.trim_end_matches('/'));
        Draft { url, headers: Vec::new(), body: Some(Value::Object(fields(order))) }
    }

    fn query(&self, _: &str, biz_id: &str) -> Draft {
        let url = format!("{}/v1/evidence/{biz_id}", self.url.trim_end_matches('/'));
        Draft { url, headers: Vec::new(), body: None }
    }

    fn read(&self, answer: Answer, biz_id: &str) -> Result<State, AnchorError> {
        if answer.status == 409 {
            return Err(AnchorError::Conflict { biz_id: biz_id.to_owned() });
        }
        let answer = parse(&answer.good()?)?;
        let status = match answer["status"].as_str() {
            Some("success") => Status::Success,
            Some("pending") => Status::Pending,
            Some("failed") => Status::Failed,
            _ => {
                return Err(AnchorError::malformed("answer of the chain", "its status is none of the three"));
            }
        };
        let (tx_id, block_height) = (text(&answer["txId"]), whole(&answer["blockHeight"]));
        Ok(State { status, tx_id, block_height, reason: text(&answer["reason"]) })
    }
}
