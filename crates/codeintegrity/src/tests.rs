use proptest::prelude::*;

use crate::model::{
    AllowedSigner, CertRoot, DeniedSigner, Eku, FileRule, RuleKind, Scenario, Setting, Signer, SignerGroup,
    Value,
};
use crate::{
    APPLICATIONS, Builder, DRIVERS, Guid, Member, Policy, PolicyError, SigningKey, Verdict, Version, by_hash,
    deployable, read_binary, read_xml, signable, write_binary, write_xml,
};

const ID: Guid = Guid::from_fields(0x1122_3344, 0x5566, 0x7788, [1, 2, 3, 4, 5, 6, 7, 8]);

fn member(path: &str, trace: &str) -> Member {
    let hashes = vec![("Sha256", vec![0xAB; 32]), ("Sha1", vec![0xCD; 20])];
    Member { path: path.to_owned(), trace: trace.to_owned(), hashes, driver: false }
}

fn built() -> Policy {
    let mut builder = Builder::base("payments", ID, "1.2.3.4".parse().unwrap());
    builder.windows();
    builder.member(&member("bin/payments.exe", "0123abcd")).unwrap();
    builder.path("%OSDRIVE%\\Payments\\*", "p1").unwrap();
    builder.publisher("Example CA", &[7; 32], "Example Ltd", "pub1").unwrap();
    builder.finish()
}

