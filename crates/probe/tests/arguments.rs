//! Arguments of calls, against what the program passed.
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use probe::Target;
use probe::func::{Call, Options, Probe};
use serde_json::{Value, json};
use support::{Go, PIE, PLAIN, Running, STRIPPED};

const SOURCE: &str = r#"
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

type Kind uint8

type Order struct {
	ID     int64
	Name   string
	Paid   bool
	Amount int32
	Next   *Order
}

//go:noinline
func numbers(a int, b uint8, c int32, d bool, e Kind, f float64, g uint16) int {
	return a + int(b) + int(c) + int(e) + int(f) + int(g)
}

//go:noinline
func texts(s string, b []byte, n []int32, list []string, empty string) int {
	return len(s) + len(b) + len(n) + len(list) + len(empty)
}

//go:noinline
func structures(o Order, p *Order, none *Order) int64 { return o.ID + p.ID }

//go:noinline
func interfaces(e error, any interface{}, nothing error) bool { return e != nil && any != nil && nothing == nil }

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k int, last string) int { return a + j + k + len(last) }

type account struct{ balance int }

//go:noinline
func (a *account) pay(amount int, to string) int { a.balance -= amount; return a.balance + len(to) }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "go" {
			numbers(-5, 200, -70000, true, 7, 2.5, 65535)
			texts("zahlung "+os.Args[0][:0]+"ü", []byte{1, 2, 255}, []int32{-1, 2}, []string{"a", "b"}, "")
			texts(strings.Repeat("x", 1000), nil, nil, nil, "")
			next := &Order{ID: 2, Name: "second", Paid: true, Amount: -3}
			structures(Order{1, "first", false, 12, next}, next, nil)
			interfaces(errors.New("no"), 5, nil)
			interfaces(&os.PathError{}, "x", nil)
			many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, "on the stack")
			(&account{100}).pay(30, "rent")
		}
		fmt.Println("done")
	}
}
"#;

/// The values of each call, by the name of the function.
fn calls(target: &Target, program: &mut Running, twin: Option<Vec<u8>>) -> Vec<(String, Value)> {
    let names = vec![
        "main.numbers".into(),
        "main.texts".into(),
        "main.structures".into(),
        "main.interfaces".into(),
        "main.many".into(),
        "main.(*account).pay".into(),
    ];
    let mut probe =
        Probe::attach(target, &Options { names, durations: true, arguments: true, twin }).unwrap();
    program.ask("go");
    let mut seen = Vec::new();
    probe.drain(|function, call: Call| {
        assert!(call.header.goroutine > 0);
        let values = call.arguments.iter().map(|a| (a.name.clone(), a.value.clone()));
        seen.push((function.name.clone(), Value::Object(values.collect())));
    });
    assert_eq!(probe.lost().unwrap(), probe::engine::Lost::default());
    assert!(probe.totals().unwrap().iter().all(|t| t.calls == t.returns && t.calls > 0));
    seen
}

fn wanted() -> Vec<(String, Value)> {
    let second = json!({"ID": 2, "Name": "second", "Paid": true, "Amount": -3, "Next": null});
    let row = |name: &str, value| (format!("main.{name}"), value);
    vec![
        // Floating-point registers are not seen.
        row("numbers", json!({"a": -5, "b": 200, "c": -70000, "d": true, "e": 7, "f": null, "g": 65535})),
        row(
            "texts",
            json!({"s": "zahlung ü", "b": {"length": 3, "first": [1, 2, 255]}, "n": {"length": 2, "first": [-1, 2]},
                   "list": {"length": 2, "first": []}, "empty": ""}),
        ),
        row(
            "texts",
            json!({"s": format!("{}…", "x".repeat(128)), "b": {"length": 0, "first": []},
                   "n": {"length": 0, "first": []}, "list": {"length": 0, "first": []}, "empty": ""}),
        ),
        row(
            "structures",
            json!({"o": {"ID": 1, "Name": "first", "Paid": false, "Amount": 12, "Next": "pointer"},
            "p": second, "none": null}),
        ),
        row(
            "interfaces",
            json!({"e": {"dynamic": "*errors.errorString"}, "any": {"dynamic": "int"}, "nothing": null}),
        ),
        row(
            "interfaces",
            json!({"e": {"dynamic": "*io/fs.PathError"}, "any": {"dynamic": "string"}, "nothing": null}),
        ),
        row(
            "many",
            json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10, "k": 11,
                   "last": "on the stack"}),
        ),
        row("(*account).pay", json!({"a": {"balance": 100}, "amount": 30, "to": "rent"})),
    ]
}

/// Pointers differ from run to run; how a pointer type is spelt differs from release to release.
fn steady(rows: Vec<(String, Value)>) -> Vec<(String, Value)> {
    fn mend(value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with("0x") => *text = "pointer".to_owned(),
            Value::String(text) if text == "*fs.PathError" => *text = "*io/fs.PathError".to_owned(),
            Value::Object(fields) => fields.values_mut().for_each(mend),
            _ => {}
        }
    }
    rows.into_iter()
        .map(|(name, mut value)| {
            mend(&mut value);
            (name, value)
        })
        .collect()
}

#[test]
fn arguments_are_those_that_were_passed() {
    for go in Go::some("arguments_are_those_that_were_passed", &[]) {
        for flags in [PLAIN, PIE] {
            let dir = tempfile::tempdir().unwrap();
            let mut program = Running::start(&go.build(dir.path(), SOURCE, flags));
            program.ask("ready");
            let target = Target::process(program.pid()).unwrap();
            let seen = steady(calls(&target, &mut program, None));
            for (seen, wanted) in seen.iter().zip(wanted()) {
                assert_eq!(*seen, wanted, "{} {flags:?}", go.version);
            }
            assert_eq!(seen.len(), wanted().len(), "{} {flags:?}", go.version);
        }
    }
}

#[test]
fn a_stripped_program_needs_its_twin() {
    let Some(go) = Go::some("a_stripped_program_needs_its_twin", &[]).into_iter().next() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut program = Running::start(&go.build(dir.path(), SOURCE, STRIPPED));
    program.ask("ready");
    let target = Target::process(program.pid()).unwrap();
    let options =
        |twin| Options { names: vec!["main.many".to_owned()], arguments: true, twin, ..Options::default() };
    let error = Probe::attach(&target, &options(None)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("debug data"), "{error}");
    let twin = std::fs::read(go.build(dir.path(), SOURCE, PLAIN)).unwrap();
    let seen = steady(calls(&target, &mut program, Some(twin)));
    assert_eq!(seen, wanted());
    let other = SOURCE.replace("return a + j + k + len(last)", "return a + j + k - len(last)");
    let other = std::fs::read(go.build(dir.path(), &other, PLAIN)).unwrap();
    let error = Probe::attach(&target, &options(Some(other))).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("another build"), "{error}");
}
