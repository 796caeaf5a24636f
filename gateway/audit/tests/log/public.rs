//! Logs of others, verified with this library: their checkpoints, keys and proofs as they were published.

use audit::{Checkpoint, Hash, NoteError, VerifierKey, verify::verify_entry};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Rekor v2, a public log on C2SP `tlog-tiles`: its key, and an entry with proof and checkpoint as its API gave them out
/// (test data of sigstore-js).
const REKOR_KEY: &str = "log2025-1.rekor.sigstore.dev+cf119915+AbfK5adZJxsI323FwGD2AJJ9F4i89cfDuLdGJBIYntuO";
const REKOR_CHECKPOINT: &str = "log2025-1.rekor.sigstore.dev\n412115\n+8vUkEgBK/ansexBUomzocaWoPEmPIzxJC/y+xNMQN4=\n\n\
    — log2025-1.rekor.sigstore.dev zxGZFahCZ/+MqTjH4rC5MWcdLDWbpetE5l30RZfQc4BQkRjWSoKipEUPjvHENeZDHIlAsuezJcLzUVvItpNjaSRoMAs=\n";
const REKOR_PROOF: [&str; 9] = [
    "KIoYVJ0TqmaEkFboP7YWTjSh8vFjVECmokcTOAByfIM=",
    "Umf0h0cK2hegTzNnSgsXszyiA4bp5OvEvP+GrWq3C8w=",
    "vNQeSNBfepYZI2Ez3ViKdCft0JH87ZS8IGKwixxUVjc=",
    "JBAugd5awOqmHXIKgz1MOjlR5f37VqmP0bWoRVcHX5M=",
    "xYH2mAxGxfOgvSOLnItT2LsJt+Z2a2egjf8QJFwK7jA=",
    "PbZWM3NitzChx9A22m/kddDtzh2bAKX5Fy7j76l3z2k=",
    "sKX9Sbsahvw5DiC2oP6pbZsDi1NzuNS1nIULXkCC57o=",
    "pfTCxXHnCM253jwYxVJcuUhmoTTtDxznn92QhN0M4Ws=",
    "cJ8uk2ZvZyfg+HRILKOHcyHu2pvI8Fz3R1MyMvyzWtA=",
];
const REKOR_ENTRY: &str = "eyJhcGlWZXJzaW9uIjoiMC4wLjIiLCJraW5kIjoiaGFzaGVkcmVrb3JkIiwic3BlYyI6eyJoYXNoZWRSZWtvcmRWMDAyIjp7ImRhdGEiOnsiYWxnb3JpdGhtIjoiU0hBMl8yNTYiLCJkaWdlc3QiOiI1ZEoyU2FrVWVPWFk0dXQxaEJIUG9teitoVG42dGMwS1R6Y0dvc0ErZXBFPSJ9LCJzaWduYXR1cmUiOnsiY29udGVudCI6Ik1FWUNJUURjSk84Mm56MXJydHUxRHhTcHJ1WDFvZ0p1bThkbDRJaUdCTVB6M2pZY2JnSWhBS3dROHdOdTFPbjhwWWZoQUpDSzhPcVQwT09HVGgveUFRK0FuL2UzZC9kVSIsInZlcmlmaWVyIjp7ImtleURldGFpbHMiOiJQS0lYX0VDRFNBX1AyNTZfU0hBXzI1NiIsInB1YmxpY0tleSI6eyJyYXdCeXRlcyI6Ik1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdBRTBxOVErdGRHMTk1Q1hLZm1VeDFZYXR2Wi9tTjNyaGpwT2ZtMWx2c2tXcHJIOVB4cGU5WGM2TGpFSmJCY1ZQaHV0a2ZVdkJCOVJEays0MlNORTYvNXhnPT0ifX19fX19";

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[test]
fn an_entry_of_a_public_log_is_proven_to_be_in_it() {
    let key = VerifierKey::parse(REKOR_KEY).unwrap();
    let proof: Vec<Hash> = REKOR_PROOF.iter().map(|hash| bytes(hash).try_into().unwrap()).collect();
    let entry = bytes(REKOR_ENTRY);
    let checkpoint = verify_entry(&entry, 412_114, &proof, REKOR_CHECKPOINT, &key).unwrap();
    assert_eq!((checkpoint.tree_size, checkpoint.origin.as_str()), (412_115, "log2025-1.rekor.sigstore.dev"));

    for (entry, index) in [([&entry[..], b" "].concat(), 412_114), (entry.clone(), 412_113), (entry.clone(), 412_115)] {
        assert!(verify_entry(&entry, index, &proof, REKOR_CHECKPOINT, &key).is_err(), "{index}");
    }
    for changed in [proof[1..].to_vec(), [&proof[..], &proof[..1]].concat(), proof.iter().rev().copied().collect()] {
        assert!(verify_entry(&entry, 412_114, &changed, REKOR_CHECKPOINT, &key).is_err());
    }
}

#[test]
fn a_checkpoint_of_a_public_log_is_opened_as_others_open_it() {
    // As its address gave it out in July 2026.
    let note = "log2025-1.rekor.sigstore.dev\n34356369\ndA9mMr0smTXgo7nGsE01Zdc5KOOqTs2/zYfdSqxO+ks=\n\n\
        — log2025-1.rekor.sigstore.dev zxGZFQZgTebN28s0D7vKP5gX8R+CsXCved700HCQAHgDHbdkaH3tfx7+DMPkccNhzsnSy7LijLzWMa+evZduylLs0wc=\n";
    let key = VerifierKey::parse(REKOR_KEY).unwrap();
    assert_eq!(Checkpoint::open(note, &key).unwrap().tree_size, 34_356_369);
    // Lines of witnesses this reader does not know change nothing.
    let witnessed = format!(
        "{note}— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n"
    );
    assert_eq!(Checkpoint::open(&witnessed, &key).unwrap().tree_size, 34_356_369);
    let forged = note.replace("34356369", "34356370");
    assert!(matches!(Checkpoint::open(&forged, &key), Err(NoteError::InvalidSignature { .. })));
}