#[test]
fn guids_and_versions_print_as_they_are_read() {
    let guid: Guid = "{39022AE9-83C0-49F6-81B9-B1CCD1871EDA}".parse().unwrap();
    assert_eq!(guid.to_string(), "{39022AE9-83C0-49F6-81B9-B1CCD1871EDA}");
    assert_eq!(guid.to_bytes()[..4], [0xE9, 0x2A, 0x02, 0x39]);
    assert!("39022AE9-83C0-49F6-81B9".parse::<Guid>().is_err());
    let version: Version = "10.0.0.1".parse().unwrap();
    assert_eq!((version.0, version.to_string().as_str()), (0x000A_0000_0000_0001, "10.0.0.1"));
    for wrong in ["", "1.2.3.4.5", "1..2", "65536", "-1", "1.x"] {
        assert!(wrong.parse::<Version>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_built_survives_both_forms() {
    let policy = built();
    let binary = write_binary(&policy).unwrap();
    assert_eq!(write_binary(&read_binary(&binary).unwrap()).unwrap(), binary);
    let xml = write_xml(&policy).unwrap();
    let again = read_xml(&xml).unwrap();
    assert_eq!(again, policy);
    assert_eq!(write_xml(&again).unwrap(), xml);
    assert!(
        policy.file_rules.iter().any(|rule| rule.id == "ID_ALLOW_0123abcd_SHA256"),
        "rules name their entry"
    );
}

/// The bytes of a small policy, worked out by hand from the format document.
#[test]
fn a_small_policy_has_these_bytes() {
    let mut policy = Policy { policy_id: ID, base_policy_id: ID, version: Version(5), ..Policy::default() };
    policy.file_rules.push(FileRule { hash: vec![0xAA, 0xBB], ..FileRule::new("A", RuleKind::Allow) });
    let id = "44332211665588770102030405060708";
    let expected = [
        "07000000",
        id,
        &"00".repeat(16),
        "00000080", // version, base policy, platform, options
        "00000000",
        "01000000",
        "00000000",
        "00000000", // key usages, file rules, signers, scenarios
        "0500000000000000",
        "40000000", // policy version, length of the header
        "01000000",
        "00000000",
        "00000000",
        "0000000000000000",
        "02000000",
        "aabb0000", // the rule
        "00000000",
        "00000000",
        "00000000",
        "00000000", // update signers, CI signers, HVCI, settings
        "03000000",
        "0000000000000000",
        "00000000", // maximum version, applications
        "04000000",
        &"00000000".repeat(6),
        "05000000",
        &"00000000".repeat(2),
        "0000000000000000",
        "06000000",
        id,
        id,
        "00000000",
        "07000000",
        &"00000000".repeat(2),
        "08000000",
    ];
    assert_eq!(hex::encode(write_binary(&policy).unwrap()), expected.concat());
}

#[test]
fn every_cut_and_every_surplus_byte_is_noticed() {
    let binary = write_binary(&built()).unwrap();
    for length in 0..binary.len() {
        assert!(read_binary(&binary[..length]).is_err(), "cut to {length}");
    }
    let longer = [binary.as_slice(), &[0]].concat();
    assert!(matches!(read_binary(&longer), Err(PolicyError::Binary { .. })));
}

#[test]
fn what_a_policy_does_not_have_cannot_be_referred_to() {
    let mut policy = built();
    policy.ci_signers.push("ID_SIGNER_NOBODY".to_owned());
    assert!(matches!(write_binary(&policy), Err(PolicyError::Dangling { kind: "signer", .. })));
    let mut twice = built();
    twice.file_rules.push(twice.file_rules[0].clone());
    assert!(matches!(write_binary(&twice), Err(PolicyError::Unsupported { .. })));
    let mut kind = built();
    let allow = kind.file_rules[0].id.clone();
    kind.signers[0].file_attributes.push(allow);
    assert!(matches!(write_binary(&kind), Err(PolicyError::Unsupported { .. })));
}

#[test]
fn xml_that_is_not_understood_is_refused_with_its_line() {
    let good = write_xml(&built()).unwrap();
    let cases = [
        (
            good.replace("<Option>Enabled:UMCI</Option>", "<Option>Enabled:Nonsense</Option>"),
            "no such option",
        ),
        (good.replace("<Allow ", "<Permit "), "may stand here"),
        (good.replace(" Hash=\"AB", " Surprise=\"1\" Hash=\"AB"), "Surprise is not known"),
        (good.replace(" Hash=\"AB", " Hash=\"XY"), "not hexadecimal"),
        (good.replace("</SiPolicy>", ""), "still open"),
        (good.replace("<SiPolicy", "<!DOCTYPE x [<!ENTITY a \"b\">]><SiPolicy"), "document type"),
        (good.replace("Base Policy", "AppID Tagging Policy"), "AppID tagging"),
        ("<a>".repeat(40), "too deep"),
    ];
    for (text, expected) in cases {
        let error = read_xml(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = read_xml(&good.replace(" Hash=\"AB", " Hash=\"XY")).unwrap_err().to_string();
    let line = 1 + good.lines().position(|line| line.contains("Hash=\"AB")).unwrap();
    assert!(error.contains(&format!("line {line}:")), "{error}, expected line {line}");
}

#[test]
fn an_enforced_policy_without_windows_is_advised_against() {
    let mut builder = Builder::base("x", ID, Version(1));
    builder.enforce();
    assert!(deployable(&builder.finish()).iter().any(|finding| finding.fatal));
    let mut builder = Builder::base("x", ID, Version(1));
    builder.windows();
    builder.enforce();
    assert!(!deployable(&builder.finish()).iter().any(|finding| finding.fatal));
    assert!(
        !deployable(&Builder::supplement("x", ID, crate::PLATFORM, Version(1)).finish())
            .iter()
            .any(|f| f.fatal)
    );
}

#[test]
fn a_policy_is_signed_only_by_whom_it_names() {
    let key = SigningKey { rsa_bits: Some(3072), chain: vec![vec![9; 32]] };
    assert!(signable(&built(), &key).iter().filter(|finding| finding.fatal).count() == 2);
    let mut builder = Builder::base("x", ID, Version(1));
    builder.windows();
    builder.updated_by("Example policy signer", &[9; 32], "u1").unwrap();
    let policy = builder.finish();
    assert_eq!(signable(&policy, &key), []);
    for rsa_bits in [None, Some(1024), Some(8192)] {
        assert!(!signable(&policy, &SigningKey { rsa_bits, ..key.clone() }).is_empty());
    }
    assert!(!signable(&policy, &SigningKey { chain: vec![vec![8; 32]], ..key }).is_empty());
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zA-Z%*<&\"'> ß\u{4e2d}]{0,6}x")
}

prop_compose! {
    fn rule(place: usize)(
        kind in 0..3u8, texts in proptest::array::uniform6(text()), hash in proptest::collection::vec(any::<u8>(), 0..5),
        versions in proptest::array::uniform3(proptest::option::of(1..u64::MAX)),
        app_ids in proptest::collection::vec("[a-z]{1,4}", 0..3),
    ) -> FileRule {
        let kind = [RuleKind::Deny, RuleKind::Allow, RuleKind::Attribute][usize::from(kind)];
        let [file_name, internal_name, file_description, product_name, package_family_name, file_path] = texts;
        let [package_version, minimum_version, maximum_version] = versions.map(|version| version.map(Version));
        FileRule {
            file_name, internal_name, file_description, product_name, package_family_name, file_path,
            package_version, minimum_version, maximum_version, hash, app_ids,
            ..FileRule::new(format!("R{place}"), kind)
        }
    }
}

prop_compose! {
    fn policy()(
        rules in (0..6usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>()),
        roots in proptest::collection::vec(proptest::option::of(any::<u8>()), 1..4),
        names in proptest::array::uniform3(text()), after in 0..i64::MAX / 4,
        settings in proptest::collection::vec(("[a-c]", "[a-c]", "[A-Ca-c]", any::<u32>()), 0..6),
    ) -> Policy {
        let of = |kind| rules.iter().filter(move |rule| rule.kind == kind).map(|rule| rule.id.clone());
        let [issuer, publisher, oem_id] = names;
        let signers: Vec<Signer> = roots.iter().enumerate().map(|(place, root)| Signer {
            id: format!("S{place}"), name: "n".to_owned(),
            root: root.map_or_else(|| CertRoot::Tbs(vec![1, 2, 3]), CertRoot::WellKnown),
            ekus: vec!["E".to_owned()], issuer: issuer.clone(), publisher: publisher.clone(), oem_id: oem_id.clone(),
            file_attributes: of(RuleKind::Attribute).collect(), sign_time_after: after,
        }).collect();
        let group = SignerGroup {
            allowed: vec![AllowedSigner { signer: "S0".to_owned(), except: of(RuleKind::Deny).collect() }],
            denied: vec![DeniedSigner { signer: "S0".to_owned(), except: of(RuleKind::Allow).collect() }],
            file_rules: rules.iter().map(|rule| rule.id.clone()).collect(),
        };
        let value = |n: u32| match n % 4 {
            0 => Value::Boolean(n.is_multiple_of(8)), 1 => Value::Number(n), 2 => Value::Bytes(vec![1; (n % 5) as usize]),
            _ => Value::Text(format!("t<{n}>")),
        };
        Policy {
            ekus: vec![Eku { id: "E".to_owned(), friendly_name: None, value: vec![1, 2, 3] }],
            scenarios: vec![Scenario {
                id: "C".to_owned(), friendly_name: None, value: 12, inherited: Vec::new(), minimum_hash_algorithm: 0x800C,
                product: Some(group.clone()), test: None, test_signing: Some(group),
            }],
            settings: settings.into_iter().map(|(provider, key, value_name, n)| Setting {
                provider, key, value_name, value: value(n),
            }).collect(),
            ci_signers: vec!["S0".to_owned()], update_policy_signers: vec!["S0".to_owned()],
            supplemental_policy_signers: vec!["S0".to_owned()], file_rules: rules, signers,
            policy_id: ID, base_policy_id: ID, hvci_options: 2, ..Policy::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_policy_survives_both_forms(policy in policy()) {
        let binary = write_binary(&policy).unwrap();
        let back = read_binary(&binary).unwrap();
        prop_assert_eq!(write_binary(&back).unwrap(), binary.clone());
        let of_xml = read_xml(&write_xml(&policy).unwrap()).unwrap();
        prop_assert_eq!(write_binary(&of_xml).unwrap(), binary.clone());
        let of_both = read_xml(&write_xml(&back).unwrap()).unwrap();
        prop_assert_eq!(write_binary(&of_both).unwrap(), binary);
    }

    #[test]
    fn damaged_bytes_are_no_trouble(policy in policy(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut binary = write_binary(&policy).unwrap();
        let at = at.index(binary.len());
        binary[at] = byte;
        crate::fuzzing::binary(&binary);
    }
}

/// XML 1.0 §2.2: neither as themselves nor by reference; what is read could not be written again.
#[test]
fn characters_that_xml_cannot_hold_are_refused() {
    let policy = |id: &str| {
        format!(
            "<SiPolicy><PolicyID>{{2E07F7E4-194C-4D20-B7C9-6F44A6C5A234}}</PolicyID>\
             <EKUs><EKU ID=\"{id}\" Value=\"00\" /></EKUs></SiPolicy>"
        )
    };
    assert!(read_xml(&policy("a&#9;b")).is_ok());
    for wrong in ["a\u{1}b", "a&#1;b", "a&#xFFFE;b", "\0"] {
        assert!(read_xml(&policy(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_no_trouble() {
    fuzz_replay::corpus(&[
        ("codeintegrity_binary", crate::fuzzing::binary),
        ("codeintegrity_xml", crate::fuzzing::xml),
    ]);
}

/// `CUSTODY_WRITE_CORPUS=1` makes the fuzzer's seeds anew.
#[test]
fn the_seeds_are_policies() {
    let corpus = format!("{}/../../fuzz/corpus/codeintegrity_", env!("CARGO_MANIFEST_DIR"));
    let policy = built();
    let (binary, xml) = (write_binary(&policy).unwrap(), write_xml(&policy).unwrap());
    if std::env::var_os("CUSTODY_WRITE_CORPUS").is_some() {
        for name in ["binary", "xml"] {
            std::fs::create_dir_all(format!("{corpus}{name}")).unwrap();
        }
        std::fs::write(format!("{corpus}binary/built"), &binary).unwrap();
        std::fs::write(format!("{corpus}xml/built"), &xml).unwrap();
    }
    assert!(
        std::fs::read(format!("{corpus}binary/built")).unwrap() == binary,
        "the seed is of another policy"
    );
    assert!(
        std::fs::read_to_string(format!("{corpus}xml/built")).unwrap() == xml,
        "the seed is of another policy"
    );
}

#[test]
fn a_hash_is_judged_by_the_rules_that_are_in_force() {
    let mut builder = Builder::base("payments", ID, Version(1));
    builder.member(&member("bin/payments.exe", "0123abcd")).unwrap();
    let mut driver = member("bin/filter.sys", "4567");
    driver.hashes = vec![("Sha256", vec![0xEF; 32])];
    driver.driver = true;
    builder.member(&driver).unwrap();
    let mut policy = builder.finish();
    let named = |verdict: Verdict<'_>| match verdict {
        Verdict::Allowed(rule) => format!("allowed by {}", rule.id),
        Verdict::Denied(rule) => format!("denied by {}", rule.id),
        Verdict::Unnamed => "unnamed".to_owned(),
    };
    let ask = |policy: &Policy, scenario, hash: &[u8]| named(by_hash(policy, scenario, &[hash]));
    assert_eq!(ask(&policy, APPLICATIONS, &[0xAB; 32]), "allowed by ID_ALLOW_0123abcd_SHA256");
    assert_eq!(ask(&policy, APPLICATIONS, &[0xAC; 32]), "unnamed");
    // An application's hash is not one of a driver's.
    assert_eq!(ask(&policy, DRIVERS, &[0xAB; 32]), "unnamed");
    assert_eq!(ask(&policy, DRIVERS, &[0xEF; 32]), "allowed by ID_ALLOW_4567_SHA256");
    // A rule that no scenario refers to forbids nothing; one that is in force forbids whatever else allows it.
    policy.file_rules.push(FileRule { hash: vec![0xAB; 32], ..FileRule::new("ID_DENY_1", RuleKind::Deny) });
    assert_eq!(ask(&policy, APPLICATIONS, &[0xAB; 32]), "allowed by ID_ALLOW_0123abcd_SHA256");
    policy.scenarios[1].product.as_mut().unwrap().file_rules.push("ID_DENY_1".to_owned());
    assert_eq!(ask(&policy, APPLICATIONS, &[0xAB; 32]), "denied by ID_DENY_1");
    // What a scenario inherits is in force in it.
    let ids = [policy.scenarios[1].id.clone(), policy.scenarios[0].id.clone()];
    for (scenario, id) in policy.scenarios.iter_mut().zip(ids) {
        scenario.inherited.push(id);
    }
    assert_eq!(ask(&policy, DRIVERS, &[0xAB; 32]), "denied by ID_DENY_1");
    assert_eq!(
        ask(&read_binary(&write_binary(&policy).unwrap()).unwrap(), DRIVERS, &[0xEF; 32]).split(' ').next(),
        Some("allowed")
    );
}
