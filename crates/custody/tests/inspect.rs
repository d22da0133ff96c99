//! `custody inspect`, from the outside: what it prints, its exit codes, and the examples of its help.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder with a small Go program built in it, named as the examples name it; `None`, said aloud, without Go.
struct Built {
    dir: tempfile::TempDir,
}

impl Built {
    fn new(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("go.mod"), "module example.com/payments\n\ngo 1.21\n").unwrap();
        std::fs::write(dir.path().join("main.go"), "package main\n\nfunc main() { println(\"paid\") }\n")
            .unwrap();
        let built = Self { dir };
        let rig = std::env::var_os("CUSTODY_RIG_DIR").map(|rig| PathBuf::from(rig).join("go/bin/go"));
        let given = std::env::var_os("CUSTODY_GO").map(PathBuf::from);
        let found = given.into_iter().chain(rig).chain([PathBuf::from("go")]).any(|go| built.build(&go));
        if !found {
            eprintln!("SKIPPED {test}: no Go toolchain (set CUSTODY_GO, or put `go` on the PATH)");
        }
        found.then_some(built)
    }

    fn build(&self, go: &Path) -> bool {
        let mut command = Command::new(go);
        command.args(["build", "-o", "payments", "."]).current_dir(self.dir.path());
        command
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0");
        match command.output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                true
            }
            Err(_) => false,
        }
    }

    fn inspect(&self, args: &[&str]) -> Output {
        inspect_in(self.dir.path(), args)
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.inspect(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn inspect_in(dir: &Path, args: &[&str]) -> Output {
    // Without HOME and --home: an executable is inspected where there is no home at all.
    let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
    command.arg("inspect").args(args).current_dir(dir).env_remove("HOME").env_remove("CUSTODY_HOME");
    command.env_remove("XDG_DATA_HOME").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn functions_have_exactly_the_settled_fields() {
    let Some(built) = Built::new("functions_have_exactly_the_settled_fields") else { return };
    let document = built.json(&["payments", "--functions"]);
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["functions"]);
    let functions = document["functions"].as_array().unwrap();
    let main = functions.iter().find(|f| f["name"] == "main.main").unwrap();
    assert_eq!(main.as_object().unwrap().len(), 5);
    assert!(main["entry"].as_str().unwrap().starts_with("0x"), "{main}");
    assert!(main["size"].as_u64().unwrap() > 0);
    assert!(main["file"].as_str().unwrap().ends_with("/main.go"), "{main}");
    assert_eq!(main["line"], 3);
    let shown = text(&built.inspect(&["payments", "--functions"]).stdout);
    assert_eq!(shown.lines().count(), functions.len());
    assert!(shown.lines().any(|l| l.contains("  main.main  ") && l.ends_with("main.go:3")));
}

#[test]
fn the_document_has_what_the_text_shows() {
    let Some(built) = Built::new("the_document_has_what_the_text_shows") else { return };
    let document = built.json(&["payments"]);
    assert_eq!(document["format"], "elf");
    assert_eq!(document["go"]["main"]["path"], "example.com/payments");
    assert_eq!(document["go"]["settings"]["CGO_ENABLED"], "0");
    assert_eq!(document["linkage"]["static"], true);
    assert_eq!(document["symbols"]["stripped"], false);
    let shown = text(&built.inspect(&["payments"]).stdout);
    let score = &document["hardening"]["score"];
    assert!(shown.contains(&format!("hardening    {score} of 100")), "{shown}");
    for check in document["hardening"]["checks"].as_array().unwrap() {
        assert!(shown.contains(check["id"].as_str().unwrap()), "{check}");
        assert_eq!(
            check["mend"].is_string(),
            shown.contains(check["mend"].as_str().unwrap_or("\0")),
            "{check}"
        );
    }
}

#[test]
fn the_gate_ends_with_one() {
    let Some(built) = Built::new("the_gate_ends_with_one") else { return };
    let score = built.json(&["payments"])["hardening"]["score"].as_u64().unwrap();
    assert!(score < 100, "a plain build is not perfect");
    assert!(built.inspect(&["payments", "--min-score", &score.to_string()]).status.success());
    let refused = built.inspect(&["payments", "--min-score", &(score + 1).to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!refused.stdout.is_empty(), "the finding is explained by the facts on stdout");
    let told = text(&refused.stderr);
    assert!(told.contains(&format!("scores {score}, below {}", score + 1)), "{told}");
    assert!(told.contains("hint: what weighs most: -buildmode=pie"), "{told}");
    assert_eq!(built.inspect(&["payments", "--min-score", "101"]).status.code(), Some(2));
}

#[test]
fn what_cannot_be_inspected_ends_with_two_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("script"), "#!/bin/sh\n").unwrap();
    std::fs::write(dir.path().join("empty"), "").unwrap();
    std::fs::write(dir.path().join("cut"), b"\x7fELF\x02\x01\x01").unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_custody"), dir.path().join("rust")).unwrap();
    let cases = [
        ("script", "not an ELF, PE or Mach-O executable (a script)"),
        ("empty", "an empty file"),
        ("cut", "damaged ELF headers"),
        ("rust", "not a Go executable"),
        ("absent", "cannot read absent"),
        (".", "cannot read ."),
    ];
    for (name, words) in cases {
        let output = inspect_in(dir.path(), &[name]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.starts_with("error: ") && told.contains(words) && told.contains("\nhint: "), "{told}");
        assert!(output.stdout.is_empty());
        let output = inspect_in(dir.path(), &[name, "--json"]);
        assert_eq!(serde_json::from_slice::<Value>(&output.stderr).unwrap()["code"], 2);
    }
}

#[test]
fn every_example_of_the_help_runs() {
    let Some(built) = Built::new("every_example_of_the_help_runs") else { return };
    let help = text(&built.inspect(&["--help"]).stdout);
    let examples: Vec<&str> =
        help.lines().filter_map(|l| l.trim().strip_prefix("$ custody inspect ")).collect();
    assert_eq!(examples.len(), 10, "{help}");
    for example in examples {
        let output = built.inspect(&example.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{example}: {}", text(&output.stderr));
        assert!(!output.stdout.is_empty(), "{example}");
    }
}

#[test]
fn lists_have_their_documents() {
    let Some(built) = Built::new("lists_have_their_documents") else { return };
    let detailed = built.json(&["payments", "--functions", "--detail"]);
    let functions = detailed["functions"].as_array().unwrap();
    let main = functions.iter().find(|f| f["name"] == "main.main").unwrap();
    assert!(main["frame"].as_u64().unwrap() > 0 && main["inlined"].is_array(), "{main}");
    assert_eq!((&main["start_line"], &main["lines"]), (&Value::from(3), &serde_json::json!([3, 3])));
    let types = built.json(&["payments", "--types"]);
    let named = types["types"].as_array().unwrap().iter().find(|t| t["name"] == "runtime.g").unwrap();
    let goid = named["fields"].as_array().unwrap().iter().find(|f| f["name"] == "goid").unwrap();
    assert!(goid["offset"].as_u64().unwrap() > 0 && goid["type"].as_str().unwrap().starts_with("0x"));
    assert!(types["itabs"].is_array());
    let symbols = built.json(&["payments", "--symbols"]);
    let entry = symbols["symbols"].as_array().unwrap().iter().find(|s| s["name"] == "main.main").unwrap();
    assert_eq!((&entry["address"], &entry["kind"]), (&main["entry"], &Value::from("code")));
    let got = built.json(&["payments", "--got"]);
    assert_eq!((&got["verdict"], &got["imports"]), (&Value::from("no-table"), &serde_json::json!([])));
    let module = built.json(&["payments", "--module-data"]);
    assert_eq!(module["layout_from"], "release");
    assert!(module["fields"].as_array().unwrap().iter().any(|f| f["name"] == "gofunc"));
    let both = built.inspect(&["payments", "--types", "--got"]);
    assert_eq!(both.status.code(), Some(2), "one list at a time");
}
