//! The converters against programs that are not ours: glibc's iconv, Python's unicodedata and codecs, python-stdnum.
//!
//! A program that is not installed skips its test with a message. python-stdnum is looked for with the interpreter named
//! by `LIENTHONG_PYTHON`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use normalize::{Encoding, communes, decode, encode, old_communes, tax_code, text};

/// What the program answers to the input; nothing if it cannot be started.
fn ask(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Written from a thread of its own: neither side may wait for the other's pipe.
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} failed");
    Some(output.stdout)
}

fn ask_python(script: &str, input: &str) -> Option<String> {
    ask("python3", &["-X", "utf8", "-c", script], input.as_bytes()).map(|answer| String::from_utf8(answer).unwrap())
}

fn names() -> Vec<&'static str> {
    let names: BTreeSet<_> = communes(None).chain(old_communes(None)).map(|unit| unit.name).collect();
    names.into_iter().collect()
}

#[test]
fn iconv_reads_our_tcvn3() {
    let lower: Vec<String> = names().iter().map(|name| name.to_lowercase()).collect();
    let (bytes, replaced) = encode(&lower.join("\n"), Encoding::Tcvn3);
    assert_eq!(replaced, 0);
    let Some(answer) = ask("iconv", &["-f", "TCVN5712-1", "-t", "UTF-8"], &bytes) else { return };
    assert_eq!(String::from_utf8(answer).unwrap(), lower.join("\n"));
    println!("{} names agree with iconv", lower.len());
}

#[test]
fn iconv_reads_every_upper_byte_as_we_do() {
    // Below 0xA0 TCVN 5712-1 has capitals where the fonts in use had Windows punctuation.
    for byte in 0xa1..=0xff {
        let bytes = [b'a', byte];
        let Some(answer) = ask("iconv", &["-f", "TCVN5712-1", "-t", "UTF-8"], &bytes) else { return };
        let ours = decode(&bytes, Encoding::Tcvn3).unwrap().value;
        let theirs = String::from_utf8(answer).unwrap();
        assert_eq!(ours, text(&theirs).unwrap().value, "{byte:#x}");
    }
}

#[test]
fn python_composes_and_decomposes_as_we_do() {
    let script = "import sys, unicodedata as u\nfor l in sys.stdin.read().split('\\n'): print(u.normalize('NFD', l))";
    let Some(answer) = ask_python(script, &names().join("\n")) else { return };
    let mut repaired = 0;
    for (decomposed, name) in answer.lines().zip(names()) {
        let converted = text(decomposed).unwrap();
        assert_eq!(converted.value, name);
        assert_eq!(converted.notes.is_empty(), decomposed == name);
        repaired += usize::from(decomposed != name);
    }
    println!("{repaired} decomposed names composed");
    assert!(repaired > 7000);
}

#[test]
fn python_reads_our_windows_1258() {
    let script =
        "import sys, unicodedata as u\nsys.stdout.write(u.normalize('NFC', sys.stdin.buffer.read().decode('cp1258')))";
    let (bytes, replaced) = encode(&names().join("\n"), Encoding::Windows1258);
    assert_eq!(replaced, 0);
    let Some(answer) = ask("python3", &["-X", "utf8", "-c", script], &bytes) else { return };
    assert_eq!(String::from_utf8(answer).unwrap(), names().join("\n"));
}

#[test]
fn python_reads_every_windows_1258_byte_as_we_do() {
    let script = "import sys\nfor b in range(128, 256):\n  print(ascii(bytes([b]).decode('cp1258', 'replace')))";
    let Some(answer) = ask_python(script, "") else { return };
    for (byte, theirs) in (0x80..=0xff_u8).zip(answer.lines()) {
        let ours = decode(&[byte], Encoding::Windows1258)
            .map_or('\u{fffd}', |converted| converted.value.chars().next().unwrap());
        let escaped = ours.escape_unicode().to_string();
        let code = escaped.trim_start_matches("\\u{").trim_end_matches('}');
        let width = if code.len() <= 2 { format!("'\\x{code:0>2}'") } else { format!("'\\u{code:0>4}'") };
        assert_eq!(width, theirs, "{byte:#x}");
    }
}

#[test]
fn stdnum_judges_tax_codes_as_we_do() {
    let Ok(python) = std::env::var("LIENTHONG_PYTHON") else {
        println!("skipped: LIENTHONG_PYTHON does not name a Python with python-stdnum");
        return;
    };
    // A fixed walk through the ten-digit numbers, with branches, so that right and wrong digits both occur.
    let mut codes = Vec::new();
    let mut number: u64 = 100_109_106;
    for step in 0..20_000 {
        number = (number * 1_000_003 + 1_442_695_041) % 10_000_000_000;
        codes.push(format!("{number:010}"));
        if step % 4 == 0 {
            codes.push(format!("{number:010}-{:03}", step % 1000));
        }
        if let Some(digit) = normalize::tax_code_check_digit(&format!("{number:010}")[..9]) {
            codes.push(format!("{}{digit}", &format!("{number:010}")[..9]));
            codes.push(format!("{}{digit}-{:03}", &format!("{number:010}")[..9], step % 1000));
        }
    }
    codes.extend(["4100000000", "0000000017", "0000000000-001", "0100233488", "0314409058-000"].map(str::to_owned));
    let script = "import sys\nfrom stdnum.vn import mst\nfor l in sys.stdin: print(int(mst.is_valid(l.strip())))";
    let answer = ask(&python, &["-c", script], codes.join("\n").as_bytes()).expect("LIENTHONG_PYTHON runs");
    let answer = String::from_utf8(answer).unwrap();
    let mut valid = 0;
    for (code, theirs) in codes.iter().zip(answer.lines()) {
        assert_eq!(tax_code(code).is_ok(), theirs == "1", "{code}");
        valid += usize::from(theirs == "1");
    }
    println!("{} codes agree with python-stdnum, {valid} of them valid", codes.len());
    assert_eq!(answer.lines().count(), codes.len());
}
