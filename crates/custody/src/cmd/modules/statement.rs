//! The signed statement of modules that hold: in-toto Statement v1 in DSSE, docs/formats/modules.md.

use std::path::Path;

use anyhow::anyhow;
use serde_json::{Value, json};
use signing::dsse::Envelope;

use super::report::{Checked, Report};
use crate::aside::Aside;
use crate::cmd::{Context, key, seal::keyring};
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// in-toto's media type (in-toto Envelope layer, "payloadType").
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Names this predicate; the number is its version.
const PREDICATE: &str = "urn:uuid:806f900b-e25e-43b8-b1d1-71bcda748e71#custody-modules-v1";

/// Writes the statement of a report that holds.
pub(super) fn write(output: &Path, name: Option<&str>, report: &Report, context: &Context) -> Outcome {
    let config = Config::of(&context.home)?;
    let ring = keyring(context).ok_or_else(|| {
        Failure::input(anyhow!("there is no key to sign with")).hint("make a home: `custody init`")
    })?;
    let signer = ring.signer(name.unwrap_or(&config.seal.key)).map_err(key::failure)?;
    let payload = serde_json::to_vec(&statement(report)).map_err(Failure::environment)?;
    let envelope =
        Envelope::sign(PAYLOAD_TYPE, &payload, &[signer.as_ref()]).map_err(Failure::environment)?;
    let bytes = serde_json::to_vec(&envelope).map_err(Failure::environment)?;
    let unwritable = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", output.display())))
            .hint("nothing was written; name another place with `-o FILE`")
    };
    Aside::new(output, &bytes).and_then(Aside::place).map_err(unwritable)
}

fn statement(report: &Report) -> Value {
    let digest = json!({"sha256": hex::encode(report.go_sum.sha256), "sm3": hex::encode(report.go_sum.sm3)});
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "go.sum", "digest": digest}],
        "predicateType": PREDICATE,
        "predicate": {"sums": report.checked.iter().map(sum).collect::<Vec<_>>()},
    })
}

fn sum(checked: &Checked) -> Value {
    let content = match checked.content {
        evidence::modules::Content::Holds => "holds",
        _ => "absent",
    };
    let mut out = json!({
        "module": checked.sum.module,
        "version": checked.sum.version,
        "of": checked.of(),
        "hash": checked.sum.hash,
        "content": content,
    });
    if let Some(proven) = checked.proven() {
        out["database"] =
            json!({"record": proven.record, "treeSize": proven.size, "root": hex::encode(proven.root)});
    }
    out
}
