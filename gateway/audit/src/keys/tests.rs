//! Keys of one log over time.

use super::*;
use crate::note::{Checkpoint, NoteError};

fn key() -> SigningKey {
    SigningKey::generate("example.vn/log").unwrap()
}

#[test]
fn a_history_is_read_and_written() {
    let (old, new) = (key(), key());
    let text = format!("# 2026\n{}  until 70\n\n{} from 60\n", old.verifier(), new.verifier());
    let history = KeyHistory::parse(&text).unwrap();
    assert_eq!(history.origin(), "example.vn/log");
    let ids = |size| history.at(size).into_iter().map(VerifierKey::id).collect::<Vec<_>>();
    let (old_id, new_id) = (old.verifier().id(), new.verifier().id());
    assert_eq!(ids(0), [old_id]);
    assert_eq!(ids(60), [old_id, new_id]);
    assert_eq!(ids(70), [old_id, new_id]);
    assert_eq!(ids(71), [new_id]);
    assert_eq!(KeyHistory::parse(&history.to_string()).unwrap(), history);
    let one = KeyHistory::parse(&old.verifier().to_string()).unwrap();
    assert_eq!(one, KeyHistory::from(old.verifier().clone()));

    let other = SigningKey::generate("example.vn/other").unwrap();
    assert!(matches!(
        KeyHistory::parse(&format!("{}\n{}", old.verifier(), other.verifier())),
        Err(KeyError::SeveralNames)
    ));
    for wrong in ["until", "until x", "until 7 8", "to 7", "from 8 until 7", "from -1"] {
        let parsed = KeyHistory::parse(&format!("{} {wrong}", old.verifier()));
        assert!(matches!(parsed, Err(KeyError::Range)), "{wrong}");
    }
    assert!(matches!(KeyHistory::parse("# nothing\n"), Err(KeyError::Verifier)));
}

#[test]
fn while_keys_overlap_either_verifies_and_a_retired_one_signs_nothing_newer() {
    let (old, new) = (key(), key());
    let (old_verifier, new_verifier) = (old.verifier().clone(), new.verifier().clone());
    let before = Checkpoint::sign(50, [1; 32], &old).unwrap().note;
    let stolen = Checkpoint::sign(80, [6; 32], &old).unwrap().note;
    let after = Checkpoint::sign(80, [3; 32], &new).unwrap().note;
    let keys = SigningKeys::new(new, vec![old]).unwrap();
    let during = Checkpoint::sign_with(60, [2; 32], &keys).unwrap().note;
    assert_eq!(during.matches("— example.vn/log ").count(), 2);
    assert!(Checkpoint::open(&during, &old_verifier).is_ok() && Checkpoint::open(&during, &new_verifier).is_ok());

    let history = KeyHistory::parse(&format!("{old_verifier} until 70\n{new_verifier} from 60")).unwrap();
    for note in [&before, &during, &after] {
        assert!(Checkpoint::open(note, &history).is_ok(), "{note}");
    }
    let refused = NoteError::NotSigned { key: "example.vn/log".to_owned() };
    assert_eq!(Checkpoint::open(&stolen, &history), Err(refused));

    // One signature that does not verify spoils the note, whatever the other says.
    let spoilt: String = during.replacen("60\n", "61\n", 1);
    assert!(Checkpoint::open(&spoilt, &history).is_err());
    let lines: Vec<&str> = during.lines().collect();
    let other = Checkpoint::sign_with(61, [2; 32], &keys).unwrap().note;
    let mixed = format!("{}\n{}\n", lines[..5].join("\n"), other.lines().last().unwrap());
    let invalid = NoteError::InvalidSignature { key: "example.vn/log".to_owned() };
    assert_eq!(Checkpoint::open(&mixed, &history), Err(invalid));

    let foreign = SigningKey::generate("example.vn/other").unwrap();
    assert!(matches!(SigningKeys::new(key(), vec![foreign]), Err(KeyError::SeveralNames)));
}

#[test]
fn a_log_may_have_another_origin_than_its_keys_name() {
    let signer = SigningKey::generate("sum.example.vn").unwrap();
    let note = crate::SignedNote::sign(format!("example database tree\n7\n{}\n", base64_of([7; 32])), &signer).unwrap();
    let verifier = signer.verifier().clone();
    let known = KeyHistory::new("example database tree", vec![(verifier.clone(), 0..=u64::MAX)]);
    assert_eq!(Checkpoint::open(&note.to_string(), &known).unwrap().tree_size, 7);
    assert!(matches!(Checkpoint::open(&note.to_string(), &verifier), Err(NoteError::Origin { .. })));
}

fn base64_of(bytes: [u8; 32]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
