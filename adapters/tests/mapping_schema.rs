//! The published schema of the mapping language, held against the shipped mappings by a validator that is not ours:
//! `jsonschema` of the Python named by `LIENTHONG_PYTHON`. That its names are the engine's is tested beside the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use adapter_sdk::Mapping;

/// Prints, per file, `ok` or where and why it is not valid.
const SCRIPT: &str = "
import json, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1], encoding='utf-8'))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for path in sys.argv[2:]:
    problems = [f'{e.json_path}: {e.message}' for e in validator.iter_errors(tomllib.load(open(path, 'rb')))]
    print('ok' if not problems else ' / '.join(problems).replace('\\n', ' ')[:300])
";

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the validator says of each file; nothing when there is no validator here.
fn verdicts(files: &[PathBuf]) -> Option<Vec<String>> {
    let Ok(python) = std::env::var("LIENTHONG_PYTHON") else {
        println!("skipped: LIENTHONG_PYTHON does not name a Python with jsonschema");
        return None;
    };
    let output =
        Command::new(python).args(["-c", SCRIPT]).arg(folder("sdk/mapping.schema.json")).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn every_shipped_mapping_and_the_pages_example_are_valid() {
    let temporary = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(folder("sdk/README.md")).unwrap();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut files = vec![temporary.path().join("example.toml")];
    fs::write(&files[0], example).unwrap();
    files.extend(registers::all().iter().map(|register| folder(register.id).join("mapping.toml")));
    let Some(verdicts) = verdicts(&files) else { return };
    assert_eq!(verdicts, vec!["ok"; 7]);
}

#[test]
fn what_the_schema_refuses_the_engine_refuses() {
    let shipped = fs::read_to_string(folder("business-registry/mapping.toml")).unwrap();
    let mistakes = [
        ("source = \"", "sauce = \""),
        ("source = \"business-registry\"", "source = \"Business Registry\""),
        ("[record.lookup]\n", "[record.lookup]\npasport = \"X\"\n"),
        ("[record.fields]\n", "[record.fields]\nname_x = { from = \"X\" }\n"),
        ("[record.fields]\n", "[record.fields]\nname_x = { from = \"X\", convert = \"text\", derive = \"y\" }\n"),
        ("[record.fields]\n", "[record.fields]\nname_x = { from = 3, convert = \"text\" }\n"),
        ("[record.fields]\n", "[record.fields]\nname_x = { convert = \"text\" }\n"),
        ("[record.fields]\n", "[record.fields]\nname_x = { from = \"X\", convert = \"text\", encoding = \"utf-9\" }\n"),
        ("[[record]]\n", "[[record]]\nselect = \"SELECT 1\"\n"),
    ];
    let temporary = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, (from, to)) in mistakes.iter().enumerate() {
        let wrong = shipped.replacen(from, to, 1);
        assert_ne!(wrong, shipped, "{from} stands in the mapping");
        assert!(Mapping::parse(&wrong, "wrong.toml").is_err(), "the engine refuses {to}");
        files.push(temporary.path().join(format!("{number}.toml")));
        fs::write(&files[number], wrong).unwrap();
    }
    // What the engine finds when it binds a mapping to record types, an editor finds while it is written.
    for field in [
        "x = { from = \"X\", convert = \"txt\" }",
        "x = { from = \"X\", convert = \"text\", format = \"yyyy\" }",
        "x = { from = \"X\", convert = \"birth_date\", format = \"yy\" }",
        "x = { from = \"X\", convert = \"code\" }",
        "x = { from = { comune = \"X\" }, convert = \"address\" }",
        "x = { from = \"X\", convert = \"industry_code\", vintage = \"pre-2025\" }",
    ] {
        files.push(temporary.path().join(format!("{}.toml", files.len())));
        let wrong = shipped.replacen("[record.fields]\n", &format!("[record.fields]\n{field}\n"), 1);
        fs::write(files.last().unwrap(), wrong).unwrap();
    }
    let Some(verdicts) = verdicts(&files) else { return };
    assert_eq!(verdicts.len(), files.len());
    for (file, verdict) in files.iter().zip(&verdicts) {
        assert_ne!(verdict, "ok", "{}", fs::read_to_string(file).unwrap());
    }
    println!("{} mistakes, each refused", verdicts.len());
}
