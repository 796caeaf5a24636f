use std::collections::BTreeMap;

use proto::{FieldSet, Schema, options::v1::IdentifierKind};

use super::*;
use crate::{
    Engine, Functions, Mapping,
    catalogue::{Column, ColumnType},
    plan::{Plan, compile},
};

const MAPPING: &str = r#"
source = "test"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.business.v1.EnterpriseRegistration"
table = "reg.FIRM"
where = { DELETED = 0 }
order = ["ID"]
as_of = "AT"
[record.lookup]
enterprise_code = ["CODE", "OLD"]
personal_id = { table = "PERSON", column = "NUMBER", join = { FIRM_ID = "ID" } }
[record.fields]
enterprise_code = { from = "CODE", convert = "tax_code" }
name = { from = "NA\"ME", convert = "org_name", encoding = { column = "CHARSET", values = { V = "vni-as-latin1" } } }
[[record.joined]]
field = "legal_representatives"
separator = ";"
fields.full_name = { from = "NAMES", convert = "person_name" }
fields.personal_id = { from = "IDS", convert = "personal_id" }
[[record.children]]
field = "industries"
table = "INDUSTRY"
join = { FIRM_ID = "ID" }
order = ["N"]
fields.is_main = { from = "MAIN", convert = "boolean" }
fields.code = { from = { code = "CODE", vintage = "YEAR" }, convert = "industry_code" }
[[record]]
type = "lienthong.judicial.v1.CriminalRecordSummary"
table = "FILE"
[record.lookup]
personal_id = ["PID"]
[record.fields]
personal_id = { from = "PID", convert = "personal_id" }
birth_date = { from = "BORN", convert = "birth_date" }
gender = { from = "SEX", convert = "code", list = "gender" }
full_name = { from = "NAME", convert = "person_name" }
has_conviction = { exists = { table = "CONVICTION", join = { FILE_ID = "ID" }, where = { SPENT = 0 } } }
[[record.checks]]
check = "personal_id_agrees"
fields = { personal_id = "personal_id", birth_date = "birth_date", gender = "gender" }
"#;

fn plan() -> Plan {
    let mapping = Mapping::parse(MAPPING, "test.toml").unwrap();
    compile(&mapping, &Schema::builtin().unwrap(), &Functions::new()).unwrap()
}

fn catalogue(engine: Engine) -> Catalogue {
    let column = |name: &str, kind: ColumnType| Column { name: name.to_owned(), kind, indexed: true, readable: true };
    let tables = BTreeMap::from([
        (
            "reg.FIRM".to_owned(),
            vec![
                column("ID", ColumnType::Int),
                column("CODE", ColumnType::Padded(Some(14))),
                column("OLD", ColumnType::Int),
                column("DELETED", ColumnType::Bool),
            ],
        ),
        ("PERSON".to_owned(), vec![column("NUMBER", ColumnType::Text), column("FIRM_ID", ColumnType::Int)]),
        ("INDUSTRY".to_owned(), vec![column("FIRM_ID", ColumnType::Int)]),
        ("FILE".to_owned(), vec![column("PID", ColumnType::Text)]),
        ("CONVICTION".to_owned(), vec![column("SPENT", ColumnType::Int)]),
    ]);
    Catalogue::of(engine, tables)
}

fn wanted(record: &RecordPlan, paths: &[&str]) -> FieldSet {
    paths.iter().fold(record.record_type.no_fields(), |mut set, path| {
        set.union_with(&record.record_type.expand(path));
        set
    })
}

fn query(record: &RecordPlan, engine: Engine, kind: IdentifierKind, paths: &[&str]) -> Query {
    Query::new(record, kind, &wanted(record, paths), &catalogue(engine), 200).unwrap()
}

