//! The published schema of the mapping language, held against the shipped mappings by a validator that is not ours:
//! `jsonschema` of the Python named by `LIENTHONG_PYTHON`. That its names are the engine's is tested beside the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use adapter_sdk::{Functions, Mapping, PoolOptions, SecretUrl, SqlSource};
use proto::Schema;

/// Prints, per file, `ok` or where and why it is not valid.
const SCRIPT: &str = "
import json, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1], encoding='utf-8'))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for path in sys.argv[2:]:
    try:
        mapping = tomllib.load(open(path, 'rb'))
    except tomllib.TOMLDecodeError:
        print('no TOML')
        continue
    problems = [f'{e.json_path}: {e.message}' for e in validator.iter_errors(mapping)]
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

/// A text with one thing in it changed: each name before `=`, each text, each line.
fn mutants(text: &str) -> Vec<String> {
    let mut mutants = Vec::new();
    for (at, _) in text.match_indices(" = ") {
        let begin = text[..at].rfind([' ', '\n', '{', ',']).map_or(0, |before| before + 1);
        mutants.push(format!("{}x{}", &text[..at], &text[at..]));
        mutants.push(format!("{}x_{}", &text[..begin], &text[begin..]));
    }
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    for pair in quotes.chunks_exact(2).filter(|pair| !text[pair[0]..pair[1]].contains('\n')) {
        for other in ["3", "\"\"", "\"zzz\"", "true", "[]", "[\"zzz\"]", "{ zzz = \"zzz\" }"] {
            mutants.push(format!("{}{other}{}", &text[..pair[0]], &text[pair[1] + 1..]));
        }
    }
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        mutants.push(format!("{}{}", &text[..begin], &text[begin + line.len()..]));
        begin += line.len();
    }
    mutants
}

/// Both ways: what the schema refuses the engine refuses, and what the engine cannot read the schema refuses.
#[test]
fn schema_and_engine_agree_on_every_mapping_with_one_change() {
    let page = fs::read_to_string(folder("sdk/README.md")).unwrap();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let schema = Schema::builtin().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let (mut files, mut read, mut binds) = (Vec::new(), Vec::new(), Vec::new());
    for mutant in mutants(example) {
        let parsed = Mapping::parse(&mutant, "m.toml");
        let bound = parsed.as_ref().ok().map(|mapping| {
            let url = SecretUrl::new("sqlite:nowhere.sqlite");
            SqlSource::open(&schema, mapping, &Functions::new(), &url, PoolOptions::default()).is_ok()
        });
        read.push(parsed.map(drop).map_err(|error| error.to_string()));
        binds.push(bound.unwrap_or(false));
        files.push(temporary.path().join(format!("{}.toml", files.len())));
        fs::write(files.last().unwrap(), mutant).unwrap();
    }
    let Some(verdicts) = verdicts(&files) else { return };
    let mut apart = Vec::new();
    for (((file, verdict), read), binds) in files.iter().zip(&verdicts).zip(&read).zip(&binds) {
        let wrong = match (verdict == "ok", read) {
            (false, Err(_)) if verdict == "no TOML" => continue,
            (false, Ok(())) if *binds => format!("the engine takes what the schema refuses: {verdict}"),
            (true, Err(error)) => format!("the schema takes what the engine refuses: {error}"),
            _ => continue,
        };
        apart.push((wrong, fs::read_to_string(file).unwrap()));
    }
    let shown: Vec<_> = apart.iter().map(|(wrong, text)| format!("{wrong}\n  {}", change(example, text))).collect();
    assert!(shown.is_empty(), "{} of {}:\n{}", shown.len(), files.len(), shown.join("\n"));
    println!("{} mappings with one change: schema and engine agree", files.len());
}

/// The first line that differs.
fn change(from: &str, to: &str) -> String {
    let mut lines = from.lines().zip(to.lines());
    lines.find(|(one, other)| one != other).map(|(_, other)| other.to_owned()).unwrap_or_default()
}
