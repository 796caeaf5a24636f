//! The log in PostgreSQL under the privileges that `deploy/README.md` names, and no others: all that a hub does works, and what
//! is written cannot be changed.

use audit::retention::{Rules, survey};
use audit::{AuditError, AuditLog, Filter, Location, Options, SigningKey, SigningKeys, verify};
use chrono::{Months, Utc};
use sqlx::{Connection, PgConnection};

use crate::{Place, Server, entry, fill};

const DESCRIBED: &str = include_str!("../../../../deploy/README.md");

/// The statements of the description.
fn grants() -> &'static str {
    DESCRIBED.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

async fn code(connection: &mut PgConnection, statement: &'static str) -> String {
    let error = sqlx::raw_sql(statement).execute(connection).await.expect_err(statement);
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

/// Whether somebody has vacuumed the entries.
async fn vacuumed(owner: &mut PgConnection) -> bool {
    let select = "SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'entries'";
    sqlx::query_scalar(select).fetch_one(owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_cannot_be_changed_by_the_account_that_writes() {
    let Some(server) = Server::start(&[]) else { return };
    let place = Place::on(&server).await;
    let log = place.open().await;
    fill(&log, 0..3).await;
    log.close().await;
    let mut owner = place.connect().await;
    sqlx::raw_sql("CREATE ROLE lienthong LOGIN").execute(&mut owner).await.unwrap();
    sqlx::raw_sql(grants()).execute(&mut owner).await.unwrap();

    let address = place.address().replacen("//test@", "//lienthong@", 1);
    let location = Location::postgres(&address).unwrap();
    let options = || Options { index_block_size: 60, ..Options::default() };
    let log = AuditLog::open(&location, place.key(), options()).await.unwrap();
    fill(&log, 3..200).await;
    // Checkpoints that followed each other closely were dropped.
    let all = Filter::default();
    assert_eq!(log.search(&all, 1000, "").await.unwrap().entries.len(), 200);
    log.rebuild_index(|_, _| {}).await.unwrap();
    assert_eq!(log.search(&all, 1000, "").await.unwrap().entries.len(), 200);
    log.inclusion_proof(7, 200).await.unwrap();
    log.close().await;

    // The schema of a release before: the account cannot raise it, and is told what its owner has to do.
    let older = "UPDATE lienthong_audit.meta SET value = '1' WHERE name = 'schema_version'";
    sqlx::raw_sql(older).execute(&mut owner).await.unwrap();
    let refused =
        AuditLog::open(&location, place.key(), options()).await.expect_err("a log of an older schema was opened");
    assert!(matches!(refused, AuditError::OlderSchema { found: 1, .. }), "{refused:?}");
    let told = refused.to_string().split_once("UPDATE").map(|(_, rest)| format!("UPDATE{rest}")).unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(told)).execute(&mut owner).await.unwrap();

    // A replaced key, and a log of one more replica.
    let newer = SigningKey::generate(crate::ORIGIN).unwrap();
    let verifier = newer.verifier().clone();
    let keys = SigningKeys::new(newer, vec![place.key()]).unwrap();
    let log = AuditLog::open(&location, keys, options()).await.unwrap();
    fill(&log, 200..210).await;
    let other = SigningKey::generate("hub.example.vn/other").unwrap();
    let replica = AuditLog::open(&location, other, options()).await.unwrap();
    fill(&replica, 0..5).await;
    assert_eq!(replica.search(&all, 1000, "").await.unwrap().entries.len(), 215);
    replica.close().await;

    let mut account = PgConnection::connect(&address).await.unwrap();
    sqlx::raw_sql("SET search_path = lienthong_audit").execute(&mut account).await.unwrap();
    for statement in [
        "UPDATE entries SET entry = entry WHERE log_index = 3",
        "DELETE FROM entries WHERE log_index = 3",
        "TRUNCATE entries CASCADE",
        "UPDATE hashes SET hash = hash",
        "DELETE FROM hashes WHERE position = 3",
        "UPDATE heads SET note = note",
        "DELETE FROM logs",
        "UPDATE meta SET value = '9'",
        "ALTER TABLE entries ADD COLUMN other text",
        "DROP TABLE entries",
        "CREATE TABLE other (id int)",
    ] {
        // insufficient_privilege
        assert_eq!(code(&mut account, statement).await, "42501", "{statement}");
    }
    // unique_violation: nothing is written over.
    let again = "INSERT INTO entries SELECT * FROM entries WHERE log_index = 3 LIMIT 1";
    assert_eq!(code(&mut account, again).await, "23505");

    // Retention is a privilege of its own.
    let rules = Rules {
        default_months: 6,
        classes: Vec::new(),
        schema: std::sync::Arc::new(proto::Schema::builtin().unwrap()),
    };
    let later = Utc::now().checked_add_months(Months::new(1200)).unwrap();
    let due = survey(&location, &verifier, &rules, &[], later, |_, _| {}).await.unwrap();
    assert_eq!(due.count(), 210);
    let run = async || log.retain(&rules, &[], later, |_, _| {}).await;
    let refused = run().await.expect_err("bodies were removed without the privilege");
    assert!(format!("{refused:?}").contains("42501"), "{refused:?}");
    sqlx::raw_sql("GRANT DELETE ON entries TO lienthong").execute(&mut owner).await.unwrap();
    run().await.unwrap();
    // The owner alone can vacuum, and has to: until then the bodies are in the server's files.
    assert!(!vacuumed(&mut owner).await);
    sqlx::raw_sql("VACUUM lienthong_audit.entries").execute(&mut owner).await.unwrap();
    assert!(vacuumed(&mut owner).await);
    assert!(matches!(log.entry(3).await, Err(AuditError::EntryRemoved { .. })));
    log.append(entry(300)).await.unwrap();
    log.close().await;
    let history = audit::KeyHistory::parse(&format!("{}\n{verifier}", place.verifier())).unwrap();
    let report = verify::verify_store(&location, &history, &[], |_| {}).await.unwrap();
    assert_eq!(report.removed_count, 210);
}
