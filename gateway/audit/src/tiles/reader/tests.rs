//! Proofs from tiles, against those from the leaves themselves; the tiles are made here from the definition.

use std::collections::HashMap;

use super::*;
use crate::SigningKey;

/// All files of a log of these entries, from the formula of `tlog-tiles`: tile `n` of level `l` holds the hashes of
/// `entries[(n * 256 + i) * 256^l ..][.. 256^l]`.
fn files(entries: &[Vec<u8>]) -> HashMap<String, Vec<u8>> {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    let mut files = HashMap::new();
    let name = |kind: &str, number: usize, width: usize| {
        let digits = format!("{:06}", number);
        let (thousands, rest) = digits.split_at(3);
        let number = if number < 1000 { rest.to_owned() } else { format!("x{thousands}/{rest}") };
        if width == 256 { format!("tile/{kind}/{number}") } else { format!("tile/{kind}/{number}.p/{width}") }
    };
    for (number, chunk) in entries.chunks(256).enumerate() {
        let bundle = chunk.iter().flat_map(|entry| [&(entry.len() as u16).to_be_bytes()[..], entry].concat()).collect();
        files.insert(name("entries", number, chunk.len()), bundle);
    }
    let mut row = leaves;
    for level in 0.. {
        for (number, chunk) in row.chunks(256).enumerate() {
            files.insert(name(&level.to_string(), number, chunk.len()), chunk.concat());
        }
        row = row.chunks_exact(256).map(tree::root).collect();
        if row.is_empty() {
            return files;
        }
    }
    unreachable!("rows get shorter")
}

fn entries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_string().into_bytes()).collect()
}

fn reader(entries: &[Vec<u8>]) -> Reader<impl Files> {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    let key = SigningKey::generate("example.com/log").unwrap();
    let checkpoint = Checkpoint::sign(leaves.len() as u64, tree::root(&leaves), &key).unwrap();
    let files = files(entries);
    Reader::new(move |path: &str| Ok(files.get(path).cloned()), checkpoint)
}

#[test]
fn proofs_from_tiles_are_those_from_the_leaves() {
    for count in [1, 2, 255, 256, 257, 511, 512, 1000] {
        let entries = entries(count);
        let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
        let reader = reader(&entries);
        for index in (0..count).step_by(1 + count / 50).chain([count - 1]) {
            let expected = tree::inclusion_proof(&leaves, index as u64).unwrap();
            assert_eq!(reader.inclusion_proof(index as u64).unwrap(), (leaves[index], expected.clone()));
            assert_eq!(reader.entry(index as u64).unwrap(), (entries[index].clone(), expected), "{index} of {count}");
        }
        for from in (0..=count).step_by(1 + count / 50).chain([count]) {
            let expected = (tree::root(&leaves[..from]), tree::consistency_proof(&leaves, from as u64).unwrap());
            assert_eq!(reader.consistency_proof(from as u64).unwrap(), expected, "{from} of {count}");
        }
        assert!(reader.entry(count as u64).is_err() && reader.inclusion_proof(u64::MAX).is_err());
        assert!(reader.consistency_proof(count as u64 + 1).is_err());
    }
}

#[test]
fn a_large_log_needs_few_tiles() {
    let entries = entries(70_000);
    let all = files(&entries);
    // 273 full and one partial tile of level 0, one of each of level 1, one of level 2; and the bundles.
    assert_eq!(all.len(), 274 + 2 + 1 + 274);
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    let reader = reader(&entries);
    let fetched = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let counting = Reader::new(
        |path: &str| {
            fetched.borrow_mut().insert(path.to_owned());
            Ok(all.get(path).cloned())
        },
        reader.checkpoint().clone(),
    );
    assert_eq!(counting.entry(12_345).unwrap().1, tree::inclusion_proof(&leaves, 12_345).unwrap());
    assert_eq!(counting.consistency_proof(65_537).unwrap().1, tree::consistency_proof(&leaves, 65_537).unwrap());
    assert!(fetched.borrow().len() < 12, "{:?}", fetched.borrow());
}

#[test]
fn what_does_not_lead_to_the_root_is_not_handed_out() {
    let entries = entries(600);
    let good = files(&entries);
    let checkpoint = reader(&entries).checkpoint().clone();
    for changed in ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"] {
        let mut files = good.clone();
        let file = files.get_mut(changed).unwrap();
        let middle = file.len() / 2;
        file[middle] ^= 1;
        let reader = Reader::new(|path: &str| Ok(files.get(path).cloned()), checkpoint.clone());
        let refused = (0..600).filter(|index| reader.entry(*index).is_err()).count();
        assert!(refused > 0, "{changed}");
    }
    let mut files = good;
    files.remove("tile/0/001");
    let reader = Reader::new(|path: &str| Ok(files.get(path).cloned()), checkpoint);
    let missing = reader.inclusion_proof(300).unwrap_err();
    assert!(matches!(missing, VerifyError::Damaged(Damage::TileMissing { path }) if path == "tile/0/001"));
}
