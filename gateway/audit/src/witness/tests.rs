//! What C2SP `tlog-witness` asks of a witness, refusal by refusal; and that it never forgets.

use super::*;

const ORIGIN: &str = "example.vn/log";

/// A log of numbered leaves, and whatever else its key is made to sign.
struct Log {
    key: SigningKey,
    leaves: Vec<Hash>,
}

impl Log {
    fn new() -> Self {
        let leaves = (0_u64..300).map(|number| tree::leaf_hash(&number.to_be_bytes())).collect();
        Self { key: SigningKey::generate(ORIGIN).unwrap(), leaves }
    }

    fn note(&self, size: usize) -> String {
        Checkpoint::sign(size as u64, tree::root(&self.leaves[..size]), &self.key).unwrap().note
    }

    fn request(&self, from: usize, to: usize) -> AddCheckpoint {
        let proof = tree::consistency_proof(&self.leaves[..to], from as u64).unwrap();
        AddCheckpoint { old_size: from as u64, proof, note: self.note(to) }
    }
}

fn witness(folder: &Path, key: &SigningKey, log: &Log) -> Result<Witness, WitnessError> {
    let key = SigningKey::parse(&key.to_text()).unwrap();
    Witness::open(folder, key, vec![log.key.verifier().clone().into()])
}

fn fresh() -> (tempfile::TempDir, SigningKey, Log) {
    (tempfile::tempdir().unwrap(), SigningKey::generate_for_witness("witness.example.vn/w1").unwrap(), Log::new())
}

fn size(witness: &Witness) -> Option<u64> {
    witness.newest().next().unwrap().1.map(|checkpoint| checkpoint.tree_size)
}

#[test]
fn it_cosigns_what_grows_and_remembers_across_restarts() {
    let (folder, key, log) = fresh();
    let mut known = 0;
    for (round, next) in [0, 0, 1, 2, 3, 8, 8, 100, 256, 300].into_iter().enumerate() {
        // A new process each time.
        let witness = witness(folder.path(), &key, &log).unwrap();
        let request = log.request(known, next);
        let signature = witness.add_checkpoint(&request, 1000 + round as u64).unwrap();
        let checkpoint = Checkpoint::open(&request.note, log.key.verifier()).unwrap().with_signatures(&[signature]);
        let seen = checkpoint.witnessed(&[key.verifier().clone()], 1).unwrap();
        assert_eq!((seen[0].witness.as_str(), seen[0].time), ("witness.example.vn/w1", 1000 + round as u64));
        assert_eq!(size(&witness), Some(next as u64));
        known = next;
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "one file a log, and the lock");
}

#[test]
fn everything_else_is_refused_and_changes_nothing() {
    let (folder, key, log) = fresh();
    let witness = witness(folder.path(), &key, &log).unwrap();
    witness.add_checkpoint(&log.request(0, 100), 0).unwrap();
    let refused = |request: AddCheckpoint| {
        let refusal = witness.add_checkpoint(&request, 0).unwrap_err();
        assert_eq!(size(&witness), Some(100), "{refusal}");
        refusal
    };

    let other = Log { key: SigningKey::generate("example.vn/other").unwrap(), leaves: log.leaves.clone() };
    assert!(matches!(refused(other.request(100, 200)), Refusal::UnknownLog));
    let thief = Log { key: SigningKey::generate(ORIGIN).unwrap(), leaves: log.leaves.clone() };
    assert!(matches!(refused(thief.request(100, 200)), Refusal::NotSigned(_)));
    let tampered = log.request(100, 200);
    let tampered = AddCheckpoint { note: tampered.note.replace("\n200\n", "\n201\n"), ..tampered };
    assert!(matches!(refused(tampered), Refusal::NotSigned(_)));
    assert!(matches!(
        refused(AddCheckpoint { old_size: 101, ..log.request(100, 100) }),
        Refusal::OldSizeBeyond { old_size: 101, tree_size: 100 }
    ));
    for from in [0, 1, 99, 101] {
        assert!(matches!(refused(log.request(from, 200)), Refusal::OtherSize { tree_size: 100 }), "{from}");
    }
    assert!(matches!(refused(log.request(50, 60)), Refusal::OtherSize { tree_size: 100 }), "a smaller tree");

    // A fork: the same key, other entries.
    let mut fork = Log { key: SigningKey::parse(&log.key.to_text()).unwrap(), leaves: log.leaves.clone() };
    fork.leaves[7] = [7; 32];
    assert!(matches!(refused(fork.request(100, 100)), Refusal::OtherRoot { tree_size: 100 }));
    assert!(matches!(refused(fork.request(100, 200)), Refusal::Inconsistent(_)));

    let good = log.request(100, 200);
    let wrong = [
        good.proof[1..].to_vec(),
        [good.proof.clone(), vec![[0; 32]]].concat(),
        good.proof.iter().rev().copied().collect(),
        Vec::new(),
    ];
    for proof in wrong {
        assert!(matches!(refused(AddCheckpoint { proof, ..good.clone() }), Refusal::Inconsistent(_)));
    }
    assert!(matches!(
        refused(AddCheckpoint { proof: vec![[0; 32]], ..log.request(100, 100) }),
        Refusal::Inconsistent(_)
    ));
    witness.add_checkpoint(&good, 0).unwrap();
}

