//! AntChain (蚂蚁链) BaaS REST with keys that the platform holds: `DEPOSIT` and `QUERYRECEIPT` of `/api/contract`.

use serde_json::{Value, json};

use super::{Draft, Platform, State, fields, parse, text, whole};
use crate::authority::Order;
use crate::error::AnchorError;
use crate::http::Answer;
use crate::receipt::Status;

/// A chain of the platform, and the account that deposits there.
#[derive(Clone, Debug, Default)]
pub struct AntChain {
    /// Address of the interface.
    pub url: String,
    /// The chain's id (`bizid` there).
    pub chain_id: String,
    /// The account that signs at the platform.
    pub account: String,
    /// Its key there (`mykmsKeyId`).
    pub key_id: String,
    /// The tenant.
    pub tenant: String,
}

impl AntChain {
    fn draft(&self, path: &str, body: Value) -> Draft {
        let url = format!("{}/api/contract/{path}", self.url.trim_end_matches('/'));
        Draft { url, headers: Vec::new(), body: Some(body) }
    }
}

impl Platform for AntChain {
    fn name(&self) -> &'static str {
        "antchain"
    }

    fn deposit(&self, order: &Order<'_>) -> Draft {
        // `orderId` makes a repeated request the same one at the platform too.
        let body = json!({
            "orderId": order.biz_id,
            "bizid": self.chain_id,
            "account": self.account,
            "content": Value::Object(fields(order)).to_string(),
            "mykmsKeyId": self.key_id,
            "method": "DEPOSIT",
            "tenantid": self.tenant,
        });
        self.draft("chainCallForBiz", body)
    }

    fn query(&self, tx_id: &str, _: &str) -> Draft {
        self.draft("chainCall", json!({"bizid": self.chain_id, "method": "QUERYRECEIPT", "hash": tx_id}))
    }

    fn read(&self, answer: Answer, biz_id: &str) -> Result<State, AnchorError> {
        let answer = parse(&answer.good()?)?;
        let code = answer["code"].as_str().unwrap_or_default();
        let mut state = State { status: Status::Pending, tx_id: None, block_height: None, reason: None };
        if answer["success"] != true {
            return match code {
                // Not in a block yet.
                "404" | "10201" => Ok(state),
                "409" | "10409" => Err(AnchorError::Conflict { biz_id: biz_id.to_owned() }),
                _ => Err(AnchorError::Declined {
                    who: "AntChain".into(),
                    why: format!(
                        "code {}: {}",
                        code.escape_debug(),
                        text(&answer["data"]).unwrap_or_default()
                    ),
                }),
            };
        }
        let data = answer["data"].as_str().unwrap_or_default();
        // A deposit is answered with the transaction, a query with its receipt as JSON in a text.
        let Ok(receipt) = serde_json::from_str::<Value>(data) else {
            state.tx_id = text(&answer["data"]);
            return Ok(state);
        };
        if !receipt.is_object() {
            state.tx_id = text(&answer["data"]);
            return Ok(state);
        }
        state.block_height = whole(&receipt["blockNumber"]);
        let result = whole(&receipt["result"]).or_else(|| whole(&receipt["receiptDO"]["result"]));
        (state.status, state.reason) = match (result, state.block_height) {
            (Some(0) | None, Some(_)) => (Status::Success, None),
            (Some(0) | None, None) => (Status::Pending, None),
            (Some(code), _) => (Status::Failed, Some(format!("the contract returned {code}"))),
        };
        Ok(state)
    }
}
