//! Tencent Cloud TBaaS, a ChainMaker chain: `InvokeChainMakerContract` and `QueryChainMakerTransaction`, version 2018-04-16.

use serde_json::{Map, Value, json};

use super::{Draft, Platform, State, fields, parse, text, whole};
use crate::authority::Order;
use crate::error::AnchorError;
use crate::http::Answer;
use crate::receipt::Status;

/// A chain, and the contract on it that keeps what it is given under `bizId`.
#[derive(Clone, Debug, Default)]
pub struct Tencent {
    /// Address of the interface.
    pub url: String,
    /// The region.
    pub region: String,
    /// The network.
    pub cluster: String,
    /// The chain.
    pub chain_id: String,
    /// The contract.
    pub contract: String,
    /// Its function.
    pub function: String,
}

impl Tencent {
    fn draft(&self, action: &str, body: Value) -> Draft {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("Content-Type", "application/json; charset=utf-8"),
            header("X-TC-Action", action),
            header("X-TC-Version", "2018-04-16"),
            header("X-TC-Region", &self.region),
        ];
        Draft { url: self.url.clone(), headers, body: Some(body) }
    }
}

impl Platform for Tencent {
    fn name(&self) -> &'static str {
        "tencent"
    }

    fn deposit(&self, order: &Order<'_>) -> Draft {
        // The contract takes a map of texts.
        let flat = |value: Value| match value {
            Value::String(text) => Value::String(text),
            other => Value::String(other.to_string()),
        };
        let parameters: Map<String, Value> =
            fields(order).into_iter().map(|(name, value)| (name, flat(value))).collect();
        let body = json!({
            "ClusterId": self.cluster,
            "ChainId": self.chain_id,
            "ContractName": self.contract,
            "FuncName": self.function,
            "FuncParam": Value::Object(parameters).to_string(),
            "AsyncFlag": 1,
        });
        self.draft("InvokeChainMakerContract", body)
    }

    fn query(&self, tx_id: &str, _: &str) -> Draft {
        let body = json!({"ClusterId": self.cluster, "ChainId": self.chain_id, "TxID": tx_id});
        self.draft("QueryChainMakerTransaction", body)
    }

    fn read(&self, answer: Answer, biz_id: &str) -> Result<State, AnchorError> {
        let answer = &parse(&answer.good()?)?["Response"];
        if let Some(code) = text(&answer["Error"]["Code"]) {
            return match code.as_str() {
                "ResourceNotFound" | "ResourceNotFound.Transaction" => {
                    Ok(State { status: Status::Pending, tx_id: None, block_height: None, reason: None })
                }
                "ResourceInUse" => Err(AnchorError::Conflict { biz_id: biz_id.to_owned() }),
                "RequestLimitExceeded" | "InternalError" => {
                    Err(Answer::given(503, code.into_bytes()).refused())
                }
                _ => {
                    let words = text(&answer["Error"]["Message"]).unwrap_or_default();
                    Err(AnchorError::Declined { who: "Tencent".into(), why: format!("{code}: {words}") })
                }
            };
        }
        let result = &answer["Result"];
        let (tx_id, block_height) = (text(&result["TxId"]), whole(&result["BlockHeight"]).filter(|h| *h > 0));
        let code = whole(&result["Code"]);
        let (status, reason) = match (code, block_height) {
            (Some(0) | None, Some(_)) => (Status::Success, None),
            (Some(0) | None, None) => (Status::Pending, None),
            (Some(code), _) => {
                (Status::Failed, Some(text(&result["CodeMessage"]).unwrap_or_else(|| format!("code {code}"))))
            }
        };
        Ok(State { status, tx_id, block_height, reason })
    }
}
