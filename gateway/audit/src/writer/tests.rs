//! A disk that fills up, and a connection that is lost, in the middle of writing.

use super::*;
use crate::key::SigningKey;

async fn write(writer: &mut Writer, count: usize) -> Vec<Result<Appended, AppendError>> {
    let (mut batch, mut answers) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (reply, answer) = oneshot::channel();
        batch.push(Pending::new(vec![number as u8; 900], reply));
        answers.push(answer);
    }
    writer.commit(&mut batch).await;
    futures::future::join_all(answers).await.into_iter().map(Result::unwrap).collect()
}

fn sqlite(writer: &mut Writer) -> &mut sqlx::SqliteConnection {
    match &mut writer.state.as_mut().unwrap().connection {
        Connection::Sqlite(connection) => connection,
        Connection::Postgres(..) => panic!("not an SQLite log"),
    }
}

async fn pragma(writer: &mut Writer, text: &'static str) {
    sqlx::raw_sql(text).execute(sqlite(writer)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_loses_nothing_acknowledged_and_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let key = SigningKey::generate("example.vn/log").unwrap();
    let verifier = key.verifier().clone();
    let mut writer = Writer::open(path.clone().into(), key.into(), 512).await.unwrap();
    pragma(&mut writer, "PRAGMA max_page_count = 60").await;

    let (mut acknowledged, mut failed) = (0, 0);
    for size in (1..30).cycle().take(90) {
        let before = writer.newest.borrow().tree_size;
        let answers = write(&mut writer, size).await;
        let kept = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(kept == 0 || kept == size, "a batch is kept whole or not at all");
        assert_eq!(writer.newest.borrow().tree_size, before + kept as u64);
        acknowledged += kept;
        failed += usize::from(kept == 0);
    }
    assert!(failed > 20 && acknowledged > 20, "{failed} batches failed, {acknowledged} entries kept");

    pragma(&mut writer, "PRAGMA max_page_count = 100000").await;
    assert!(write(&mut writer, 7).await.iter().all(Result::is_ok));
    let report = crate::verify::verify_store(&path.clone().into(), &verifier, &[], |_| {}).await.unwrap();
    assert_eq!(report.tree_size, acknowledged as u64 + 7);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_a_lost_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let mut writer =
        Writer::open(path.clone().into(), SigningKey::generate("example.vn/log").unwrap().into(), 512).await.unwrap();
    assert!(write(&mut writer, 3).await.iter().all(Result::is_ok));
    writer.state.take().unwrap().connection.close().await.unwrap();
    let answers = write(&mut writer, 2).await;
    assert_eq!(answers[1].as_ref().unwrap().log_index, 4);

    writer.state.take().unwrap().connection.close().await.unwrap();
    std::fs::rename(&path, directory.path().join("moved.db")).unwrap();
    assert!(matches!(write(&mut writer, 1).await[0], Err(AppendError::Store(_))));
    assert!(!path.exists(), "a new log was started in place of the lost one");
    std::fs::rename(directory.path().join("moved.db"), &path).unwrap();
    assert_eq!(write(&mut writer, 1).await[0].as_ref().unwrap().log_index, 5);
}

#[tokio::test]
async fn a_batch_larger_than_the_connection_was_opened_for_is_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let key = SigningKey::generate("example.vn/log").unwrap();
    let mut writer = Writer::open(path.into(), key.into(), 8).await.unwrap();
    assert!(write(&mut writer, 8).await.iter().all(Result::is_ok));
    assert!(write(&mut writer, 200).await.iter().all(Result::is_err));
    assert_eq!(write(&mut writer, 1).await[0].as_ref().unwrap().log_index, 8);
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("example.vn/log").unwrap().into();
    let mut writer = Writer::open(directory.path().join("audit.db").into(), key, 512).await.unwrap();
    let connection = sqlite(&mut writer);
    let journal_mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
    assert_eq!((journal_mode.as_str(), synchronous), ("wal", 2), "2 is FULL: the log is synced at every commit");
}
