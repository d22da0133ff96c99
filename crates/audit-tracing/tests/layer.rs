//! The layer on a real home.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::PathBuf;
use std::sync::Arc;

use audit::{Filter, Session};
use audit_tracing::{Builder, Counts};
use tracing_subscriber::layer::SubscriberExt as _;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        audit::create_home(&folder.path().join("home"), "test").unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// Every test ends with this.
    fn verify(&self) {
        assert!(audit::verify(&self.path(), None, &mut |_, _| ()).unwrap().holds());
    }
}

fn stored(session: &Session, act: &str) -> Vec<String> {
    let mut found = Vec::new();
    let filter = Filter { act: Some(act.into()), ..Filter::default() };
    session
        .query(&filter, &mut |one| {
            found.push(String::from_utf8(one.stored).unwrap());
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn spans_and_fields_become_the_maps_of_an_event() {
    let home = Home::new();
    let session = Arc::new(audit::open(&home.path()).unwrap());
    let (layer, guard) = Builder::new(Arc::clone(&session)).subject("svc", "auth").build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let outer =
            tracing::info_span!("request", trace_id = "t1", sub.user = "outer", late = tracing::field::Empty);
        let _outer = outer.enter();
        outer.record("late", 7);
        let _inner = tracing::info_span!("inner", sub.user = "inner", obj.table = "users").entered();
        tracing::info!("no compliance event");
        tracing::warn!(act = "AUTH.LOGIN.FAIL", sub.user = %"10086", ip = "192.0.2.1", "wrong \"password\"");
        tracing::error!(act = "SYSTEM.ERROR", severity = "CRITICAL", ctx.code = 3, ok = true);
        tracing::info!(act = "AUTH.LOGIN.FIAL");
    });
    assert_eq!(guard.finish(), Counts { recorded: 2, refused: 1, dropped: 0 });
    let fail = stored(&session, "AUTH.").join("\n");
    for part in [
        r#""sub":{"svc":"auth","user":"10086"}"#,
        r#""obj":{"table":"users"}"#,
        r#""severity":"WARN""#,
        r#""trace_id":"t1""#,
        r#""late":"7""#,
        r#""ip":"192.0.2.1""#,
        r#""msg":"wrong \"password\"""#,
        r#""target":"layer""#,
    ] {
        assert!(fail.contains(part), "{part} is not in {fail}");
    }
    let worst = stored(&session, "SYSTEM.").join("\n");
    assert!(worst.contains(r#""severity":"CRITICAL""#) && worst.contains(r#""user":"inner""#), "{worst}");
    assert!(worst.contains(r#""code":"3""#) && worst.contains(r#""ok":"true""#), "{worst}");
    drop(session);
    home.verify();
}

#[test]
fn a_caller_that_asks_for_it_waits_until_the_event_is_durable() {
    let home = Home::new();
    let session = Arc::new(audit::open(&home.path()).unwrap());
    let (layer, guard) = Builder::new(Arc::clone(&session)).queue(1).wait().build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for n in 1..=20 {
            tracing::info!(act = "DATA.READ", sub.user = n);
            assert_eq!(stored(&session, "DATA.").len(), n, "it returned before the event was durable");
        }
    });
    assert_eq!(guard.finish(), Counts { recorded: 20, refused: 0, dropped: 0 });
    drop(session);
    home.verify();
}

#[test]
fn a_full_queue_drops_counts_and_says_so() {
    let home = Home::new();
    let session = Arc::new(audit::open(&home.path()).unwrap());
    let (layer, guard) = Builder::new(Arc::clone(&session)).queue(1).build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for n in 0..5000 {
            tracing::info!(act = "DATA.READ", sub.user = n);
        }
    });
    let counts = guard.finish();
    assert_eq!(counts.recorded + counts.dropped, 5000);
    assert!(counts.dropped > 0, "a queue of one was never full");
    assert_eq!(stored(&session, "DATA.").len() as u64, counts.recorded);
    let told: u64 = stored(&session, "AUDIT.DROPPED")
        .iter()
        .map(|event| {
            let (_, rest) = event.split_once(r#""dropped":""#).unwrap();
            rest.split_once('"').unwrap().0.parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(told, counts.dropped);
    drop(session);
    home.verify();
}
