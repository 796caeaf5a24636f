//! The vectors are those of Certificate Transparency's reference tree; the naive functions transcribe the definitions of
//! RFC 6962, section 2.1, independently of how the module computes.

use proptest::prelude::*;

use super::*;

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(text: &str) -> Hash {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn reference_leaves() -> Vec<Hash> {
    LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect()
}

fn numbered_leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

#[test]
fn the_empty_tree_has_the_hash_of_nothing() {
    assert_eq!(empty_root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_eq!(root(&[]), empty_root());
}

#[test]
fn reference_roots() {
    let leaves = reference_leaves();
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(root(&leaves[..size]), hash(expected), "size {size}");
    }
}

#[test]
fn reference_inclusion_proofs() {
    let cases: [(u64, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    let leaves = reference_leaves();
    for (index, size, expected) in cases {
        let expected: Vec<Hash> = expected.iter().map(|text| hash(text)).collect();
        assert_eq!(inclusion_proof(&leaves[..size], index).unwrap(), expected);
        verify_inclusion(&leaves[index as usize], index, size as u64, &expected, &hash(ROOTS[size - 1])).unwrap();
    }
}

#[test]
fn reference_consistency_proofs() {
    let cases: [(u64, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    let leaves = reference_leaves();
    for (from, to, expected) in cases {
        let expected: Vec<Hash> = expected.iter().map(|text| hash(text)).collect();
        assert_eq!(consistency_proof(&leaves[..to], from).unwrap(), expected);
        let (older, newer) = (hash(ROOTS[from as usize - 1]), hash(ROOTS[to - 1]));
        verify_consistency(from, &older, to as u64, &newer, &expected).unwrap();
    }
}

/// MTH of RFC 6962, 2.1.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// The largest power of two smaller than `count`.
fn naive_split(count: usize) -> usize {
    let mut power = 1;
    while power * 2 < count {
        power *= 2;
    }
    power
}

/// PATH of RFC 6962, 2.1.1.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(naive_split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - left.len(), right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962, 2.1.2.
fn naive_subproof(from: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(naive_split(leaves.len()));
    let (mut proof, sibling) = if from <= left.len() {
        (naive_subproof(from, left, whole), naive_root(right))
    } else {
        (naive_subproof(from - left.len(), right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

#[test]
fn every_proof_of_small_trees_is_the_naive_one_and_verifies_only_where_it_belongs() {
    let leaves = numbered_leaves(40);
    for size in 1..=leaves.len() {
        let tree = &leaves[..size];
        let top = naive_root(tree);
        assert_eq!(root(tree), top);
        for index in 0..size {
            let proof = inclusion_proof(tree, index as u64).unwrap();
            assert_eq!(proof, naive_path(index, tree));
            for claimed in 0..size {
                let verified = verify_inclusion(&tree[index], claimed as u64, size as u64, &proof, &top);
                assert_eq!(verified.is_ok(), claimed == index, "leaf {index} as {claimed} of {size}");
            }
        }
        for from in 1..=size {
            let proof = consistency_proof(tree, from as u64).unwrap();
            assert_eq!(proof, naive_subproof(from, tree, true));
            let older = naive_root(&leaves[..from]);
            verify_consistency(from as u64, &older, size as u64, &top, &proof).unwrap();
            let other = naive_root(&leaves[1..=from.min(leaves.len() - 1)]);
            assert!(verify_consistency(from as u64, &other, size as u64, &top, &proof).is_err());
        }
    }
}

#[test]
fn proofs_that_cannot_be_are_refused() {
    let leaves = numbered_leaves(5);
    let top = root(&leaves);
    assert_eq!(inclusion_proof(&leaves, 5), Err(ProofError::IndexBeyondTree { log_index: 5, tree_size: 5 }));
    assert_eq!(consistency_proof(&leaves, 6), Err(ProofError::SizesOutOfOrder { from: 6, to: 5 }));
    assert!(inclusion_proof(&[], 0).is_err());
    assert_eq!(consistency_proof(&leaves, 0), Ok(Vec::new()));
    verify_consistency(0, &empty_root(), 5, &top, &[]).unwrap();
    verify_consistency(0, &empty_root(), 0, &empty_root(), &[]).unwrap();
    assert!(verify_consistency(0, &top, 5, &top, &[]).is_err());
    assert!(verify_consistency(0, &empty_root(), 0, &top, &[]).is_err());
    assert!(verify_consistency(5, &top, 5, &empty_root(), &[]).is_err());
    assert!(verify_consistency(5, &top, 4, &top, &[]).is_err());
    assert_eq!(verify_inclusion(&leaves[0], u64::MAX - 1, u64::MAX, &[], &top), Err(ProofError::WrongLength));
    assert_eq!(verify_consistency(3, &top, u64::MAX, &top, &[top]), Err(ProofError::WrongLength));
}

#[test]
fn positions_number_the_hashes_as_they_become_final() {
    // By hand, for seven leaves: 0 1 (0-1) 2 3 (2-3) (0-3) 4 5 (4-5) 6.
    let order = [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3), (1, 1), (2, 0), (0, 4), (0, 5), (1, 2), (0, 6)];
    for (expected, (level, index)) in (0..).zip(order) {
        assert_eq!(position(level, index), expected, "level {level} index {index}");
    }
    assert_eq!(stored_count(7), 11);

    let leaves = numbered_leaves(100);
    let (mut frontier, mut stored) = (Frontier::default(), Vec::new());
    for (size, leaf) in (1..).zip(&leaves) {
        frontier.push(*leaf, &mut stored);
        assert_eq!(stored.len() as u64, stored_count(size));
        let subtrees = complete_subtrees(0..size);
        let hashes = subtrees.iter().map(|(level, index)| stored[position(*level, *index) as usize]).collect();
        assert_eq!(Frontier::new(size, hashes), Some(frontier.clone()));
    }
}

proptest! {
    #[test]
    fn random_trees_agree_with_the_definition(seed: u64, size in 1usize..600, at in 0.0f64..1.0, bit in 0usize..256) {
        let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&(seed ^ n as u64).to_le_bytes())).collect();
        let top = naive_root(&leaves);
        prop_assert_eq!(root(&leaves), top);
        let index = (at * size as f64) as usize;

        let mut proof = inclusion_proof(&leaves, index as u64).unwrap();
        prop_assert_eq!(&proof, &naive_path(index, &leaves));
        verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &top).unwrap();
        if let Some(element) = proof.first_mut() {
            element[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &top).is_err());
        }
        proof.push(top);
        prop_assert!(verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &top).is_err());

        let from = index + 1;
        let older = naive_root(&leaves[..from]);
        let mut proof = consistency_proof(&leaves, from as u64).unwrap();
        prop_assert_eq!(&proof, &naive_subproof(from, &leaves, true));
        verify_consistency(from as u64, &older, size as u64, &top, &proof).unwrap();
        if let Some(element) = proof.last_mut() {
            element[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_consistency(from as u64, &older, size as u64, &top, &proof).is_err());
        }
    }

    #[test]
    fn a_range_of_leaves_folds_from_its_complete_subtrees(size in 1u64..500, at in 0.0f64..1.0) {
        let leaves = numbered_leaves(size as usize);
        let index = (at * size as f64) as u64;
        for range in inclusion_ranges(index, size).unwrap() {
            let parts: Vec<Hash> = complete_subtrees(range.clone())
                .into_iter()
                .map(|(level, n)| naive_root(&leaves[(n << level) as usize..((n + 1) << level) as usize]))
                .collect();
            prop_assert_eq!(fold(&parts), Some(naive_root(&leaves[range.start as usize..range.end as usize])));
        }
    }
}
