use super::*;
use crate::{Functions, MappingError, PoolOptions, SecretUrl, SqlSource, plan::compile};
use proptest::prelude::*;
use proto::Schema;

const README: &str = include_str!("../../README.md");

/// A small valid mapping; tests put one mistake into it.
const VALID: &str = r#"source = "test"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.population.v1.Resident"
table = "people"
[record.lookup]
personal_id = ["id"]
[record.fields]
full_name = { from = "name", convert = "person_name" }
gender = { from = "sex", convert = "code", list = "gender", values = { 1 = "M" } }
"#;

fn load(text: &str) -> Result<(), MappingError> {
    let schema = Schema::builtin().unwrap();
    let mapping = Mapping::parse(text, "test.toml").map_err(|error| error.with_names(&schema, &Functions::new()))?;
    compile(&mapping, &schema, &Functions::new()).map(drop)
}

/// The first problem with one piece of the valid mapping replaced.
fn problem(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from}");
    load(&VALID.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn the_examples_of_the_page_load() {
    load(VALID).unwrap();
    let examples: Vec<_> = README.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        load(example).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_page_names_every_converter() {
    for spec in crate::convert::SPECS {
        assert!(README.contains(&format!("`{}`", spec.name)), "{}", spec.name);
    }
}

#[test]
fn mistakes_are_placed_and_the_right_name_is_proposed() {
    for (from, to, expected) in [
        (
            "full_name =",
            "full_nmae =",
            "test.toml:11:1: record Resident, field full_nmae: the record has no such field; did you mean \"full_name\"?",
        ),
        (
            "\"person_name\"",
            "\"person_nane\"",
            "test.toml:11:40: record Resident, field full_name: unknown converter \"person_nane\"; did you mean \"person_name\"?",
        ),
        (
            "\"person_name\"",
            "\"money\"",
            "money gives lienthong.common.v1.Money, the field is lienthong.common.v1.PersonName; converters for it: person_name",
        ),
        (
            "v1.Resident",
            "v1.Residents",
            "unknown record type \"lienthong.population.v1.Residents\"; did you mean \"lienthong.population.v1.Resident\"?",
        ),
        ("list = \"gender\"", "list = \"gendre\"", "unknown code list \"gendre\"; did you mean \"gender\"?"),
        ("1 = \"M\"", "1 = \"MALE\"", "the list gender has no code \"MALE\"; known are M, F, X, U"),
        (
            "personal_id = [",
            "personal_di = [",
            "test.toml:9:1: record Resident, lookup: unknown kind of key \"personal_di\"; did you mean \"personal_id\"?",
        ),
        (
            "table = \"people\"",
            "tabel = \"people\"",
            "test.toml:7:1: record Resident: unknown key \"tabel\"; did you mean \"table\"?",
        ),
        ("owner = \"nobody\"\n", "", "\"owner\" is missing"),
        ("from = \"name\", ", "", "\"from\" is missing"),
        ("full_name =", "mother =", "this is a message; map its fields: mother.full_name, mother.personal_id"),
        (
            "from = \"name\"",
            "from = \"name\", encoding = \"tcvn\"",
            "unknown encoding \"tcvn\"; did you mean \"tcvn3\"?",
        ),
        ("from = \"name\"", "from = { txt = \"name\" }", "person_name has no role \"txt\"; known are value"),
        ("from = \"name\"", "from = \"name\", format = \"yyyy\"", "person_name has no option \"format\""),
        ("from = \"name\", ", "from = \"name\", derive = \"x\", ", "a field has \"convert\" or \"derive\", not both"),
        ("owner = \"nobody\"", "owner = \"nobody", "test.toml:4:16: "),
        ("source = \"test\"", "source = \"Tést\"", "an id has small letters"),
    ] {
        let found = problem(from, to);
        assert!(found.contains(expected), "{to}: {found}");
    }
}

#[test]
fn a_date_stands_in_one_column_or_in_its_parts() {
    let field = |from: &str, more: &str| {
        let born = format!("birth_date = {{ from = {from}, convert = \"birth_date\"{more} }}\nfull_name =");
        load(&VALID.replacen("full_name =", &born, 1))
    };
    for (from, more, expected) in [
        ("{ precision = \"p\" }", "", "which column holds the date?"),
        ("{ date = \"d\", year = \"y\" }", "", "not in both"),
        ("{ year = \"y\", precision = \"p\" }", "", "parts say it themselves"),
        ("{ year = \"y\" }", ", format = \"yyyy\"", "the parts of a date have no format"),
        ("{ month = \"m\" }", "", "no date without its \"year\""),
        ("{ year = \"y\", day = \"d\" }", "", "no date without its \"month\""),
    ] {
        let error = field(from, more).unwrap_err().to_string();
        assert!(error.contains(expected), "{from}{more}: {error}");
    }
    for from in ["{ date = \"d\", precision = \"p\" }", "{ year = \"y\", month = \"m\" }", "{ year = \"y\" }"] {
        assert!(field(from, "").is_ok(), "{from}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    let text = VALID.replace("full_name", "full_nam").replace("\"gender\", values", "\"gendr\", values");
    let error = load(&text).unwrap_err();
    assert_eq!(error.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [11, 12]);
}

/// What is wrong with the form and what is wrong with names.
#[test]
fn a_thoroughly_wrong_mapping_is_mended_in_one_go() {
    let error = load(WRONG).unwrap_err();
    let found = error.to_string();
    let found: Vec<_> = found.lines().map(|line| line.strip_prefix("test.toml:").unwrap()).collect();
    let expected: Vec<_> = EXPECTED.lines().collect();
    assert_eq!(found, expected, "{}", found.join("\n"));
}

const WRONG: &str = r#"source = "test"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
encodng = "tcvn3"
[values.sex]
1 = "M"
2 = "W"
[[record]]
type = "lienthong.population.v1.Residnet"
table = "people"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
fields.code = { from = "code", convert = "budget_unit_cod" }
[[record]]
type = "lienthong.population.v1.Resident"
table = "people"
ordr = ["id"]
[record.lookup]
personal_id = { colum = "id" }
legacy_id = 7
[record.fields]
full_name = { form = "name", convert = "person_name" }
gender = { from = "sex", convert = "code", list = "gendr", values = "sx" }
birth_date = { from = { dat = "born" }, convert = "birth_date", format = "dd/mm/yyyy" }
"mother.fullname" = { from = "mother", convert = "person_name" }
ethnicity = { from = "dt", convert = "code", list = "ethnicity", values = "sex" }
personal_id = { from = 12, convert = "personal_id" }
is_deceased = { from = "dead", convert = "boolean", required = "yes" }
[record.fields.permanent_address]
from = { text = "address", ward = "ward" }
convert = "adress"
vintage = "pre-2025"
[[record.children]]
field = "industry"
table = "i"
join = { a = "b" }
fields.code = { from = "x", convert = "text" }
[[record.checks]]
check = "personal_id_agree"
fields = { personal_id = "personal_id", born = "birth_date" }
"#;

const EXPECTED: &str = r#"5:1: unknown key "encodng"; did you mean "encoding"?
6:1: record Resident, field ethnicity: the list ethnicity has no code "M"
6:1: record Resident, field ethnicity: the list ethnicity has no code "W"
9:1: record Residnet: [record.lookup] is missing: no key finds a record
9:1: record Residnet: "fields" is missing
10:8: record: unknown record type "lienthong.population.v1.Residnet"; did you mean "lienthong.population.v1.Resident"?
12:1: record BudgetUnit: "table" is missing
12:1: record BudgetUnit: [record.lookup] is missing: no key finds a record
14:42: record BudgetUnit, field code: unknown converter "budget_unit_cod"; did you mean "budget_unit_code"?
18:1: record Resident: unknown key "ordr"; did you mean "order"?
20:15: record Resident, lookup personal_id: "column" is missing
20:17: record Resident, lookup personal_id: unknown key "colum"; did you mean "column"?
21:13: record Resident, lookup legacy_id: a text in quotes is expected here, not integer
23:13: record Resident, field full_name: "from" is missing: which column holds it?
23:15: record Resident, field full_name: unknown key "form"; did you mean "from"?
24:51: record Resident, field gender: unknown code list "gendr"; did you mean "gender"?
24:69: record Resident, field gender: no table [values.sx]; known are sex
25:31: record Resident, field birth_date: birth_date has no role "dat"; did you mean "date"?
25:74: record Resident, field birth_date: unknown date format "dd/mm/yyyy"; did you mean "dd/MM/yyyy"?
26:1: record Resident, field mother.fullname: the record has no such field; did you mean "mother.full_name"?
28:24: record Resident, field personal_id: a column in quotes, a list of columns or { role = column } is expected here, not integer
29:64: record Resident, field is_deceased: "required" is true or false
32:11: record Resident, field permanent_address: unknown converter "adress"; did you mean "address"?
35:9: record Resident, children industry: "industry" is no repeated message
40:9: record Resident: unknown check "personal_id_agree"; did you mean "personal_id_agrees"?"#;

#[test]
fn a_field_has_one_origin() {
    let twice = format!(
        "{VALID}[[record.joined]]\nfield = \"father\"\nseparator = \";\"\nfields = {{ full_name = {{ from = \"x\", convert = \"person_name\" }} }}\n"
    );
    assert!(load(&twice).unwrap_err().to_string().contains("\"father\" is no repeated message"));
}

#[test]
fn the_digest_is_that_of_the_file() {
    // From `sha256sum` over the same bytes.
    assert_eq!(
        Mapping::parse(VALID, "a").unwrap().digest,
        "01653856dcb19338e69c8e032b78af221ec9a339c648b28a7879efc86b32119a"
    );
}

#[tokio::test]
async fn unmapped_fields_are_listed() {
    let mapping = Mapping::parse(VALID, "test.toml").unwrap();
    let schema = Schema::builtin().unwrap();
    let url = SecretUrl::new("sqlite://nowhere.db");
    let source = SqlSource::open(&schema, &mapping, &Functions::new(), &url, PoolOptions::default()).unwrap();
    let record = &crate::Adapter::describe(&source).records[0];
    assert_eq!(record.record_type.paths_of(&record.fields), ["full_name", "gender"]);
    assert!(record.unmapped().contains(&"birth_date".to_owned()));
    assert_eq!(format!("{url:?}"), "[redacted]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn junk_never_panics(text in any::<String>()) {
        let _ = load(&text);
    }

    /// Junk that is nearly a mapping: pieces of the example cut and put together anew.
    #[test]
    fn mangled_mappings_never_panic(cuts in proptest::collection::vec((0usize..4000, 0usize..400), 1..6), junk in "[\\[\\]{}=\",.a-zđ0-9\\n#]{0,12}") {
        let example = README.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let mut text: Vec<char> = example.chars().collect();
        for (start, length) in cuts {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, junk.chars());
        }
        let _ = load(&text.into_iter().collect::<String>());
    }
}

#[test]
fn the_published_schema_has_the_names_of_the_engine() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../mapping.schema.json")).unwrap();
    let names = |at: &str| {
        let list = schema.pointer(at).and_then(serde_json::Value::as_array).unwrap();
        list.iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let field = "/$defs/field/properties";
    let converters: Vec<_> = crate::convert::SPECS.iter().map(|spec| spec.name).collect();
    assert_eq!(names(&format!("{field}/convert/enum")), converters);
    assert_eq!(names("/$defs/encoding_name/enum"), parse::ENCODINGS);
    let kinds: Vec<_> = parse::identifier_kinds().map(|kind| kind.as_str_name().to_ascii_lowercase()).collect();
    let lookup = schema.pointer("/$defs/record/properties/lookup/properties").unwrap().as_object().unwrap();
    assert_eq!(lookup.len(), kinds.len());
    assert!(kinds.iter().all(|kind| lookup.contains_key(kind)));
    // Each converter's rule allows its own roles, options and table of values, and no others.
    let rules = schema.pointer("/$defs/field/allOf").unwrap().as_array().unwrap();
    for spec in crate::convert::SPECS {
        let rule = rules.iter().find(|rule| {
            let names = rule.pointer("/if/properties/convert/enum").and_then(serde_json::Value::as_array);
            names.is_some_and(|names| names.iter().any(|name| name == spec.name))
        });
        let allowed = rule.unwrap().pointer("/then/properties").unwrap();
        assert_eq!(allowed["from"]["then"]["propertyNames"]["enum"], serde_json::json!(spec.roles), "{}", spec.name);
        for option in parse::CONVERTER_OPTIONS.into_iter().chain(["format"]) {
            assert_eq!(allowed.get(option) != Some(&false.into()), spec.options.contains(&option), "{}", spec.name);
        }
        assert_eq!(allowed.get("values") != Some(&false.into()), spec.values, "{}", spec.name);
    }
}
