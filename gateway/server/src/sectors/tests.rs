use super::*;

const FIELD: &str = "[(lienthong.options.v1.field) = { vi: \"a\" en: \"b\" sensitivity: BASIC group: \"g\"";

/// The schema of one file of one sector, in the words of the error when there is none.
fn compiled(body: &str) -> Result<Schema, String> {
    let text = format!("syntax = \"proto3\";\npackage bus.v1;\nimport \"lienthong/options/v1/options.proto\";\n{body}");
    let texts = BTreeMap::from([("bus/bus.proto".to_owned(), text)]);
    ProtoFiles { folder: PathBuf::from("/s"), texts }.schema(None).map_err(|error| format!("{error:#}"))
}

fn line(body: &str) -> String {
    format!(
        "message Line {{ option (lienthong.options.v1.record) = {{ vi: \"Tuyến\" en: \"Line\" sector: \"bus\" }};\n{body}\n}}"
    )
}

#[test]
fn built_in_record_types_stay_the_same_objects_beside_new_ones() {
    let (builtin, schema) =
        (Schema::builtin().unwrap(), compiled(&line(&format!("string number = 1 {FIELD} }}];"))).unwrap());
    assert_eq!(schema.record_types().count(), builtin.record_types().count() + 1);
    for record_type in builtin.record_types() {
        assert!(Arc::ptr_eq(record_type, schema.record_type(&record_type.name).unwrap()), "{}", record_type.name);
    }
    assert_eq!(schema.record_type("bus.v1.Line").unwrap().label_vi, "Tuyến");
}

#[test]
fn what_a_sector_may_not_declare_is_named_with_its_place() {
    let two = format!("string number = 1 {FIELD} concept: \"birth_date\" authority: true }}];");
    for (body, words) in [
        (line(&two), "/s: concept birth_date has 2 authorities"),
        (line(&format!("Line part = 1 {FIELD} }}];")), "/s/bus/bus.proto:5:1: message bus.v1.Line nests itself"),
        (line("string number = 1;"), "/s/bus/bus.proto:5:1: field bus.v1.Line.number lacks vi, en, group, sensitivity"),
        (line(&format!("map<string, string> parts = 1 {FIELD} }}];")), "/s/bus/bus.proto:5:1: message"),
        ("service Lines {}".to_owned(), "/s/bus/bus.proto: a sector declares record types, no services: bus.v1.Lines"),
        ("message Line {".to_owned(), "/s/bus/bus.proto: expected"),
        ("import \"bus/none.proto\";".to_owned(), "/s/bus/bus.proto:4:1: import 'bus/none.proto' not found"),
    ] {
        let error = compiled(&body).unwrap_err();
        assert!(error.starts_with(words), "{words}\n{error}");
    }
}

#[test]
fn a_file_with_the_name_of_a_built_in_one_is_refused() {
    let builtin = Schema::builtin().unwrap();
    let name = builtin.pool().files().last().unwrap().name().to_owned();
    let texts = BTreeMap::from([(name, "syntax = \"proto3\";".to_owned())]);
    let error = ProtoFiles { folder: PathBuf::from("/s"), texts }.schema(None).unwrap_err();
    assert!(error.to_string().ends_with("name the sector's folder otherwise"), "{error}");
}

#[test]
fn of_several_sectors_only_the_record_types_that_changed_are_new_objects() {
    let head = "syntax = \"proto3\";\nimport \"lienthong/options/v1/options.proto\";\n";
    let record = |name: &str, field: &str| {
        format!(
            "message {name} {{ option (lienthong.options.v1.record) = {{ vi: \"A\" en: \"B\" sector: \"s\" }};\n{field}\n}}"
        )
    };
    let own = format!("string number = 1 {FIELD} }}];");
    let shared = format!("part.v1.Part part = 2 {FIELD} }}];\n{own}");
    let schema = |bus: &str, part: &str, before: Option<&Schema>| {
        let texts = [
            ("bus/bus.proto", format!("{head}package bus.v1;\n{}", record("Line", bus))),
            ("land/land.proto", format!("{head}package land.v1;\n{}", record("Plot", &own))),
            (
                "tax/tax.proto",
                format!("{head}import \"part/part.proto\";\npackage tax.v1;\n{}", record("Debt", &shared)),
            ),
            ("part/part.proto", format!("{head}package part.v1;\nmessage Part {{ string {part} = 1 {FIELD} }}]; }}")),
        ];
        let texts = texts.map(|(name, text)| (name.to_owned(), text)).into();
        ProtoFiles { folder: PathBuf::from("/s"), texts }.schema(before).unwrap()
    };
    let first = schema(&own, "name", None);
    let same = |after: &Schema| {
        ["bus.v1.Line", "land.v1.Plot", "tax.v1.Debt"]
            .map(|name| Arc::ptr_eq(first.record_type(name).unwrap(), after.record_type(name).unwrap()))
    };
    assert_eq!(same(&schema(&own, "name", Some(&first))), [true, true, true]);
    let longer = schema(&format!("{own}\nstring second = 2 {FIELD} }}];"), "name", Some(&first));
    assert_eq!(same(&longer), [false, true, true]);
    assert!(longer.record_type("bus.v1.Line").unwrap().field("second").is_some());
    // What a record type is made of may stand in another file.
    let renamed = schema(&own, "title", Some(&first));
    assert_eq!(same(&renamed), [true, true, false]);
    assert!(renamed.record_type("tax.v1.Debt").unwrap().field("part.title").is_some());
}
