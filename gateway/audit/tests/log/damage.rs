//! Whatever is changed in a stored log is found, and named where it is.

use std::ops::RangeInclusive;

use audit::Damage;
use audit::verify::VerifyError;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::{Place, Store, fill};

crate::on_both_stores! {
    random_damage_is_found_and_named,
    removed_added_swapped_and_renamed_rows_are_found_and_named,
    another_log_in_its_place_does_not_verify,
    a_log_cut_back_or_rewritten_contradicts_the_checkpoints_kept,
    progress_is_reported_and_memory_is_not_the_log,
    a_log_that_is_being_written_verifies_as_it_stands,
    a_log_of_schema_1_is_read_and_goes_on,
}

async fn filled(store: Store, count: u64) -> Place {
    let place = Place::empty(store).await;
    let log = place.open().await;
    for start in (0..count).step_by(7) {
        fill(&log, start..count.min(start + 7)).await;
    }
    log.close().await;
    place.verify().await.unwrap();
    place
}

async fn connect(place: &Place) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(place.path()).connect().await.unwrap()
}

async fn set(connection: &mut SqliteConnection, update: &str, row: i64, value: &[u8]) {
    sqlx::query(sqlx::AssertSqlSafe(update)).bind(value).bind(row).execute(connection).await.unwrap();
}

/// Flips bits of stored values: at least one in every value, thousands in all.
#[tokio::test]
async fn every_flipped_bit_is_found() {
    let place = filled(Store::Sqlite, 23).await;
    let mut connection = connect(&place).await;
    let mut flips = 0;
    for (table, key, value) in
        [("entries", "log_index", "entry"), ("hashes", "position", "hash"), ("heads", "tree_size", "note")]
    {
        let select = format!("SELECT {key}, CAST({value} AS BLOB) FROM {table}");
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as(sqlx::AssertSqlSafe(select)).fetch_all(&mut connection).await.unwrap();
        let cast = if table == "heads" { "CAST(? AS TEXT)" } else { "?" };
        let update = format!("UPDATE {table} SET {value} = {cast} WHERE {key} = ?");
        for (row, bytes) in rows {
            let step = if table == "hashes" { 1 } else { (bytes.len() / 30).max(1) };
            for at in (row as usize % step..bytes.len()).step_by(step) {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << ((at + row as usize) % 8);
                set(&mut connection, &update, row, &changed).await;
                let error = place.verify().await.expect_err("a flipped bit went unnoticed");
                assert!(names(table, place_of(table, row, at), &error), "{table} {row} byte {at}: {error}");
                flips += 1;
            }
            set(&mut connection, &update, row, &bytes).await;
            place.verify().await.unwrap();
        }
    }
    println!("{flips} flipped bits, all found");
    assert!(flips > 2000, "{flips} flips are few");
}

