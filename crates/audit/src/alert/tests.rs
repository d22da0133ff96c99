use super::*;
use crate::tap::Note;

const S: u64 = 1000;

fn limits() -> Limits {
    let text = "version = 1\n[[rule]]\nname = \"x\"\nvalue = \"ctx.n\"\nthreshold = 5";
    Rules::parse(text).unwrap().rules[0].limits
}

/// Feeds samples a second apart; what turned, with the second.
fn turns(samples: &[f64]) -> Vec<(u64, Turn)> {
    let (limits, mut fuse) = (limits(), Fuse::default());
    let mut turns = Vec::new();
    for (second, value) in (0..).zip(samples) {
        turns.extend(fuse.tick(&limits, (second * S).saturating_sub(1)).map(|turn| (second, turn)));
        turns.extend(fuse.sample(&limits, *value, second * S).map(|turn| (second, turn)));
    }
    turns
}

/// Seed 000, 3.3: the least change is 0.01, three in a row, five minutes, ten seconds.
#[test]
fn the_defaults_are_those_of_the_table() {
    let limits = limits();
    assert_eq!((limits.min_change, limits.row, limits.hold_ms, limits.quiet_ms), (0.01, 3, 300 * S, 10 * S));
    assert_eq!(limits.direction, Direction::Rise);
}

#[test]
fn three_differences_over_the_threshold_in_a_row_raise() {
    assert_eq!(turns(&[0.0, 6.0, 12.0]), []);
    assert_eq!(turns(&[0.0, 6.0, 12.0, 18.0]), [(3, Turn::Raised { delta: 6.0, at_ms: 3 * S })]);
    assert_eq!(turns(&[0.0, 6.0, 12.0, 17.0, 23.0, 29.0]), [], "5 is not over 5, and ends the row");
    assert_eq!(turns(&[0.0, 6.0, 12.0, 12.0, 12.005, 18.01]).len(), 1, "no difference does not end the row");
    assert_eq!(turns(&[18.0, 12.0, 6.0, 0.0]), [], "falls do not count");
    assert_eq!(turns(&[0.0, f64::NAN, 6.0, 12.0, 18.0]), [], "nothing is known between");
}

#[test]
fn ten_seconds_without_a_difference_step_down_and_clear() {
    let mut samples = vec![0.0, 6.0, 12.0, 18.0];
    samples.extend([18.0; 12]);
    let cleared = Turn::Cleared { quiet: true, at_ms: 13 * S };
    assert_eq!(turns(&samples), [(3, Turn::Raised { delta: 6.0, at_ms: 3 * S }), (14, cleared)]);
    // A row of two is forgotten too.
    let mut samples = vec![0.0, 6.0, 12.0];
    samples.extend([12.0; 12]);
    samples.push(18.0);
    assert_eq!(turns(&samples), []);
    // A difference below the threshold keeps it from being quiet.
    let samples: Vec<f64> =
        [0.0, 6.0, 12.0, 18.0].into_iter().chain((0..40).map(|n| 18.0 + f64::from(n))).collect();
    assert_eq!(turns(&samples).len(), 1);
}

#[test]
fn an_alert_lasts_five_minutes_unless_it_is_renewed() {
    let changing = |from: f64, n: u32| (1..=n).map(move |k| from + f64::from(k));
    let samples: Vec<f64> = [0.0, 6.0, 12.0, 18.0].into_iter().chain(changing(18.0, 400)).collect();
    let over = Turn::Cleared { quiet: false, at_ms: 303 * S };
    assert_eq!(turns(&samples)[1..], [(304, over)]);
    // Three more after 200 seconds.
    let renewed = changing(18.0, 197).chain([221.0, 227.0, 233.0]);
    let samples: Vec<f64> =
        [0.0, 6.0, 12.0, 18.0].into_iter().chain(renewed).chain(changing(233.0, 400)).collect();
    let over = Turn::Cleared { quiet: false, at_ms: 503 * S };
    assert_eq!(turns(&samples)[1..], [(504, over)]);
}

fn engine(rule: &str) -> Engine {
    Engine::new(Rules::parse(&format!("version = 1\n[[rule]]\nname = \"r\"\n{rule}")).unwrap(), 0)
}

fn note(key: &str) -> Note {
    Note { stream: 0, key: key.into(), value: 1.0 }
}

