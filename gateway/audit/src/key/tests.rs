//! The key pair is the public example of Go's `golang.org/x/mod/sumdb/note`.

use super::*;

const SIGNING: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn the_public_example_is_read_and_written() {
    let key = SigningKey::parse(SIGNING).unwrap();
    assert_eq!(key.to_text().as_str(), SIGNING);
    assert_eq!(key.verifier().to_string(), VERIFIER);
    assert_eq!(VerifierKey::parse(VERIFIER).unwrap(), *key.verifier());
}

#[test]
fn every_cut_and_every_changed_letter_is_refused() {
    for text in [SIGNING, VERIFIER] {
        let parse = |text: &str| SigningKey::parse(text).is_ok() || VerifierKey::parse(text).is_ok();
        assert!(parse(text));
        for start in 0..text.len() {
            for end in start..=text.len() {
                assert!(end - start == text.len() || !parse(&text[start..end]), "{}", &text[start..end]);
            }
            let mut changed = text.as_bytes().to_vec();
            changed[start] += 1;
            assert!(!parse(std::str::from_utf8(&changed).unwrap()), "letter {start}");
        }
    }
    // Wrong length and unknown type, each under the key id that would fit (from the tests of sumdb/note).
    assert!(VerifierKey::parse("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==").is_err());
    let unknown = VerifierKey::parse("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    assert!(matches!(unknown, Err(KeyError::SignatureType(0x65))));
}

#[test]
fn names_with_spaces_or_plus_are_refused() {
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert!(matches!(SigningKey::generate(name), Err(KeyError::Name)), "{name:?}");
    }
}

#[test]
fn fresh_keys_differ_and_print_no_secret() {
    let (one, two) = (SigningKey::generate("example.vn/log").unwrap(), SigningKey::generate("example.vn/log").unwrap());
    assert_ne!(one.verifier(), two.verifier());
    assert_eq!(format!("{one:?}"), r#"SigningKey { name: "example.vn/log", seed: "[redacted]" }"#);
    assert_eq!(SigningKey::parse(&one.to_text()).unwrap().verifier(), one.verifier());
}

#[cfg(unix)]
#[test]
fn key_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.key");
    let key = SigningKey::generate("example.vn/log").unwrap();
    key.save(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SigningKey::load(&path).unwrap().verifier(), key.verifier());
    assert!(matches!(key.save(&path), Err(KeyError::File { .. })), "an existing key was overwritten");

    for mode in [0o640, 0o604, 0o660, 0o601] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let error = SigningKey::load(&path).unwrap_err();
        assert!(matches!(error, KeyError::FileMode { mode: found, .. } if found == mode), "{error}");
    }
    assert!(matches!(SigningKey::load(&directory.path().join("none")), Err(KeyError::File { .. })));
}
