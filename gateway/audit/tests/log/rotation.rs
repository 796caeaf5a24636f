//! A log whose key is replaced goes on, on either store.

use audit::{AuditError, AuditLog, KeyHistory, Options, SigningKey, SigningKeys};

use crate::{ORIGIN, Place, Store, fill, on_both_stores};

on_both_stores!(a_key_is_replaced_with_an_overlap);

async fn a_key_is_replaced_with_an_overlap(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    assert_eq!(log.key_change(), None, "a new log has the keys it began with");
    fill(&log, 0..10).await;
    log.close().await;

    let new = SigningKey::generate(ORIGIN).unwrap();
    let (text, new_verifier, old_verifier) = (new.to_text(), new.verifier().clone(), place.verifier());
    let refused = AuditLog::open(&place.location(), new, Options::default()).await;
    assert!(matches!(refused, Err(AuditError::Note(_))), "{refused:?}");

    let again = || SigningKey::parse(&text).unwrap();
    let keys = SigningKeys::new(again(), vec![place.key()]).unwrap();
    let log = AuditLog::open(&place.location(), keys, Options::default()).await.unwrap();
    let (old_id, new_id) = (hex::encode(old_verifier.id()), hex::encode(new_verifier.id()));
    let change = log.key_change().unwrap().clone();
    assert_eq!((change.before, change.after), (vec![old_id.clone()], vec![new_id.clone(), old_id]));
    // Another replica reads this log before and after the first entry under the new key.
    let other = SigningKey::generate("gialai.example.vn/other").unwrap();
    let replica = match store {
        Store::Postgres => Some(AuditLog::open(&place.location(), other, Options::default()).await.unwrap()),
        Store::Sqlite => None,
    };
    for entries in [10..10, 10..20] {
        fill(&log, entries.clone()).await;
        if let Some(replica) = &replica {
            let seen = replica.log(ORIGIN).await.unwrap();
            assert_eq!((seen.verifier(), seen.checkpoint().tree_size), (&new_verifier, entries.end));
        }
    }
    let note = log.checkpoint().note.clone();
    assert!(
        audit::Checkpoint::open(&note, &old_verifier).is_ok() && audit::Checkpoint::open(&note, &new_verifier).is_ok()
    );
    log.close().await;
    if let Some(replica) = replica {
        replica.close().await;
    }

    let log = AuditLog::open(&place.location(), again(), Options::default()).await.unwrap();
    assert_eq!(log.key_change().unwrap().after, [new_id]);
    fill(&log, 20..30).await;
    log.close().await;
    let log = AuditLog::open(&place.location(), again(), Options::default()).await.unwrap();
    assert_eq!(log.key_change(), None);
    log.close().await;

    let history = KeyHistory::parse(&format!("{old_verifier} until 20\n{new_verifier} from 11")).unwrap();
    let report = audit::verify::verify_store(&place.location(), &history, &[], |_| {}).await.unwrap();
    assert_eq!(report.tree_size, 30);
    assert!(place.verify().await.is_err(), "the old key alone does not know the newer checkpoints");
}