/// A row of the store: table, its key's column and value, its value's column and bytes.
type Row = (&'static str, &'static str, i64, &'static str, Vec<u8>);
const VALUES: [(&str, &str, &str); 3] =
    [("entries", "log_index", "entry"), ("hashes", "position", "hash"), ("heads", "tree_size", "note")];

/// The connection of somebody who may write to the store.
enum Keeper {
    Sqlite(SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Keeper {
    async fn of(place: &Place) -> Self {
        match place.store {
            Store::Sqlite => Self::Sqlite(connect(place).await),
            Store::Postgres => Self::Postgres(place.connect().await),
        }
    }

    async fn rows(&mut self) -> Vec<Row> {
        let mut all = Vec::new();
        for (table, key, value) in VALUES {
            let select = |bytes: &str| sqlx::AssertSqlSafe(format!("SELECT {key}, {bytes} FROM {table}"));
            let rows: Vec<(i64, Vec<u8>)> = match self {
                Self::Sqlite(connection) => {
                    let bytes = format!("CAST({value} AS BLOB)");
                    sqlx::query_as(select(&bytes)).fetch_all(connection).await.unwrap()
                }
                Self::Postgres(connection) => {
                    let bytes = if table == "heads" { "convert_to(note, 'UTF8')" } else { value };
                    sqlx::query_as(select(bytes)).fetch_all(connection).await.unwrap()
                }
            };
            all.extend(rows.into_iter().map(|(row, bytes)| (table, key, row, value, bytes)));
        }
        all
    }

    async fn write(&mut self, (table, key, row, value, _): &Row, bytes: &[u8]) {
        match self {
            Self::Sqlite(connection) => {
                let cast = if *table == "heads" { "CAST(? AS TEXT)" } else { "?" };
                set(connection, &format!("UPDATE {table} SET {value} = {cast} WHERE {key} = ?"), *row, bytes).await;
            }
            Self::Postgres(connection) => {
                let cast = if *table == "heads" { "convert_from($1, 'UTF8')" } else { "$1" };
                let update = format!("UPDATE {table} SET {value} = {cast} WHERE {key} = $2");
                sqlx::query(sqlx::AssertSqlSafe(update)).bind(bytes).bind(*row).execute(connection).await.unwrap();
            }
        }
    }
}

/// Random changes of random values: flipped, cut short, grown, or swapped with another of the same table.
async fn random_damage_is_found_and_named(store: Store) {
    let long = std::env::var("LIENTHONG_TESTS").is_ok_and(|tests| tests == "long");
    let trials = if long { 4000 } else { 200 };
    let place = filled(store, 40).await;
    let mut keeper = Keeper::of(&place).await;
    let rows = keeper.rows().await;
    let mut state = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = state;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut kinds = std::collections::BTreeMap::<&str, u32>::new();
    let mut trial = 0;
    while trial < trials {
        let row = &rows[random(rows.len())];
        let other = &rows[random(rows.len())];
        let mut changed = row.4.clone();
        let at = random(changed.len());
        // What is changed begins there; of a swapped row anything may.
        let mut named = place_of(row.0, row.2, at);
        let kind = match random(6) {
            0 => {
                changed.truncate(at);
                "cut short"
            }
            5 if row.0 == "hashes" => {
                changed.extend_from_slice(&other.4[..other.4.len().min(32)]);
                named = place_of(row.0, row.2, row.4.len());
                "grown by a hash"
            }
            1 => {
                named = place_of(row.0, row.2, row.4.len());
                changed.push(random(256) as u8);
                "grown"
            }
            2 if other.0 == row.0 => {
                changed.clone_from(&other.4);
                named = places_of(row);
                "swapped"
            }
            _ => {
                changed[at] ^= 1 << random(8);
                "flipped"
            }
        };
        // PostgreSQL itself refuses what is no text.
        let text = String::from_utf8(changed.clone()).is_ok_and(|text| !text.contains('\0'));
        if changed == row.4 || row.0 == "heads" && !text {
            continue;
        }
        trial += 1;
        keeper.write(row, &changed).await;
        if kind == "swapped" {
            keeper.write(other, &row.4).await;
        }
        let context = format!("seed {seed}, {kind} {} {}", row.0, row.2);
        let error = place.verify().await.expect_err(&context);
        assert!(
            names(row.0, named, &error) || kind == "swapped" && names(other.0, places_of(other), &error),
            "{context}: {error}"
        );
        *kinds.entry(kind).or_default() += 1;
        keeper.write(row, &row.4).await;
        keeper.write(other, &other.4).await;
    }
    place.verify().await.unwrap();
    println!("{store:?}: {trials} random changes, all found and named: {kinds:?}");
}

/// Where a byte of a row is: the position of the hash it is in, else the row.
fn place_of(table: &str, row: i64, byte: usize) -> RangeInclusive<u64> {
    let place = row as u64 + if table == "hashes" { byte as u64 / 32 } else { 0 };
    place..=place
}

/// From the first to what follows the last.
fn places_of((table, _, row, _, bytes): &Row) -> RangeInclusive<u64> {
    *place_of(table, *row, 0).start()..=*place_of(table, *row, bytes.len()).end()
}

/// The error names what was changed.
fn names(table: &str, places: RangeInclusive<u64>, error: &VerifyError) -> bool {
    let VerifyError::Damaged(damage) = error else { return false };
    match (damage, table) {
        (Damage::EntryChanged { log_index }, "entries") => places.contains(log_index),
        // A leaf's hash and its entry contradict each other; which one was changed cannot be told.
        (Damage::EntryChanged { log_index }, "hashes") => places.contains(&audit::tree::position(0, *log_index)),
        (
            Damage::HashChanged { position, .. }
            | Damage::HashCut { position, .. }
            | Damage::HashMissing { position, .. }
            | Damage::HashUnexpected { position },
            "hashes",
        ) => places.contains(position),
        (Damage::CheckpointInvalid { tree_size, .. } | Damage::CheckpointSize { tree_size, .. }, "heads") => {
            places.contains(tree_size)
        }
        _ => false,
    }
}

async fn removed_added_swapped_and_renamed_rows_are_found_and_named(store: Store) {
    let damaged = [
        ("DELETE FROM entries WHERE log_index = 5", Damage::EntryMissing { log_index: 5 }),
        ("DELETE FROM entries WHERE log_index = 19", Damage::EntryMissing { log_index: 19 }),
        ("INSERT INTO entries VALUES (20, x'0801')", Damage::EntryUnexpected { log_index: 20 }),
        ("INSERT INTO entries VALUES (-1, x'0801')", Damage::EntryUnexpected { log_index: u64::MAX }),
        (
            "UPDATE entries SET log_index = -9 WHERE log_index = 3; UPDATE entries SET log_index = 3 WHERE log_index = 4;
             UPDATE entries SET log_index = 4 WHERE log_index = -9",
            Damage::EntryChanged { log_index: 3 },
        ),
        ("UPDATE entries SET entry = substr(entry, 1, length(entry) - 1) WHERE log_index = 7", Damage::EntryChanged { log_index: 7 }),
        ("UPDATE entries SET entry = x'' WHERE log_index = 7", Damage::EntryChanged { log_index: 7 }),
        ("DELETE FROM hashes WHERE position = 0", Damage::HashMissing { level: 0, index: 0, position: 0 }),
        ("INSERT INTO hashes VALUES (38, zeroblob(32))", Damage::HashUnexpected { position: 38 }),
        ("INSERT INTO hashes VALUES (38, x'')", Damage::HashUnexpected { position: 38 }),
        ("INSERT INTO hashes VALUES (1, x'')", Damage::HashUnexpected { position: 1 }),
        ("INSERT INTO hashes VALUES (-1, zeroblob(32))", Damage::HashUnexpected { position: u64::MAX }),
        (
            "UPDATE hashes SET hash = substr(hash, 1, length(hash) - 1) WHERE position = (SELECT max(position) FROM hashes)",
            Damage::HashCut { level: 2, index: 4, position: 37 },
        ),
        (
            "UPDATE hashes SET hash = substr(hash, 1, length(hash) - 32) WHERE position = (SELECT max(position) FROM hashes)",
            Damage::HashMissing { level: 2, index: 4, position: 37 },
        ),
        ("DELETE FROM heads", Damage::CheckpointMissing),
        ("UPDATE heads SET tree_size = 19 WHERE tree_size = 20", Damage::CheckpointSize { tree_size: 19, found: 20 }),
        ("UPDATE heads SET tree_size = -4 WHERE tree_size = 0", Damage::CheckpointUnexpected),
        (
            "UPDATE heads SET note = (SELECT note FROM heads WHERE tree_size = 0) WHERE tree_size = 20",
            Damage::CheckpointSize { tree_size: 20, found: 0 },
        ),
    ];
    // 20 entries have 2 * 20 - 2 = 38 hashes.
    let place = filled(store, 20).await;
    let whole = place.save().await;
    for (sql, expected) in damaged {
        place.restore(whole).await;
        place.verify().await.unwrap();
        place.tamper(sql).await;
        match place.verify().await {
            Err(VerifyError::Damaged(damage)) => assert_eq!(damage, expected, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

/// Flipped bytes can make another type of a value than its table takes.
#[tokio::test]
async fn a_value_of_another_type_is_found_and_named_in_a_file() {
    let place = filled(Store::Sqlite, 20).await;
    let whole = place.save().await;
    for value in ["'é' || char(0) || 'é'", "CAST(entry AS TEXT)", "NULL", "17", "0.5"] {
        for (table, key, column, at, expected) in [
            ("entries", "log_index", "entry", 7, Damage::EntryChanged { log_index: 7 }),
            ("entries", "log_index", "entry", 19, Damage::EntryChanged { log_index: 19 }),
            ("hashes", "position", "hash", 0, Damage::HashMissing { level: 0, index: 0, position: 0 }),
        ] {
            place.restore(whole).await;
            let replace = format!(
                "CREATE TABLE other ({key} INTEGER PRIMARY KEY, {column}); INSERT INTO other SELECT * FROM {table};
                 UPDATE other SET {column} = {} WHERE {key} = {at};
                 DROP TABLE {table}; ALTER TABLE other RENAME TO {table}",
                value.replace("entry", column)
            );
            place.tamper(&replace).await;
            let verified = place.verify().await;
            match &verified {
                // Bytes that are as they were, under another type, are no damage to what they say.
                Ok(_) => assert_eq!(value, "CAST(entry AS TEXT)"),
                Err(VerifyError::Damaged(Damage::HashCut { .. })) if table == "hashes" => {}
                Err(VerifyError::Damaged(damage)) => assert_eq!(*damage, expected, "{value}"),
                Err(_) => panic!("{table} {value}: {verified:?}"),
            }
        }
    }
}

/// A log rewritten from the start and signed by another key, or by the right key over other entries.
async fn another_log_in_its_place_does_not_verify(store: Store) {
    let (place, other) = (filled(store, 20).await, filled(store, 20).await);
    let verified = audit::verify::verify_store(&place.location(), &other.verifier(), &[], |_| {}).await;
    let expected = VerifyError::Damaged(Damage::CheckpointInvalid {
        tree_size: 0,
        reason: audit::NoteError::NotSigned { key: crate::ORIGIN.to_owned() },
    });
    assert_eq!(verified.unwrap_err().to_string(), expected.to_string());

    // The whole tree recomputed over a changed entry, but the checkpoint kept: the forger lacks the key.
    let forged = place.again().await;
    let log = forged.open().await;
    fill(&log, 1..21).await;
    log.close().await;
    let log = place.open().await;
    let note = log.checkpoint().note.clone();
    assert_eq!(log.checkpoint().tree_size, 20);
    log.close().await;
    forged.tamper(&format!("UPDATE heads SET note = '{note}' WHERE tree_size = 20")).await;
    forged.tamper("DELETE FROM heads WHERE tree_size NOT IN (0, 20)").await;
    let verified = forged.verify().await;
    assert!(matches!(verified, Err(VerifyError::Damaged(Damage::RootChanged { tree_size: 20 }))), "{verified:?}");
}

/// Bytes of the file itself: either the change is found, or every entry and checkpoint is still what it was.
#[tokio::test]
async fn a_flipped_byte_of_the_file_is_found_or_changes_nothing() {
    let place = filled(Store::Sqlite, 40).await;
    let good = place.verify().await.unwrap();
    let whole = std::fs::read(place.path()).unwrap();
    let (mut found, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 1500) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(place.path(), &changed).unwrap();
        match place.verify().await {
            Err(_) => found += 1,
            // The root commits to every entry, so the same report is the same log.
            Ok(report) if report == good => harmless += 1,
            Ok(report) => panic!("byte {at}: {report:?}"),
        }
    }
    println!("{found} flipped bytes of the file found, {harmless} lay in unused space");
    assert!(found > 400, "{found} found, {harmless} harmless");
}

async fn a_log_cut_back_or_rewritten_contradicts_the_checkpoints_kept(store: Store) {
    let place = Place::empty(store).await;
    let mut kept = vec![];
    let mut earlier = vec![];
    for round in 0..3 {
        let log = place.open().await;
        fill(&log, round * 11..(round + 1) * 11).await;
        kept.push((*log.checkpoint()).clone());
        log.close().await;
        earlier.push(place.save().await);
    }
    let verify = async |kept: &[audit::Checkpoint]| {
        audit::verify::verify_store(&place.location(), &place.verifier(), kept, |_| {}).await
    };
    kept.reverse();
    assert_eq!(verify(&kept).await.unwrap().tree_size, 33);

    place.restore(earlier[1]).await;
    assert!(place.verify().await.is_ok(), "an earlier state is whole in itself");
    assert_eq!(verify(&kept[1..]).await.unwrap().tree_size, 22);
    let shrunk = verify(&kept).await;
    assert!(matches!(shrunk, Err(VerifyError::Damaged(Damage::Shrunk { tree_size: 22, kept: 33 }))), "{shrunk:?}");

    // The holder of the key starts over with other entries.
    place.wipe().await;
    let log = place.open().await;
    fill(&log, 1..41).await;
    log.close().await;
    assert!(place.verify().await.is_ok());
    let rewritten = verify(&kept).await;
    assert!(matches!(rewritten, Err(VerifyError::Damaged(Damage::Rewritten { tree_size: 11 }))), "{rewritten:?}");
}

async fn progress_is_reported_and_memory_is_not_the_log(store: Store) {
    let place = filled(store, 2100).await;
    let mut seen = Vec::new();
    let report = audit::verify::verify_store(&place.location(), &place.verifier(), &[], |progress| seen.push(progress))
        .await
        .unwrap();
    assert_eq!(seen.iter().map(|progress| progress.verified).collect::<Vec<_>>(), [2048, 2100]);
    assert!(seen.iter().all(|progress| progress.tree_size == 2100));
    assert_eq!(report.tree_size, 2100);
}

async fn a_log_that_is_being_written_verifies_as_it_stands(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..50).await;
    assert_eq!(place.verify().await.unwrap().tree_size, 50);
    let (filled, verified) = tokio::join!(fill(&log, 50..500), place.verify());
    let () = filled;
    assert!((50..=500).contains(&verified.unwrap().tree_size));
    log.close().await;
}

/// Rows of one hash, as releases before this one wrote them, and a schema that they knew.
async fn a_log_of_schema_1_is_read_and_goes_on(store: Store) {
    let place = filled(store, 40).await;
    let mut rows = String::from("DELETE FROM hashes; ");
    for (table, _, row, _, bytes) in Keeper::of(&place).await.rows().await {
        for (position, hash) in (row..).zip(bytes.chunks(32)).filter(|_| table == "hashes") {
            rows += &format!("INSERT INTO hashes VALUES ({position}, x'{}'); ", hex::encode(hash));
        }
    }
    place.tamper(&rows).await;
    place.tamper("UPDATE meta SET value = '1' WHERE name = 'schema_version'").await;
    assert_eq!(place.verify().await.unwrap().tree_size, 40);

    let log = place.open().await;
    fill(&log, 40..90).await;
    let proof = log.consistency_proof(39, 90).await.unwrap();
    assert!(!proof.is_empty());
    log.inclusion_proof(3, 90).await.unwrap();
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 90);
    // Older releases refuse it, and what was there is as it was.
    place.tamper("DELETE FROM meta WHERE name = 'schema_version' AND value <> '2'").await;
    let rows = Keeper::of(&place).await.rows().await;
    let hashes: Vec<_> = rows.iter().filter(|row| row.0 == "hashes").collect();
    assert_eq!(hashes.iter().filter(|row| row.2 < 78).count(), 78);
    assert!(hashes.len() < 78 + 50 && hashes.iter().map(|row| row.4.len() / 32).sum::<usize>() == 176);
    place.open().await.close().await;
}
