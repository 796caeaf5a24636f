//! Sources that move: an account that changed is read again when the old one is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use adapter_sdk::{
    Adapter, DatabaseAddress, Engine, FetchRequest, Functions, Key, Mapping, PoolOptions, SecretUrl, SourceError,
    SqlSource,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::databases;
use tokio::time::Instant;

mod support;

const MAPPING: &str = r#"
source = "moving"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
[record.lookup]
budget_unit_code = ["code"]
[record.fields]
code = { from = "code", convert = "budget_unit_code" }
"#;

fn open(schema: &Schema, address: &DatabaseAddress) -> SqlSource {
    let mapping = Mapping::parse(MAPPING, "moving.toml").unwrap();
    SqlSource::open_at(schema, &mapping, &Functions::new(), address, PoolOptions::default())
        .unwrap_or_else(|e| panic!("{e}"))
}

async fn found(schema: &Schema, source: &SqlSource) -> Result<usize, SourceError> {
    let record_type = Arc::clone(schema.record_type("lienthong.budget.v1.BudgetUnit").unwrap());
    let request = FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind: IdentifierKind::BudgetUnitCode, value: "1055507".to_owned() },
        deadline: Instant::now() + Duration::from_secs(10),
        behalf: std::sync::Arc::default(),
    };
    source.fetch(&request).await.map(|fetched| fetched.records.len())
}

#[tokio::test]
async fn a_changed_account_is_read_again_when_the_old_one_is_refused() {
    let schema = Schema::builtin().unwrap();
    for database in databases().await.into_iter().filter(|database| database.engine != Engine::Sqlite) {
        database.run("CREATE TABLE \"unit\" (\"code\" VARCHAR(7)); INSERT INTO \"unit\" VALUES ('1055507')").await;
        let (changed, readings) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let right = database.url.clone();
        let (scheme, rest) = right.split_once("://").unwrap();
        let wrong = format!("{scheme}://nobody_at_all:old@{}", rest.split_once('@').unwrap().1);
        let address = {
            let (changed, readings, right) = (Arc::clone(&changed), Arc::clone(&readings), right.clone());
            DatabaseAddress::read_by(move || {
                readings.fetch_add(1, Ordering::Relaxed);
                let url = if changed.load(Ordering::Relaxed) { &right } else { &wrong };
                Ok(SecretUrl::new(url.clone()))
            })
        };
        let source = open(&schema, &address);
        assert!(matches!(found(&schema, &source).await, Err(SourceError::Credentials(_))), "{}", database.engine);
        changed.store(true, Ordering::Relaxed);
        assert_eq!(found(&schema, &source).await, Ok(1), "{}", database.engine);
        let read = readings.load(Ordering::Relaxed);
        assert_eq!(found(&schema, &source).await, Ok(1));
        assert_eq!(readings.load(Ordering::Relaxed), read, "an address that works is not read again");
        database.remove().await;
    }
}
