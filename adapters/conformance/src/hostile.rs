//! Numbers that are none: what an attacker, or a caller with a bug, would send.

use crate::{Example, Finding, Subject, short, tells};

/// Longest number tried, in bytes.
const LONG: usize = 100_000;

pub(crate) async fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let rule =
        "quotes, wildcards, control characters and endless numbers find nothing, break nothing and are not repeated";
    let mut finding = subject.finding("hostile_numbers_find_nothing", rule);
    let mut numbers: Vec<String> = [
        "",
        " ",
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "%",
        "_%",
        "*",
        "?",
        "$1",
        ":1",
        "NULL",
        "' OR '1'='1",
        "' OR 1=1 -- ",
        "'; DROP TABLE conformance_never_there; --",
        "\\' OR 1=1 #",
        "1055507) OR (1=1",
        "0 UNION SELECT 1",
        "\u{0}",
        "105\u{0}5507",
        "\n\r\t",
        "１２３４５６７８９０１２",
        "Đ\u{301}\u{323}",
        "\u{202e}999",
        "😀",
        "-1",
        "1e400",
        "99999999999999999999999999",
        "NaN",
        "0x31",
        "true",
    ]
    .map(str::to_owned)
    .to_vec();
    numbers.push("9".repeat(LONG));
    numbers.push("'".repeat(LONG));
    // A known number with something to it is another number.
    for example in &subject.examples {
        numbers.extend(["'", "%", "\u{0}", " OR 1=1"].map(|tail| format!("{}{tail}", example.key.value)));
    }
    let found =
        async |example: &&Example| subject.whole(&example.key).await.is_ok_and(|fetched| !fetched.records.is_empty());
    // A known number that does not find its record is a finding of its own, and not about hostile ones.
    let mut found_before = Vec::new();
    for example in &subject.examples {
        if found(example).await {
            found_before.push(example);
        }
    }
    for kind in &subject.record.lookup {
        for number in &numbers {
            let answer = subject.ask(*kind, number, &subject.record.fields).await;
            finding.expect(answer.as_ref().is_ok_and(|fetched| fetched.records.is_empty()), || match &answer {
                Ok(_) => format!("as a {}, {} found a record", short(*kind), shown(number)),
                Err(error) => format!("as a {}, {} gave: {error}", short(*kind), shown(number)),
            });
            let told = answer.err().is_some_and(|error| tells(&error, number));
            finding.expect(!told, || "an error holds the number asked for".to_owned());
        }
    }
    // Afterwards all is as before.
    for example in found_before {
        let still = found(example).await;
        finding.expect(still, || format!("afterwards a {} no longer finds its record", short(example.key.kind)));
    }
    vec![finding]
}

/// A number as it may be told: what was made up here, and of those made from a known one only the tail.
fn shown(number: &str) -> String {
    let tail: String = number.chars().skip_while(char::is_ascii_digit).take(20).collect();
    if number.len() > 40 { format!("{} bytes", number.len()) } else { format!("digits and {tail:?}") }
}
