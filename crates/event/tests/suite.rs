//! The judge of our schema is judged first: the official JSON-Schema-Test-Suite for Draft-07, against the implementation
//! that `tests/schema.rs` holds ours to. The formats are those that the schema uses.
//!
//! The suite (json-schema-org/JSON-Schema-Test-Suite, MIT) is fetched by `scripts/setup.sh`; it stands in the rig's folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Of the optional part: the formats of event.schema.json, and what its patterns need.
const OPTIONAL: &[&str] =
    &["format/date-time", "format/ipv4", "format/ipv6", "float-overflow", "non-bmp-regex"];

/// Documents of the suite's own web server, which is a folder.
struct Remotes(PathBuf);

impl jsonschema::Retrieve for Remotes {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let path = uri.as_str().strip_prefix("http://localhost:1234/").ok_or("not of the suite")?;
        Ok(serde_json::from_slice(&std::fs::read(self.0.join(path))?)?)
    }
}

fn suite() -> Option<PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from);
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/custody/rig"));
    let suite = rig.or_else(cache)?.join("json-schema-suite");
    suite.join("tests/draft7").is_dir().then_some(suite)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs a file of the suite; what differs, and how many tests there were.
fn run(suite: &Path, path: &Path, faults: &mut Vec<String>) -> usize {
    let mut count = 0;
    for group in read(path).as_array().unwrap() {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .with_retriever(Remotes(suite.join("remotes")))
            .build(&group["schema"]);
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let place = format!("{}: {}: {}", path.display(), group["description"], test["description"]);
            match &validator {
                Err(why) => faults.push(format!("{place}: {why}")),
                Ok(validator) if validator.is_valid(&test["data"]) != test["valid"] => faults.push(place),
                Ok(_) => {}
            }
        }
    }
    count
}

#[test]
fn the_judge_meets_the_official_suite() {
    let Some(suite) = suite() else {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "peers are required");
        eprintln!("SKIPPED: no JSON-Schema-Test-Suite (scripts/setup.sh fetches it)");
        return;
    };
    let folder = suite.join("tests/draft7");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.extend(OPTIONAL.iter().map(|name| folder.join("optional").join(format!("{name}.json"))));
    files.sort();
    let mut faults = Vec::new();
    let count: usize = files.iter().map(|path| run(&suite, path, &mut faults)).sum();
    assert!(count > 900, "the suite has more tests than {count}");
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
    eprintln!("{count} tests of {} files", files.len());
}