#[test]
fn a_first_checkpoint_needs_no_proof_and_may_have_none() {
    let (folder, key, log) = fresh();
    let witness = witness(folder.path(), &key, &log).unwrap();
    let with_proof = AddCheckpoint { proof: vec![[1; 32]], ..log.request(0, 5) };
    assert!(matches!(witness.add_checkpoint(&with_proof, 0), Err(Refusal::Inconsistent(ProofError::WrongLength))));
    let empty = Checkpoint::sign(0, [9; 32], &log.key).unwrap().note;
    let not_empty = AddCheckpoint { old_size: 0, proof: Vec::new(), note: empty };
    assert!(matches!(witness.add_checkpoint(&not_empty, 0), Err(Refusal::Inconsistent(ProofError::RootMismatch))));
    witness.add_checkpoint(&log.request(0, 5), 0).unwrap();
}

#[test]
fn requests_that_race_are_cosigned_in_one_order() {
    let (folder, key, log) = fresh();
    let witness = witness(folder.path(), &key, &log).unwrap();
    witness.add_checkpoint(&log.request(0, 10), 0).unwrap();
    let (witness, log) = (&witness, &log);
    let cosigned: usize = std::thread::scope(|scope| {
        let racing = (11..=40).map(|to| scope.spawn(move || witness.add_checkpoint(&log.request(10, to), 0).is_ok()));
        racing.collect::<Vec<_>>().into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(cosigned, 1, "all begin with the same size");
}

#[test]
fn it_does_not_begin_without_knowing_what_it_cosigned() {
    let (folder, key, log) = fresh();
    assert!(matches!(witness(&folder.path().join("gone"), &key, &log), Err(WitnessError::Store(_))));
    let one = witness(folder.path(), &key, &log).unwrap();
    one.add_checkpoint(&log.request(0, 9), 0).unwrap();
    assert!(matches!(witness(folder.path(), &key, &log), Err(WitnessError::Store(AuditError::InUse { .. }))));
    drop(one);
    let file = path(folder.path(), ORIGIN);
    let good = std::fs::read_to_string(&file).unwrap();
    for changed in [good.replace("\n9\n", "\n8\n"), String::new(), "x".to_owned(), good[..good.len() - 9].to_owned()] {
        std::fs::write(&file, &changed).unwrap();
        assert!(matches!(witness(folder.path(), &key, &log), Err(WitnessError::State { .. })), "{changed}");
    }
    std::fs::write(&file, &good).unwrap();
    let another = SigningKey::generate_for_witness("witness.example.vn/w1").unwrap();
    assert!(matches!(witness(folder.path(), &another, &log), Err(WitnessError::State { .. })));
    assert!(matches!(witness(folder.path(), &log.key, &log), Err(WitnessError::Key)));
    assert_eq!(size(&witness(folder.path(), &key, &log).unwrap()), Some(9));
}

#[test]
fn a_disk_that_fails_lets_no_cosignature_out() {
    let (folder, key, log) = fresh();
    let inner = folder.path().join("state");
    std::fs::create_dir(&inner).unwrap();
    let witness = witness(&inner, &key, &log).unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    assert!(matches!(witness.add_checkpoint(&log.request(0, 9), 0), Err(Refusal::Store(_))));
    assert_eq!(size(&witness), None);
}

#[test]
fn requests_are_read_to_the_letter() {
    // The example of the specification.
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let request = AddCheckpoint::parse(body).unwrap();
    assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
    assert!(request.note.starts_with("example.com/behind-the-sofa\n20852163\n"));
    assert_eq!(request.to_string(), body);
    assert_eq!(parse_text(&SignedNote::parse(&request.note).unwrap().text).unwrap().1, 20_852_163);
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
    assert!(AddCheckpoint::parse(&format!("old 0\n{}\nnote", hash.repeat(63))).is_some());
    for wrong in [
        format!("old 0\n{}\nnote", hash.repeat(64)),
        "old 01\n\nnote".to_owned(),
        "old +1\n\nnote".to_owned(),
        "old -1\n\nnote".to_owned(),
        "old  1\n\nnote".to_owned(),
        "old 18446744073709551616\n\nnote".to_owned(),
        "Old 1\n\nnote".to_owned(),
        "1\n\nnote".to_owned(),
        "old 1\nnote".to_owned(),
        "old 1\nPlRN\n\nnote".to_owned(),
        "old 1\n!\n\nnote".to_owned(),
        "old 1\r\n\r\nnote".to_owned(),
        String::new(),
    ] {
        assert_eq!(AddCheckpoint::parse(&wrong), None, "{wrong:?}");
    }
}