#[test]
fn counts_are_compared_window_by_window_and_key_by_key() {
    let mut engine = engine("count = \"AUTH.\"\nby = \"ctx.ip\"\nthreshold = 3\nrow = 2\nhold = 60");
    for (second, a, b) in [(0, 1, 5), (1, 6, 5), (2, 12, 5), (3, 12, 5)] {
        (0..a).for_each(|_| engine.note(&note("a"), second * S + 500));
        (0..b).for_each(|_| engine.note(&note("b"), second * S + 500));
        let alerts = engine.advance((second + 1) * S);
        let raised: Vec<&str> = alerts.iter().map(|alert| alert.key.as_str()).collect();
        assert_eq!(raised, if second == 2 { vec!["a"] } else { vec![] }, "second {second}");
    }
    assert_eq!(engine.raised(), [(0, "a".to_owned())]);
    // The counts fall to nothing, and then nothing changes.
    let alerts = engine.advance(3600 * S);
    assert_eq!((alerts.len(), alerts[0].state, alerts[0].at_ms), (1, State::Quiet, 15 * S));
    assert!(engine.raised().is_empty());
}

#[test]
fn a_refusal_is_an_alert_where_the_rule_says_so() {
    let mut engine = engine("refusals = true\nthreshold = 0\nrow = 1");
    engine.note(&note(""), 100);
    let alerts = engine.advance(S);
    assert_eq!((alerts[0].state, alerts[0].delta), (State::Raised, Some(1.0)));
}

#[test]
fn years_of_nothing_are_passed_at_once_and_keys_have_a_bound() {
    let mut engine =
        engine("count = \"\"\nby = \"sub.user\"\nthreshold = 0\nrow = 1\nevery = 0.1\nquiet = 0.1");
    engine.note(&note("x"), 0);
    assert_eq!(engine.advance(10 * 365 * 86_400 * S).len(), 2);
    for n in 0..20_000 {
        engine.note(&note(&n.to_string()), 10 * 365 * 86_400 * S);
    }
    assert_eq!(engine.crowded(), 10_000);
}

#[test]
fn what_an_event_says_is_noted_by_the_rules_that_ask() {
    let rules = Rules::parse(
        "version = 1\n[[rule]]\nname = \"all\"\ncount = \"\"\nthreshold = 1\n\
         [[rule]]\nname = \"slow\"\nvalue = \"ctx.ms\"\nact = \"PAYMENT.\"\nby = \"sub.svc\"\nthreshold = 1\n\
         [[rule]]\nname = \"own\"\ncount = \"LEDGER.GAP\"\nthreshold = 1",
    )
    .unwrap();
    let event = |act: &str, ms: &str| {
        format!(
            r#"{{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO",
            "sub":{{"svc":"payments"}},"act":"{act}","ctx":{{"ms":"{ms}"}}}}"#
        )
    };
    let look = |act: &str, ms: &str| -> Vec<(usize, String, f64)> {
        let text = event(act, ms);
        let event = event::validate(text.as_bytes()).unwrap();
        rules.look(&event).into_iter().map(|note| (note.stream, note.key.to_string(), note.value)).collect()
    };
    assert_eq!(look("PAYMENT.CREATED", "12.5"), [(0, String::new(), 1.0), (1, "payments".into(), 12.5)]);
    assert_eq!(look("PAYMENT.CREATED", "fast"), [(0, String::new(), 1.0)]);
    assert_eq!(look("PAYMENT.CREATED", "inf"), [(0, String::new(), 1.0)]);
    assert_eq!(look("ALERT.RAISED", "1"), []);
    assert_eq!(look("LEDGER.GAP", "1"), [(2, String::new(), 1.0)]);
}

#[test]
fn rules_that_make_no_sense_are_refused_by_name() {
    let refused = |text: &str| Rules::parse(&format!("version = 1\n{text}")).unwrap_err().to_string();
    let rule = |text: &str| refused(&format!("[[rule]]\nname = \"r\"\nthreshold = 1\n{text}"));
    assert!(rule("").contains("`r` must have one of"));
    assert!(rule("count = \"A.\"\nrefusals = true").contains("must have one of"));
    assert!(rule("value = \"act\"").contains("not of sub, obj or ctx"));
    assert!(rule("count = \"A.\"\nevery = 60").contains("shorter than `every`"));
    assert!(rule("count = \"A.\"\nrow = 0").contains("`row`"));
    assert!(rule("count = \"A.\"\nhold = -1").contains("`hold`"));
    assert!(rule("count = \"A.\"\nwebhooks = [\"ops\"]").contains("does not describe"));
    assert!(rule("count = \"A.\"\nthresold = 1").contains("thresold"));
    let hook =
        |url: &str| refused(&format!("[[webhook]]\nname = \"w\"\nurl = \"{url}\"\nsecret_file = \"s\""));
    for url in [
        "http://example.org/",
        "ftp://x",
        "https://",
        "http://127.0.0.1.evil.example/",
        "http://localhost@x/",
    ] {
        assert!(hook(url).contains("must have an https:// address"), "{url}");
    }
    assert!(Rules::parse("version = 2").is_err());
    let twice = "[[rule]]\nname = \"r\"\nthreshold = 1\ncount = \"A.\"\n".repeat(2);
    assert!(refused(&twice).contains("two rules"));
}
