//! `custody doctor` tells a whole home from one that has lost a part.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use serde_json::Value;
use support::Home;

fn state(home: &Home, code: i32, name: &str) -> Value {
    let output = home.run(&["--json", "doctor"], code);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).map(|check| check["state"].clone()).unwrap_or_default()
}

#[test]
fn a_whole_home_is_well() {
    let home = Home::new();
    for name in ["home", "configuration", "log key", "checkpoint"] {
        assert_eq!(state(&home, 0, name), "ok", "{name}");
    }
}

#[test]
fn what_is_lost_is_named() {
    assert_eq!(state(&Home::absent(), 3, "home"), "missing");
    for (file, name) in
        [("custody.toml", "configuration"), ("keys/log.pem", "log key"), ("log/checkpoint", "checkpoint")]
    {
        let home = Home::new();
        std::fs::write(home.path().join(file), "spoilt\n").unwrap();
        assert_eq!(state(&home, 3, name), "missing", "{file}");
    }
}
