use super::*;

/// The example of Go's package `golang.org/x/mod/sumdb/note`, the format's first implementation.
const NEUMANN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
    \u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn signer(name: &str) -> NoteSigner {
    NoteSigner::new(name, Ed25519Signer::generate().unwrap()).unwrap()
}

fn line(signer: &NoteSigner, text: &str) -> String {
    signer.sign(text).unwrap()[text.len() + 1..].to_owned()
}

#[test]
fn the_example_of_gos_package_opens() {
    let verifier = NoteVerifier::parse(NEUMANN_KEY).unwrap();
    assert_eq!(verifier.to_string(), NEUMANN_KEY);
    let opened = verifier.open(NEUMANN_NOTE).unwrap();
    assert_eq!(opened.signed_by, ["PeterNeumann"]);
    assert!(opened.text.ends_with("problem is.\n"));
    assert!(verifier.open(&NEUMANN_NOTE.replace("think", "thing")).is_err());
}

#[test]
fn what_is_signed_opens_and_no_changed_byte_does() {
    let signer = signer("example.com/log");
    for text in ["a\n", "\n", "a\n\nb\n", "a\n\n", "\u{7f}\n", "ä €\n"] {
        let note = signer.sign(text).unwrap();
        let opened = signer.verifier().open(&note).unwrap();
        assert_eq!(
            (opened.text.as_str(), opened.signed_by.as_slice()),
            (text, &["example.com/log".to_owned()][..])
        );
    }
    let note = signer.sign("abc\ndef\n").unwrap();
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(signer.verifier().open(&changed).is_err(), "byte {at}: {changed:?}");
    }
}

#[test]
fn texts_that_no_note_can_carry_are_not_signed() {
    let signer = signer("log");
    for text in ["", "a", "a\r\n", "\u{1}\n", "a\tb\n", "a\0\n"] {
        assert!(signer.sign(text).is_err(), "{text:?}");
    }
    assert!(signer.sign(&("x".repeat(MAX_NOTE) + "\n")).is_err());
}

#[test]
fn names_keep_the_rule() {
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\tb", "a\nb", "\u{1}", "\u{85}"] {
        assert!(NoteSigner::new(name, Ed25519Signer::generate().unwrap()).is_err(), "{name:?}");
    }
    NoteSigner::new("example.com/ä", Ed25519Signer::generate().unwrap()).unwrap();
}

#[test]
fn notes_that_break_the_format_are_malformed() {
    let signer = signer("log");
    let good = line(&signer, "text\n");
    let blob = good.trim_end().rsplit(' ').next().unwrap();
    let broken = [
        String::new(),
        "text\n".into(),
        "text\n\n".into(),
        format!("text\n{good}"),
        format!("text\n\n{}", good.trim_end()),
        format!("text\n\n{good}\n"),
        format!("text\r\n\n{good}"),
        format!("te\u{1}xt\n\n{good}"),
        format!("text\n\n{}", good.replace('\u{2014}', "-")),
        format!("text\n\n\u{2014}  {blob}\n"),
        format!("text\n\n\u{2014} lo+g {blob}\n"),
        format!("text\n\n\u{2014} lo\u{a0}g {blob}\n"),
        format!("text\n\n\u{2014} log {blob} \n"),
        format!("text\n\n\u{2014} log {blob} x\n"),
        "text\n\n\u{2014} log AAAAAA==\n".into(), // four bytes: a hash and no signature
        "text\n\n\u{2014} log !\n".into(),
        format!("text\n\n{}", good.repeat(MAX_SIGNATURES + 1)),
        "x".repeat(MAX_NOTE) + "\n\n" + &good,
    ];
    for note in broken {
        let shown: String = note.chars().take(120).collect();
        match signer.verifier().open(&note) {
            Err(SigningError::Malformed { .. }) => {}
            other => unreachable!("{shown:?} gave {other:?}"),
        }
    }
}

/// "Verifiers MUST ignore signatures from unknown keys, even if they share a name or ID (but not both)".
#[test]
fn strangers_are_ignored_even_under_our_name_or_hash() {
    let (ours, same_name, other) = (signer("log"), signer("log"), signer("other"));
    let text = "text\n";
    let mut same_hash = key_hash("log", &ours.key.verifier().to_bytes()).to_vec();
    same_hash.extend([7; 64]);
    let same_hash = format!("\u{2014} elsewhere {}\n", STANDARD.encode(same_hash));
    let strangers = [line(&same_name, text), line(&other, text), same_hash].concat();
    let note = format!("{text}\n{strangers}{}", line(&ours, text));
    assert_eq!(ours.verifier().open(&note).unwrap().signed_by, ["log"]);
    match ours.verifier().open(&format!("{text}\n{strangers}")) {
        Err(SigningError::NoTrustedSignature { signers }) => assert_eq!(signers, "log, other, elsewhere"),
        other => unreachable!("{other:?}"),
    }
}

/// "If a signature from a known key fails to verify, clients SHOULD reject the whole note."
#[test]
fn one_bad_line_of_a_known_key_condemns_the_note() {
    let (first, second) = (signer("first"), signer("second"));
    let text = "text\n";
    let trusted = [first.verifier(), second.verifier()];
    let good = format!("{text}\n{}{}", line(&first, text), line(&second, text));
    assert_eq!(open(&good, &trusted).unwrap().signed_by, ["first", "second"]);
    let bad = format!("{text}\n{}{}", line(&first, text), line(&second, "other\n"));
    assert!(matches!(open(&bad, &trusted), Err(SigningError::BadSignature { key }) if key == "second"));
    let later = format!("{text}\n{}{}", line(&first, text), line(&first, "other\n"));
    assert!(matches!(open(&later, &trusted), Err(SigningError::BadSignature { .. })));
}

#[test]
fn a_hundred_signatures_are_read_and_a_repeated_one_counts_once() {
    let signer = signer("log");
    let note = format!("text\n\n{}", line(&signer, "text\n").repeat(MAX_SIGNATURES));
    assert_eq!(signer.verifier().open(&note).unwrap().signed_by, ["log"]);
}

#[test]
fn keys_in_text_form_are_checked() {
    let good = signer("log").verifier().to_string();
    assert_eq!(NoteVerifier::parse(&good).unwrap().to_string(), good);
    let (name, rest) = good.split_once('+').unwrap();
    let (hash, key) = rest.split_once('+').unwrap();
    let broken = [
        String::new(),
        name.to_owned(),
        format!("{name}+{hash}"),
        format!("{name}+{hash}+"),
        format!("other+{hash}+{key}"),
        format!("{name}+00000000+{key}"),
        format!("{name}+{hash}0+{key}"),
        format!("{name}+{hash}+{key}AAAA"),
        format!("{name}+{hash}+A{}", &key[1..]).replace("+AR", "+Ag"),
        format!("+{hash}+{key}"),
        format!("PRIVATE+KEY+{good}"),
    ];
    for text in broken {
        assert!(text == good || NoteVerifier::parse(&text).is_err(), "{text}");
    }
}