#[test]
fn only_the_columns_of_requested_fields_are_read() {
    let plan = plan();
    let firm = query(&plan.records[0], Engine::Postgres, IdentifierKind::EnterpriseCode, &["enterprise_code"]);
    assert_eq!(
        &**firm.statement.sql(),
        r#"SELECT r."CODE", r."AT" FROM "reg"."FIRM" r WHERE (r."CODE" IN (CAST($1 AS bpchar), CAST($2 AS bpchar)) OR r."OLD" = $3) AND r."DELETED" = $4 ORDER BY r."ID" LIMIT 201"#
    );
    assert!(firm.children.is_empty() && firm.joined.is_empty());
    let named = query(&plan.records[0], Engine::MySql, IdentifierKind::PersonalId, &["name"]);
    assert_eq!(
        &**named.statement.sql(),
        r#"SELECT r.`NA"ME`, r.`CHARSET`, r.`AT` FROM `reg`.`FIRM` r WHERE r.`ID` IN (SELECT l.`FIRM_ID` FROM `PERSON` l WHERE (l.`NUMBER` IN (?, ?))) AND r.`DELETED` = ? ORDER BY r.`ID` LIMIT 201"#
    );
    let quoted = query(&plan.records[0], Engine::Sqlite, IdentifierKind::EnterpriseCode, &["name"]);
    assert!(quoted.statement.sql().starts_with(r#"SELECT r."NA""ME", r."CHARSET""#), "{}", quoted.statement.sql());
}

#[test]
fn parts_of_joined_texts_read_the_leading_column_and_their_own() {
    let plan = plan();
    let select = |path| {
        let query = query(&plan.records[0], Engine::Sqlite, IdentifierKind::EnterpriseCode, &[path]);
        query.statement.sql().split(" FROM").next().unwrap().to_owned()
    };
    assert_eq!(select("legal_representatives.full_name"), r#"SELECT r."NAMES", r."AT""#);
    assert_eq!(select("legal_representatives.personal_id"), r#"SELECT r."NAMES", r."IDS", r."AT""#);
}

#[test]
fn children_are_read_by_their_parents_keys() {
    let plan = plan();
    let firm = &plan.records[0];
    let query = query(firm, Engine::Postgres, IdentifierKind::EnterpriseCode, &["industries.is_main"]);
    assert!(query.statement.sql().starts_with(r#"SELECT r."ID", r."AT" FROM"#));
    let child = query.children[0].statement(&firm.children[0].from, 2, &catalogue(Engine::Postgres), 9);
    assert_eq!(
        &**child.sql(),
        r#"SELECT c."FIRM_ID", c."MAIN" FROM "INDUSTRY" c WHERE c."FIRM_ID" IN ($1, $2) ORDER BY c."N" LIMIT 10"#
    );
    assert_eq!(child.binds(&["7".to_owned(), "x".to_owned()]), [Bind::Int(Some(7)), Bind::Int(None)]);
}

#[test]
fn checks_read_their_columns_only_for_the_fields_they_may_doubt() {
    let plan = plan();
    let select = |path| {
        let query = query(&plan.records[1], Engine::Sqlite, IdentifierKind::PersonalId, &[path]);
        query.statement.sql().split(" FROM \"FILE\"").next().unwrap().to_owned()
    };
    assert_eq!(select("full_name"), r#"SELECT r."NAME""#);
    assert_eq!(select("personal_id"), r#"SELECT r."PID""#);
    // Columns stand in the order of the mapping's fields by name.
    assert_eq!(select("gender"), r#"SELECT r."BORN", r."SEX", r."PID""#);
    assert_eq!(
        select("has_conviction"),
        r#"SELECT EXISTS (SELECT 1 FROM "CONVICTION" e WHERE e."FILE_ID" = r."ID" AND e."SPENT" = ?)"#
    );
}

#[test]
fn a_key_is_bound_as_its_column_compares() {
    let plan = plan();
    let key = ["0100233488' OR 1=1 --".to_owned()];
    let binds = |engine| {
        let query = query(&plan.records[0], engine, IdentifierKind::EnterpriseCode, &["enterprise_code"]);
        assert!(!query.statement.sql().contains("OR 1=1"));
        query.statement.binds(&key)
    };
    let text = Bind::Text(Some(key[0].clone()));
    // A spreadsheet may have taken the zero; the number without it finds the row, too.
    let stripped = Bind::Text(Some("100233488' OR 1=1 --".to_owned()));
    let expected = [text, stripped, Bind::Int(None), Bind::Bool(Some(false))];
    assert_eq!(binds(Engine::Postgres), expected);
    assert_eq!(binds(Engine::MySql), expected);
    // SQLite keeps the padding of a CHAR(14) column in comparisons.
    let query = query(&plan.records[0], Engine::Sqlite, IdentifierKind::EnterpriseCode, &["enterprise_code"]);
    let padded = Bind::Text(Some("0100233488    ".to_owned()));
    assert_eq!(
        query.statement.binds(&["0100233488".to_owned()])[..4],
        [
            Bind::Text(Some("0100233488".to_owned())),
            Bind::Text(Some("100233488".to_owned())),
            padded,
            Bind::Int(Some(100_233_488))
        ]
    );
}

#[test]
fn an_unsupported_kind_of_key_has_no_query() {
    let plan = plan();
    let record = &plan.records[1];
    let fields = record.record_type.all_fields();
    assert!(Query::new(record, IdentifierKind::LegacyId, &fields, &catalogue(Engine::Sqlite), 1).is_none());
}
