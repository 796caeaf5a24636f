//! Decisions of the design that a test can hold: the gateway knows no sector.

use std::{fs, path::Path};

use proto::Schema;

/// All text files under a folder.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.display().to_string(), text));
        }
    }
}

/// Whether a name stands in a text as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    text.match_indices(name)
        .any(|(at, _)| !word(text[..at].chars().next_back()) && !word(text[at + name.len()..].chars().next()))
}

#[test]
fn the_gateway_holds_no_sectors_name_and_no_record_types_name() {
    let schema = Schema::builtin().unwrap();
    let mut forbidden: Vec<String> = synthetic::Sector::ALL.iter().map(|sector| sector.as_str().to_owned()).collect();
    for record_type in schema.record_types() {
        let short = record_type.name.rsplit('.').next().unwrap().to_owned();
        let package = record_type.descriptor.parent_file().package_name().to_owned();
        forbidden.extend([record_type.name.clone(), short, package, record_type.sector.clone()]);
    }
    forbidden.extend(forbidden.clone().iter().map(|name| name.replace('-', "_")));
    forbidden.sort();
    forbidden.dedup();
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway"), &mut found);
    assert!(found.len() > 30, "the gateway's files are read");
    let mut broken = Vec::new();
    for (path, text) in &found {
        broken.extend(forbidden.iter().filter(|name| names(text, name)).map(|name| format!("{path}: {name}")));
    }
    assert!(broken.is_empty(), "the gateway names sectors or record types:\n{}", broken.join("\n"));
}

#[test]
fn the_search_for_names_finds_names() {
    assert!(names("use population::x;", "population"));
    assert!(names("\"lienthong.population.v1.Resident\"", "Resident"));
    assert!(!names("populations of residents", "population"));
}
