//! XuperChain (百度超级链) through XuperBaaS: a contract is invoked, and the transaction asked for.

use serde_json::{Value, json};

use super::{Draft, Platform, State, fields, parse, text, whole};
use crate::authority::Order;
use crate::error::AnchorError;
use crate::http::Answer;
use crate::receipt::Status;

/// A chain, and the contract on it that keeps what it is given under `bizId`.
#[derive(Clone, Debug, Default)]
pub struct XuperChain {
    /// Address of the interface, up to the network: `https://…/xbaas/v1/xchain/network/1`.
    pub url: String,
    /// The chain, mostly `xuper`.
    pub chain: String,
    /// The contract.
    pub contract: String,
    /// Its function.
    pub function: String,
}

impl XuperChain {
    fn at(&self, rest: &str) -> String {
        format!("{}/chain/{}/{rest}", self.url.trim_end_matches('/'), self.chain)
    }
}

impl Platform for XuperChain {
    fn name(&self) -> &'static str {
        "xuperchain"
    }

    fn deposit(&self, order: &Order<'_>) -> Draft {
        let body = json!({"method": self.function, "args": Value::Object(fields(order))});
        // What is signed is the query: it carries what makes the request this one.
        let url = self.at(&format!(
            "contract/{}/invoke?bizId={}&contentHash={}",
            self.contract,
            order.biz_id.replace('+', "%2B"),
            order.subject.sha256()
        ));
        Draft { url, headers: Vec::new(), body: Some(body) }
    }

    fn query(&self, tx_id: &str, _: &str) -> Draft {
        Draft { url: self.at(&format!("transaction?txid={tx_id}")), headers: Vec::new(), body: None }
    }

    fn read(&self, answer: Answer, biz_id: &str) -> Result<State, AnchorError> {
        if answer.status == 409 {
            return Err(AnchorError::Conflict { biz_id: biz_id.to_owned() });
        }
        if answer.status == 404 {
            return Ok(State { status: Status::Pending, tx_id: None, block_height: None, reason: None });
        }
        let answer = parse(&answer.good()?)?;
        let code = whole(&answer["code"]).unwrap_or(0);
        if code != 0 && code != 200 {
            let words = text(&answer["msg"]).unwrap_or_default();
            return Err(AnchorError::Declined {
                who: "XuperChain".into(),
                why: format!("code {code}: {words}"),
            });
        }
        let data = &answer["data"];
        let tx_id = text(&data["txid"]).filter(|tx| tx.bytes().all(|b| b.is_ascii_alphanumeric()));
        let block_height = whole(&data["blockHeight"]).filter(|height| *height > 0);
        let failed = text(&data["status"]).is_some_and(|status| status == "FURCATION" || status == "FAILED");
        let (status, reason) = match block_height {
            _ if failed => (Status::Failed, text(&data["status"])),
            Some(_) => (Status::Success, None),
            None => (Status::Pending, None),
        };
        Ok(State { status, tx_id, block_height, reason })
    }
}
