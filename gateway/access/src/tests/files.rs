//! Wrong files are refused with file, line and reason; nothing is loaded.

use super::*;

/// What is wrong when the shipped grants hold this one instead.
fn problem_of(file: SourceFile) -> Problem {
    first_message(&load(&sources_with(vec![file])).err().unwrap()).clone()
}

fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

#[test]
fn the_shipped_files_load_without_a_warning() {
    let loaded = load(&shipped_sources()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.set.digest().len(), 64);
    assert!(loaded.set.purpose("identify_applicant").unwrap().dossier_required);
    assert!(loaded.set.purpose("curiosity").is_none());
}

#[test]
fn a_misspelt_name_is_refused_with_its_place_and_the_right_name() {
    let mixed = mixed_record_type();
    let good = grant("1", "H21.65", &[&mixed], "");
    let field = mixed.fields.iter().map(|field| &field.path).max_by_key(|path| path.len()).unwrap();
    let misspelt = &field[..field.len() - 1];
    let group = mixed.fields[0].group.as_str();
    let with = |from: &str, to: &str| SourceFile { text: good.text.replacen(from, to, 1), ..good.clone() };
    for (file, wrong, right) in [
        (with("groups", &format!("fields = [\"{misspelt}\"]\ngroups")), misspelt, field.as_str()),
        (with(&format!("\"{group}\""), &format!("\"{group}x\"")), &format!("{group}x"), group),
        (with(&mixed.name, &format!("{}e", mixed.name)), &format!("{}e", mixed.name), mixed.name.as_str()),
        (with("check_enterprise", "check_enterprize"), "check_enterprize", "check_enterprise"),
        (with("\"H21.65\"", "\"H21.64\""), "H21.64", "H21.6"),
    ] {
        let problem = problem_of(file.clone());
        assert_eq!(problem.file, "1.toml");
        assert_eq!(problem.line, Some(line_of(&file.text, &format!("\"{wrong}\""))), "{problem}");
        assert!(problem.column.is_some_and(|column| column > 1), "{problem}");
        assert!(problem.message.contains(&format!("\"{wrong}\" is unknown")), "{problem}");
        if wrong != "H21.64" {
            assert!(problem.message.contains(&format!("did you mean \"{right}\"?")), "{problem}");
        }
    }
}

#[test]
fn what_an_agreement_lacks_or_says_wrongly_is_refused() {
    let mixed = mixed_record_type();
    let good = grant("1", "H21.65", &[&mixed], "");
    let with = |from: &str, to: &str| SourceFile { text: good.text.replacen(from, to, 1), ..good.clone() };
    for (file, message) in [
        (with("title", "titel"), "unknown field `titel`"),
        (with("legal_basis = \"Thử nghiệm, Điều 1\"", "legal_basis = \" \""), "legal_basis is empty"),
        (with("actions = [\"query\"]", "actions = []"), "names no action"),
        (with("actions = [\"query\"]", "actions = [\"query\", \"read_log\"]"), "cannot open records"),
        (with("actions = [\"query\"]", "actions = [\"read_log\"]"), "names no records and no purposes"),
        (with("actions = [\"query\"]", "actions = [\"delete\"]"), "unknown variant `delete`"),
        (with("2026-12-31", "2025-12-31"), "valid_until is before valid_from"),
        (with("2026-12-31", "2026-12-31T10:00:00Z"), "not a date"),
        (with("2026-12-31", "\"2026-12-31\""), "invalid type"),
        (with("[\"desk\"]", "[]"), "names no system"),
        (with("[\"desk\"]", "[\"Desk\"]"), "is no name of a system"),
        (with("\"immediate\"", "\"sometimes\""), "unknown variant `sometimes`"),
        (with("groups = ", "groups = [] #"), "names neither fields nor groups"),
        (with("[parties]", "[parties"), ""),
    ] {
        let problem = problem_of(file);
        assert!(problem.message.contains(message), "{problem}");
        assert!(problem.line.is_some(), "{problem}");
    }
    let twice = SourceFile { name: "again.toml".to_owned(), ..good.clone() };
    let error = load(&sources_with(vec![good, twice])).err().unwrap();
    assert_eq!(first_message(&error).to_string(), "again.toml:1:13: agreement \"1\" is also in 1.toml");
}

