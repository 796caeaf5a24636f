//! The log as plain files: written as C2SP `tlog-tiles` says, step by step, and verified from them and the key alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use audit::tiles::{self, Exported, Report, Tile};
use audit::verify::VerifyError;
use audit::{Checkpoint, Damage, tree};
use prost::Message;

use crate::{Place, Store, entry, fill};

crate::on_both_stores! {
    files_are_those_of_the_specification_at_every_size,
    an_export_takes_up_its_own_folder_and_no_other,
}

impl Place {
    fn tiles(&self) -> PathBuf {
        self.directory.path().join("tiles")
    }

    async fn export(&self) -> Result<Exported, VerifyError> {
        tiles::export(&self.location(), &self.verifier(), &self.tiles(), |_, _| {}).await
    }

    fn verify_tiles(&self, kept: &[Checkpoint], state: Option<&Path>) -> Result<Report, VerifyError> {
        tiles::verify(&self.tiles(), &self.verifier(), kept, state, |_| {})
    }

    fn published(&self) -> Checkpoint {
        Checkpoint::open(&fs::read_to_string(self.tiles().join("checkpoint")).unwrap(), &self.verifier()).unwrap()
    }

    /// Appends entries up to a size, and exports.
    async fn grow_to(&self, size: u64) -> Exported {
        let log = self.open().await;
        fill(&log, log.checkpoint().tree_size..size).await;
        log.close().await;
        self.export().await.unwrap()
    }
}

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for file in fs::read_dir(next).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The files of a log as the specification defines them, hash by hash: `MTH(D[(n * 256 + i) * 256**l :
/// (n * 256 + i + 1) * 256**l])`.
fn expected(size: u64) -> BTreeMap<String, Vec<u8>> {
    let entries: Vec<Vec<u8>> = (0..size).map(|number| entry(number).encode_to_vec()).collect();
    let leaves: Vec<tree::Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    let mut files = BTreeMap::new();
    let mut put = |folder: &str, level: u32, hash: &dyn Fn(u64) -> Vec<u8>| {
        let count = size / 256u64.pow(level);
        for index in 0..count.div_ceil(256) {
            let width = (count - index * 256).min(256);
            assert!(index < 1000);
            let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
            let bytes: Vec<u8> = (index * 256..index * 256 + width).flat_map(hash).collect();
            files.insert(format!("tile/{folder}/{index:03}{partial}"), bytes);
        }
    };
    put("entries", 0, &|place| {
        let entry = &entries[place as usize];
        [&(entry.len() as u16).to_be_bytes(), entry.as_slice()].concat()
    });
    for level in 0..3 {
        let span = 256usize.pow(level);
        put(&level.to_string(), level, &|place| {
            tree::root(&leaves[place as usize * span..(place as usize + 1) * span]).to_vec()
        });
    }
    files
}

