//! Keys and notes are the public examples of Go's `golang.org/x/mod/sumdb/note` and of C2SP `tlog-checkpoint`.

use super::*;

const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn peter() -> SigningKey {
    SigningKey::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap()
}

fn enoch() -> VerifierKey {
    VerifierKey::parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop").unwrap()
}

#[test]
fn signing_gives_the_public_example() {
    assert_eq!(SignedNote::sign(TEXT.to_owned(), &peter()).unwrap().to_string(), format!("{TEXT}\n{PETER}"));
    for text in ["abc", "", "a\u{1}b\n"] {
        assert_eq!(SignedNote::sign(text.to_owned(), &peter()), Err(NoteError::MalformedNote), "{text:?}");
    }
}

#[test]
fn either_signature_of_two_verifies_and_only_its_own_key() {
    let both = SignedNote::parse(&format!("{TEXT}\n{PETER}{ENOCH}")).unwrap();
    assert_eq!(both.verify(peter().verifier()), Ok(TEXT));
    assert_eq!(both.verify(&enoch()), Ok(TEXT));
    let one = SignedNote::parse(&format!("{TEXT}\n{PETER}")).unwrap();
    assert_eq!(one.verify(&enoch()), Err(NoteError::NotSigned { key: "EnochRoot".to_owned() }));
    let other_text = SignedNote::parse(&format!("{}\n{PETER}", TEXT.replace("answer", "question"))).unwrap();
    let invalid = NoteError::InvalidSignature { key: "PeterNeumann".to_owned() };
    assert_eq!(other_text.verify(peter().verifier()), Err(invalid));
}

#[test]
fn malformed_notes_are_refused() {
    let cases = [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", PETER.trim_end()),
        format!("\u{1}{TEXT}\n{PETER}"),
        format!("{TEXT}\n{}", PETER.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{PETER}Unexpected line.\n"),
        format!("{TEXT}\n{}", PETER.replace('—', "-")),
        format!("{TEXT}\n— PeterNeumann x08gow==\n"),
        format!("{TEXT}\n{}", PETER.repeat(101)),
        String::new(),
    ];
    for note in cases {
        assert_eq!(SignedNote::parse(&note), Err(NoteError::MalformedNote), "{note}");
    }
    assert!(SignedNote::parse(&format!("{TEXT}\n{}", PETER.repeat(100))).is_ok());
}

#[test]
fn a_checkpoint_has_the_lines_of_the_specification() {
    // Origin, size and root of the example in tlog-checkpoint.
    let root = STANDARD.decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap().try_into().unwrap();
    let key = SigningKey::generate("example.com/behind-the-sofa").unwrap();
    let checkpoint = Checkpoint::sign(20852163, root, &key).unwrap();
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa ";
    assert!(checkpoint.note.starts_with(text), "{}", checkpoint.note);
    assert_eq!(checkpoint.note.lines().count(), 5);
    assert_eq!(Checkpoint::open(&checkpoint.note, key.verifier()), Ok(checkpoint));
}

#[test]
fn malformed_checkpoints_are_refused_however_well_signed() {
    let root = STANDARD.encode([7; 32]);
    let open = |text: String| {
        Checkpoint::open(&SignedNote::sign(text, &peter()).unwrap().to_string(), peter().verifier()).map(|_| ())
    };
    assert_eq!(open(format!("PeterNeumann\n0\n{root}\n")), Ok(()));
    assert_eq!(open(format!("PeterNeumann\n18446744073709551615\n{root}\nextension\n")), Ok(()));
    for text in [
        format!("PeterNeumann\n01\n{root}\n"),
        format!("PeterNeumann\n+1\n{root}\n"),
        format!("PeterNeumann\n-1\n{root}\n"),
        format!("PeterNeumann\n18446744073709551616\n{root}\n"),
        format!("PeterNeumann\n1\n{}\n", STANDARD.encode([7; 31])),
        "PeterNeumann\n1\n".to_owned(),
        format!("\n1\n{root}\n"),
        format!("PeterNeumann\n1\n{root}\n\nextension\n"),
    ] {
        assert_eq!(open(text.clone()), Err(NoteError::MalformedCheckpoint), "{text}");
    }
    let foreign = NoteError::Origin { found: "OtherLog".to_owned(), expected: "PeterNeumann".to_owned() };
    assert_eq!(open(format!("OtherLog\n1\n{root}\n")), Err(foreign));
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_noticed() {
    let checkpoint = Checkpoint::sign(77, [9; 32], &peter()).unwrap();
    for at in 0..checkpoint.note.len() {
        for bit in 0..8 {
            let mut bytes = checkpoint.note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(note) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::open(&note, peter().verifier()).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_cosignature_is_of_the_text_and_the_time() {
    let witness = SigningKey::generate_for_witness("witness.example.com/w1").unwrap();
    let root = STANDARD.decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap().try_into().unwrap();
    let log = SigningKey::generate("example.com/behind-the-sofa").unwrap();
    let checkpoint = Checkpoint::sign(20852163, root, &log).unwrap();
    let signature = SignedNote::parse(&checkpoint.note).unwrap().cosign(&witness, 1_679_315_147);
    // The message of the example in tlog-cosignature, and the layout: time, then Ed25519.
    let message = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
                   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(signature.signature.len(), 72);
    assert_eq!(signature.signature[..8], 1_679_315_147_u64.to_be_bytes());
    let same_key = STANDARD.decode(witness.verifier().to_string().splitn(3, '+').nth(2).unwrap()).unwrap();
    assert_eq!(same_key[0], 4);
    let plain = VerifierKey::new("plain", same_key[1..].try_into().unwrap()).unwrap();
    assert!(plain.verifies(message, &signature.signature[8..]));

    let cosigned = checkpoint.clone().with_signatures(&[signature.clone(), signature]);
    assert_eq!(cosigned.note.lines().count(), 6, "{}", cosigned.note);
    let seen = Cosignature { witness: "witness.example.com/w1".to_owned(), time: 1_679_315_147 };
    let known = [witness.verifier().clone(), witness.verifier().clone()];
    assert_eq!(cosigned.witnessed(&known, 1), Ok(vec![seen]));
    let too_few = NoteError::TooFewCosignatures { found: 1, required: 2 };
    assert_eq!(cosigned.witnessed(&known, 2), Err(too_few), "one witness counts once");
    assert_eq!(checkpoint.cosignatures(&known), Ok(Vec::new()));
    assert_eq!(Checkpoint::open(&cosigned.note, log.verifier()).unwrap().tree_size, 20852163);
    // The log's own signature is no cosignature, whoever lists its key.
    assert_eq!(cosigned.cosignatures(&[log.verifier().clone()]), Ok(Vec::new()));

    // Another time, under the same signature, is noticed.
    let mut later = SignedNote::parse(&cosigned.note).unwrap();
    later.signatures[1].signature[7] ^= 1;
    let changed = Checkpoint { note: later.to_string(), ..checkpoint };
    let invalid = NoteError::InvalidSignature { key: "witness.example.com/w1".to_owned() };
    assert_eq!(changed.cosignatures(&known), Err(invalid));
}
