use super::*;

fn files(folder: &Path, rules: &str, holds: &str) -> RetentionFiles {
    fs::write(folder.join("retention.toml"), rules).unwrap();
    fs::write(folder.join("holds.toml"), holds).unwrap();
    RetentionFiles {
        rules: folder.join("retention.toml"),
        holds: Some(folder.join("holds.toml")),
        schema: Arc::new(Schema::builtin().unwrap()),
    }
}

#[test]
fn the_shipped_files_are_right() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let files = RetentionFiles {
        rules: deploy.join("retention.toml"),
        holds: Some(deploy.join("legal-holds.toml")),
        schema: Arc::new(Schema::builtin().unwrap()),
    };
    let rules = files.rules().unwrap();
    // Two years, five for sensitive fields: the periods the province has set itself.
    assert_eq!(rules.default_months, 24);
    assert!(rules.classes.iter().any(|class| class.sensitive && class.months == 60));
    files.holds().unwrap();
}

#[test]
fn wrong_files_are_refused_and_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let class = |lines: &str| format!("default_months = 24\n[[classes]]\nname = \"c\"\n{lines}");
    for (rules, message) in [
        ("default_months = 5".to_owned(), "default_months must be 6 to 1200"),
        ("defualt_months = 24".to_owned(), "unknown field"),
        (class("months = 3\nsensitive = true"), "months must be 6"),
        (class("months = 60"), "states no condition"),
        (class("months = 60\nkinds = [\"hub_event\"]"), "always kept"),
        (class("months = 60\nkinds = [\"querry\"]"), "no kind of entry \"querry\""),
        (class("months = 60\nrecord_types = [\"a.B\"]"), "no record type a.B"),
        (class("months = 60\ndisclosures = [\"sometimes\"]"), "\"sometimes\""),
    ] {
        let error = format!("{:#}", files(folder.path(), &rules, "").rules().unwrap_err());
        assert!(error.contains(message) && error.contains("retention.toml"), "{error}");
    }
    let hold = |lines: &str| format!("[[holds]]\nnumber = \"1/QĐ\"\nordered_by = \"Thanh tra\"\n{lines}");
    let twice = hold("reason = \"x\"\nagency = \"H21\"\n") + &hold("reason = \"x\"\nagency = \"H21\"\n");
    for (holds, message) in [
        (hold("reason = \" \"\nagency = \"H21\""), "reason is empty"),
        (hold("reason = \"người có số 052095000123\"\nagency = \"H21\""), "personal number"),
        (hold("reason = \"x\""), "says nothing of what it covers"),
        (hold("reason = \"x\"\nsubject = { kind = \"personal_id\", key_id = \"k\", hash = \"00\" }"), "64 hexadecimal"),
        (hold("reason = \"x\"\nagancy = \"H21\""), "unknown field"),
        (twice, "stands there twice"),
    ] {
        let error = format!("{:#}", files(folder.path(), "default_months = 24", &holds).holds().unwrap_err());
        assert!(error.contains(message) && error.contains("holds.toml"), "{error}");
    }
}
