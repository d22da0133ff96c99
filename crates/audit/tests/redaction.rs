//! The oracles of redaction and vault on generated input and on the seeds of the fuzzer.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use proptest::prelude::*;

/// Texts that are made of what the detectors look for, and of what nearly is.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "1[2-9][0-9]{1}[ -]?[0-9]{4}[ -]?[0-9]{3,5}",
        "(86|0086|\\+86 ?)1[3-9][0-9]{9}",
        Just("11010519491231002X".to_owned()),
        Just("440524 18800101 0014".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("6222020200112345679".to_owned()),
        "[1-9][0-9]{12,20}",
        "[2-6]([0-9]{3}[ -]){3}[0-9]{4}",
        "[a-z.]{1,5}@[a-z-]{1,4}(\\.[a-z0-9]{1,3}){0,3}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){2,4}",
        "[0-9a-f]{0,4}(:[0-9a-f]{0,4}){1,8}",
        "::ffff:1.2.3.4|fe80::1%eth0|2001:db8::1:",
        "[ -~]{0,4}",
        "[电话é]{0,2}",
    ];
    proptest::collection::vec((piece, "[ ,:._x-]{0,2}"), 0..6)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, after)| piece + &after).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn the_detectors_find_what_expressions_find(text in texts()) {
        audit::fuzzing::detectors(text.as_bytes());
    }

    #[test]
    fn any_vault(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0u8..3) {
        audit::fuzzing::vault_file(&bytes);
        audit::fuzzing::vault_file(&[b"CUSTVLT".as_slice(), &[b'0' + version], &bytes].concat());
    }

    #[test]
    fn any_sealed_field(text in "(sealed:1:)?[A-Za-z0-9_:-]{0,160}") {
        audit::fuzzing::sealed_field(text.as_bytes());
    }

    #[test]
    fn any_policy(
        fields in "(\\*|sub|obj|ctx|x)\\.[a-z*.]{1,6}",
        detect in "mobile|idcard|bankcard|email|ip|pattern|iris",
        pattern in "[a-z0-9.*+?(){}\\[\\]|\\\\]{0,10}",
        action in "keep|mask|truncate|hmac-sm3|sm4-gcm|sm4-ctr|sm4-ecb|sm4-ctr\\+hmac-sm3",
        subject in "customer=(sub\\.customer|value|ctx\\.none)|x",
    ) {
        let pattern = if detect == "pattern" { format!("pattern = '{pattern}'\n") } else { String::new() };
        let text = format!(
            "version = 1\npolicy = 3\n[[rule]]\nname = \"r\"\nfields = [\"{fields}\"]\ndetect = \"{detect}\"\n{pattern}\
             subject = \"{subject}\"\naction = {{ debug = \"mask\", error = \"{action}\" }}\n"
        );
        audit::fuzzing::policy(text.as_bytes());
    }
}

#[test]
fn the_seeds_of_the_fuzzer_hold() {
    fuzz_replay::corpus(&[
        ("audit_policy", audit::fuzzing::policy),
        ("audit_vault_file", audit::fuzzing::vault_file),
        ("audit_sealed_field", audit::fuzzing::sealed_field),
        ("audit_detectors", audit::fuzzing::detectors),
    ]);
}

#[test]
fn the_template_is_a_policy() {
    let policy = audit::redact::Policy::parse(audit::redact::TEMPLATE).unwrap();
    assert_eq!(policy.version(), 1);
    assert!(policy.needs_vault());
}