#[test]
fn a_wrong_policy_is_refused_with_its_place() {
    let guarded = guarded_record_type().name.clone();
    let change = |from: &str, to: &str| {
        let mut sources = shipped_sources();
        let file = sources.policies.iter_mut().find(|file| file.text.contains(from)).unwrap();
        file.text = file.text.replacen(from, to, 1);
        let (name, line) = (file.name.clone(), line_of(&file.text, to.lines().next().unwrap()));
        (first_message(&load(&sources).err().unwrap()).clone(), name, line)
    };
    for (from, to) in [
        (format!("RecordType::\"{guarded}\" &&"), format!("RecordType::\"{guarded}e\" &&")),
        ("principal.reads_log".to_owned(), "principal.reads_lag".to_owned()),
        ("unless { context.purpose_stated };".to_owned(), "unless context.purpose_stated };".to_owned()),
    ] {
        let (problem, name, line) = change(&from, &to);
        assert_eq!(problem.file, name);
        assert_eq!(problem.line, Some(line), "{problem}");
    }
    let (problem, ..) = change("@reason(\"PURPOSE_MISSING\")\n", "\n");
    assert!(problem.message.contains("has no @reason"), "{problem}");
    let (problem, ..) = change("@id(\"purpose_is_stated\")", "@id(\"purpose_is_in_catalogue\")");
    assert!(problem.message.contains("is used twice"), "{problem}");
    let (problem, ..) = change("principal.reads_log", "resource == Field::\"any\"");
    assert!(problem.message.contains("names a single field"), "{problem}");
    let none = AccessSources { policies: Vec::new(), ..shipped_sources() };
    assert!(first_message(&load(&none).err().unwrap()).message.contains("there is no policy"));
}

#[test]
fn wrong_catalogues_are_refused() {
    let change = |purposes: bool, from: &str, to: &str| {
        let mut sources = shipped_sources();
        let file = if purposes { &mut sources.purposes } else { &mut sources.agencies };
        file.text = file.text.replacen(from, to, 1);
        first_message(&load(&sources).err().unwrap()).to_string()
    };
    assert!(change(true, "\"identify_applicant\"", "\"Identify\"").contains("is not snake_case"));
    assert!(change(true, "\"identify_applicant\"", "\"confirm_residence\"").contains("is listed twice"));
    assert!(change(true, "dossier_required =", "dossier_needed =").contains("unknown field"));
    assert!(change(false, "\"H21.10\"", "\"h21.10\"").contains("not an agency code"));
    assert!(change(false, "\"H21.10\"", "\"H21\"").contains("is listed twice"));
    assert!(change(false, "\"portal\"", "\"gate\"").contains("unknown variant"));
}

#[test]
fn overlapping_and_expired_agreements_are_warned_of() {
    let mixed = mixed_record_type();
    let expired = "valid_from = 2020-01-01\nvalid_until = 2020-12-31";
    let line = |file: &SourceFile, needle: &str| Some(line_of(&file.text, needle));
    let grants = vec![
        grant("1", "H21.65", &[&mixed], ""),
        grant("2", "H21", &[&mixed], ""),
        grant("3", "H21.65", &[&mixed], expired),
    ];
    let lines = [line(&grants[1], &mixed.name), line(&grants[2], "valid_until")];
    let warnings = load(&sources_with(grants)).unwrap().warnings;
    let messages: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("\"2\" grants again what \"1\" grants"));
    assert!(messages[1].contains("\"3\" has expired"));
    assert_eq!([warnings[0].line, warnings[1].line], lines);
}

#[test]
fn the_digest_tells_any_change_and_only_a_change() {
    let sources = shipped_sources();
    let digest = sources.digest();
    assert_eq!(shipped_sources().digest(), digest);
    let changes: [fn(&mut AccessSources); 4] = [
        |sources| sources.grants[0].text.push('#'),
        |sources| sources.policies[0].text.push('\n'),
        |sources| sources.purposes.text.push('#'),
        |sources| sources.agencies.text.push('#'),
    ];
    for change in changes {
        let mut changed = sources.clone();
        change(&mut changed);
        assert_ne!(changed.digest(), digest);
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = AccessSources::read(&AccessFiles::under(folder.path())).err().unwrap();
    assert_eq!(error.problems.len(), 4);
    assert!(error.to_string().contains("purposes.toml: cannot be read"));
}

#[test]
fn what_an_agreement_says_twice_is_warned_of() {
    let mixed = mixed_record_type();
    let good = grant("1", "H21.65", &[&mixed], "");
    let with = |from: &str, to: &str| SourceFile { text: good.text.replacen(from, to, 1), ..good.clone() };
    let field = mixed.fields[0].path.as_str();
    for (file, needle, message) in [
        (with("[\"desk\"]", "[\"desk\", \"desk\"]"), "desk", "system \"desk\" stands here twice"),
        (with("\"check_enterprise\",", "\"identify_applicant\","), "purposes", "stands here twice"),
        (with("groups = ", &format!("fields = [{field:?}]\ngroups = ")), "groups", "which is named as well"),
    ] {
        let warnings = load(&sources_with(vec![file.clone()])).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains(message), "{}", warnings[0]);
        assert_eq!(warnings[0].line, Some(line_of(&file.text, needle)));
    }
}
