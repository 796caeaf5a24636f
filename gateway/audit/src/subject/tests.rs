use super::*;

#[test]
fn the_hash_is_the_one_other_implementations_give() {
    // Python's hashlib and hmac, key = bytes(range(32)).
    let key: [u8; 32] = std::array::from_fn(|byte| byte as u8);
    let hasher = SubjectHasher::new(&key);
    assert_eq!(hasher.key_id(), "630dcd29");
    let hashed = hasher.hash(IdentifierKind::PersonalId, "052095000017");
    assert_eq!(hashed.kind, 1);
    assert_eq!(hashed.key_id, "630dcd29");
    assert_eq!(hex::encode(hashed.hash), "4c589c85220431da61f53be230e08c01c522910cc11d8eadb4a348f1f8ab21cd");
}

#[test]
fn the_kind_is_part_of_the_hash() {
    let hasher = SubjectHasher::new(&[7; 32]);
    let insured = hasher.hash(IdentifierKind::SocialInsuranceNumber, "5220000017");
    let enterprise = hasher.hash(IdentifierKind::EnterpriseCode, "5220000017");
    assert_ne!(insured.hash, enterprise.hash);
}

#[test]
fn the_key_comes_from_a_file_of_its_own_and_prints_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("subject.key");
    let made = SubjectHasher::create(&path).unwrap();
    let loaded = SubjectHasher::load(&path).unwrap();
    assert_eq!(made.hash(IdentifierKind::LegacyId, "1"), loaded.hash(IdentifierKind::LegacyId, "1"));
    let secret = std::fs::read_to_string(&path).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    assert_eq!(format!("{made:?}"), format!(r#"SubjectHasher {{ key_id: "{}", key: "[redacted]" }}"#, made.key_id()));

    std::fs::write(&path, &secret[..63]).unwrap();
    assert!(matches!(SubjectHasher::load(&path), Err(KeyError::SubjectHash)));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(SubjectHasher::load(&path), Err(KeyError::SubjectHash)));
}