fn damage(result: Result<Report, VerifyError>) -> Damage {
    match result {
        Err(VerifyError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

async fn files_are_those_of_the_specification_at_every_size(store: Store) {
    let place = Place::empty(store).await;
    let mut before = 0;
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 700, 1024, 1025] {
        let exported = place.grow_to(size).await;
        assert_eq!((exported.from_tree_size, exported.tree_size), (before, size));
        let mut found = files(&place.tiles());
        assert_eq!(found.remove("checkpoint"), Some(place.published().note.into_bytes()));
        for (path, bytes) in expected(size) {
            assert!(found.remove(&path).is_some_and(|found| found == bytes), "{path} at {size}");
        }
        // What is left are partial tiles of earlier checkpoints that no full one replaces yet.
        assert!(found.keys().all(|path| path.contains(".p/")), "{size}: {:?}", found.keys());
        let report = place.verify_tiles(&[], None).unwrap();
        assert_eq!((report.checkpoint.tree_size, report.resumed_from), (size, 0));
        assert_eq!(report.bundle_count, size.div_ceil(256));
        assert_eq!(place.export().await.unwrap().file_count, 0, "nothing new, nothing written");
        before = size;
    }
    assert!(!place.tiles().join("tile/0/000.p").exists(), "the full tile replaces the partial ones");
    assert_eq!(tiles::entry(&place.tiles(), 300, 1025).unwrap(), Some(entry(300).encode_to_vec()));
    assert!(tiles::entry(&place.tiles(), 1025, 1025).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_three_levels_is_exported_in_stages_and_verified_in_parts() {
    let place = Place::empty(Store::Sqlite).await;
    let size = 256 * 256 + 300;
    assert_eq!(place.grow_to(size).await.tree_size, size);
    let mut found = files(&place.tiles());
    found.remove("checkpoint");
    found.retain(|path, _| {
        Tile::hashes(1, 1, size).is_none_or(|tile| !path.contains("tile/1/001.p") || *path == tile.path())
    });
    let expected = expected(size);
    assert!(expected.iter().all(|(path, bytes)| found.get(path) == Some(bytes)));

    let state = place.directory.path().join("state");
    let report = place.verify_tiles(&[], Some(&state)).unwrap();
    assert_eq!((report.bundle_count, report.tile_count, report.resumed_from), (258, 258 + 2 + 1, 0));
    let kept = place.published();
    place.grow_to(size + 300).await;
    // What was verified is not read again: nobody notices a change there until the log is verified anew.
    let bundle = place.tiles().join("tile/entries/007");
    let whole = fs::read(&bundle).unwrap();
    let mut changed = whole.clone();
    changed[100] ^= 4;
    fs::write(&bundle, &changed).unwrap();
    let report = place.verify_tiles(std::slice::from_ref(&kept), Some(&state)).unwrap();
    assert_eq!((report.resumed_from, report.bundle_count), (257 * 256, 2));
    let found = damage(place.verify_tiles(&[], None));
    assert!(matches!(found, Damage::EntryUnmatched { log_index: 1792, .. }), "{found}");
    fs::write(&bundle, &whole).unwrap();

    // A checkpoint older than the state needs everything to be read.
    let older = Checkpoint::sign(1, tree::leaf_hash(&entry(0).encode_to_vec()), &place.key()).unwrap();
    assert_eq!(place.verify_tiles(&[older], Some(&state)).unwrap().resumed_from, 0);
    let forged = Checkpoint::sign(2, [7; 32], &place.key()).unwrap();
    assert_eq!(damage(place.verify_tiles(&[forged], Some(&state))), Damage::Rewritten { tree_size: 2 });

    // The state is of this log, and whole.
    let text = fs::read(&state).unwrap();
    for at in (0..text.len()).step_by(7) {
        let mut changed = text.clone();
        changed[at] ^= 1;
        fs::write(&state, changed).unwrap();
        let refused = place.verify_tiles(&[], Some(&state));
        assert!(matches!(refused, Err(VerifyError::State { .. })), "byte {at}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_goes_on_where_damage_stopped_it() {
    let place = Place::empty(Store::Sqlite).await;
    let state = place.directory.path().join("state");
    place.grow_to(300).await;
    place.verify_tiles(&[], Some(&state)).unwrap();
    place.grow_to(256 * 70).await;
    let tile = place.tiles().join("tile/0/068");
    let whole = fs::read(&tile).unwrap();
    fs::write(&tile, &whole[..whole.len() - 1]).unwrap();
    let expected = Damage::TileLength { path: "tile/0/068".to_owned(), length: 8191, expected: 8192 };
    assert_eq!(damage(place.verify_tiles(&[], Some(&state))), expected);
    fs::write(&tile, &whole).unwrap();
    let report = place.verify_tiles(&[], Some(&state)).unwrap();
    assert_eq!((report.resumed_from, report.bundle_count), (256 * 64, 6));
    assert_eq!(report.checkpoint.root_hash, place.verify().await.unwrap().root_hash);
}

/// One random change of one file.
fn damaged(bytes: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = random(bytes.len());
    match random(5) {
        0 => changed.truncate(at),
        1 => drop(changed.remove(at)),
        2 => changed.insert(at, random(256) as u8),
        _ => changed[at] ^= 1 << random(8),
    }
    changed
}

/// Every random change of any file is found, and the error names the file.
#[tokio::test(flavor = "multi_thread")]
async fn random_damage_to_files_is_found_and_named() {
    let place = Place::empty(Store::Sqlite).await;
    for size in [300, 770, 774, 777] {
        place.grow_to(size).await;
    }
    place.verify_tiles(&[], None).unwrap();
    let files: Vec<(String, Vec<u8>)> = files(&place.tiles()).into_iter().collect();
    let earlier = files.iter().filter(|(path, _)| path.contains(".p/")).count();
    assert!(earlier > 5, "partial tiles of earlier checkpoints are there too");
    let seed: u64 = rand_seed();
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (trials, mut kinds) = (3000, BTreeMap::<&str, u32>::new());
    for trial in 0..trials {
        let (path, whole) = &files[random(files.len())];
        let file = place.tiles().join(path);
        let (other_path, other) = &files[random(files.len())];
        let swap = random(10) == 0 && other != whole;
        let changed = if swap { other.clone() } else { damaged(whole, &mut random) };
        fs::write(&file, &changed).unwrap();
        if swap {
            fs::write(place.tiles().join(other_path), whole).unwrap();
        }
        let result = place.verify_tiles(&[], None);
        let context = format!("seed {seed}, trial {trial}, {path}");
        if changed == *whole {
            // The byte taken out stood beside its equal.
            result.unwrap();
        } else {
            let message = result.expect_err(&context).to_string();
            // A checkpoint has no path; entry and hash name each other.
            let named = message.contains(path.as_str())
                || (path == "checkpoint" || other_path == "checkpoint") && message.starts_with("checkpoint")
                || swap && message.contains(other_path.as_str());
            assert!(named, "{context}: {message}");
            *kinds.entry(if swap { "swapped" } else { "changed" }).or_default() += 1;
        }
        fs::write(&file, whole).unwrap();
        fs::write(place.tiles().join(other_path), other).unwrap();
    }
    println!("{trials} damaged files, all found and named: {kinds:?}");

    // Each file the checkpoint needs must be there.
    let mut needed = expected(777);
    needed.insert("checkpoint".to_owned(), Vec::new());
    for path in needed.keys() {
        let file = place.tiles().join(path);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let found = damage(place.verify_tiles(&[], None));
        let missing = Damage::TileMissing { path: path.clone() };
        assert_eq!(found, if path == "checkpoint" { Damage::CheckpointMissing } else { missing });
        fs::write(&file, whole).unwrap();
    }
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

async fn an_export_takes_up_its_own_folder_and_no_other(store: Store) {
    let (place, other) = (Place::empty(store).await, Place::empty(store).await);
    place.grow_to(300).await;
    other.grow_to(10).await;
    let kept = place.published();
    let into = |folder: PathBuf| {
        let (path, key) = (place.location(), place.verifier());
        async move { tiles::export(&path, &key, &folder, |_, _| {}).await }
    };
    assert!(matches!(into(other.tiles()).await, Err(VerifyError::Checkpoint(_))), "a folder of another key");

    // The database was cut back behind the folder, or begun anew by the holder of the key.
    let whole = place.save().await;
    place.grow_to(400).await;
    place.restore(whole).await;
    let shrunk = place.export().await;
    assert!(matches!(shrunk, Err(VerifyError::Damaged(Damage::Shrunk { tree_size: 300, kept: 400 }))), "{shrunk:?}");
    place.wipe().await;
    let log = place.open().await;
    fill(&log, 1..500).await;
    log.close().await;
    let rewritten = place.export().await;
    assert!(matches!(rewritten, Err(VerifyError::Damaged(Damage::Rewritten { tree_size: 400 }))), "{rewritten:?}");
    fs::remove_dir_all(place.tiles()).unwrap();
    place.export().await.unwrap();
    place.verify_tiles(&[], None).unwrap();
    assert_eq!(damage(place.verify_tiles(&[kept], None)), Damage::Rewritten { tree_size: 300 });
    let longer = Checkpoint::sign(1000, [0; 32], &place.key()).unwrap();
    assert_eq!(damage(place.verify_tiles(&[longer], None)), Damage::Shrunk { tree_size: 499, kept: 1000 });

    // A damaged database is not published.
    fs::remove_dir_all(place.tiles()).unwrap();
    place.tamper("UPDATE entries SET entry = x'00' WHERE log_index = 257").await;
    let refused = place.export().await;
    assert!(matches!(refused, Err(VerifyError::Damaged(Damage::EntryChanged { log_index: 257 }))), "{refused:?}");
    assert!(!place.tiles().join("checkpoint").exists());
}

/// Killed at any file it writes, the folder is still a whole log, and the next export completes it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_export_leaves_a_whole_log_and_goes_on() {
    let place = Place::empty(Store::Sqlite).await;
    place.grow_to(300).await;
    let log = place.open().await;
    fill(&log, 300..900).await;
    log.close().await;
    for stop in 0..9 {
        let copy = place.directory.path().join(format!("copy{stop}"));
        for (path, bytes) in files(&place.tiles()) {
            fs::create_dir_all(copy.join(&path).parent().unwrap()).unwrap();
            fs::write(copy.join(path), bytes).unwrap();
        }
        // The export reports after each bundle; dropping it there ends it between two files.
        let mut reports = 0;
        let (database, key) = (place.location(), place.verifier());
        let interrupted = std::panic::AssertUnwindSafe(tiles::export(&database, &key, &copy, |_, _| {
            reports += 1;
            assert!(reports <= stop, "interrupted");
        }));
        let ended = futures::FutureExt::catch_unwind(interrupted).await;
        let report = tiles::verify(&copy, &key, &[], None, |_| {}).unwrap();
        assert_eq!(report.checkpoint.tree_size, if ended.is_ok() { 900 } else { 300 });
        tiles::export(&database, &key, &copy, |_, _| {}).await.unwrap();
        assert_eq!(tiles::verify(&copy, &key, &[], None, |_| {}).unwrap().checkpoint.tree_size, 900);
        assert!(expected(900).iter().all(|(path, bytes)| fs::read(copy.join(path)).unwrap() == *bytes));
    }
}
