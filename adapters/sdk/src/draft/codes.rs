//! Which code of a list each of a register's own codes stands for, where something says so.

use std::collections::BTreeMap;

use normalize::{code_list, fold_name};

/// Canonical codes with their labels.
pub(super) type List = BTreeMap<String, String>;

/// What a register's codes mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The register's code to the canonical one.
    pub(super) known: BTreeMap<String, String>,
    /// Codes nothing says the meaning of, with their label where there is one.
    pub(super) unknown: BTreeMap<String, String>,
}

/// The codes a comment explains: "1 nam, 2 nữ", "1: Nam; 2: Nữ", "M=Male/F=Female".
pub(super) fn explained(comment: &str) -> BTreeMap<String, String> {
    let mut best = BTreeMap::new();
    for separators in [&[';', '\n', '|'][..], &[',', ';', '\n', '|'], &[',', ';', '/', '\n', '|']] {
        let pairs: BTreeMap<_, _> = comment.split(separators).filter_map(pair).collect();
        if pairs.len() > best.len() {
            best = pairs;
        }
    }
    if best.len() >= 2 { best } else { BTreeMap::new() }
}

/// A code, a sign or space, and its label; before the first code a comment may say what the column is.
fn pair(part: &str) -> Option<(String, String)> {
    let part = part
        .rsplit_once(": ")
        .filter(|(head, tail)| !is_code(head.trim()) && pair(tail).is_some())
        .map_or(part, |(_, tail)| tail);
    let part = part.rsplit_once('(').map_or(part, |(head, tail)| {
        if tail.contains(['=', ':', '-']) || head.trim().is_empty() { tail } else { part }
    });
    let part = part.trim().trim_matches(['"', '\'', '.', ')', '(']).trim();
    let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(part.len());
    let (code, rest) = part.split_at(end);
    let label = rest.trim_start_matches([' ', '=', ':', '-', '–', '.', '>', '"', '\'', ')']).trim();
    (is_code(code) && !label.is_empty()).then(|| (code.to_owned(), label.to_owned()))
}

/// Digits, or a few letters without the look of a word of a sentence.
fn is_code(text: &str) -> bool {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let letters = matches!(text.len(), 1..=6)
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    digits || letters
}

/// Reads the codes a column has: by themselves, by their labels, or not at all.
pub(super) fn read(codes: &BTreeMap<String, String>, list_name: &str, own: Option<&List>) -> Reading {
    let mut reading = Reading::default();
    for (code, label) in codes {
        let found = by_label(label, list_name, own).or_else(|| by_label(code, list_name, own));
        match found {
            Some(canonical) => reading.known.insert(code.clone(), canonical),
            None => reading.unknown.insert(code.clone(), label.clone()),
        };
    }
    reading
}

/// The canonical code that bears a name.
fn by_label(label: &str, list_name: &str, own: Option<&List>) -> Option<String> {
    if label.is_empty() {
        return None;
    }
    let folded = worded(label);
    match own {
        Some(list) => {
            let named = |code: &str, known: &str| worded(code) == folded || worded(known) == folded;
            let exact = list.iter().find(|(code, known)| named(code, known));
            // A label within another, where that leaves one: "nam" and "Nam giới".
            let within = || {
                let contains = |known: &str| {
                    let known = worded(known);
                    let words = |text: &str, part: &str| format!(" {text} ").contains(&format!(" {part} "));
                    words(&known, &folded) || words(&folded, &known)
                };
                let mut found = list.iter().filter(|(_, known)| folded.len() >= 3 && contains(known));
                found.next().filter(|_| found.next().is_none())
            };
            // The shared list knows more names; a register's own spells its codes in its own way.
            let shared = || {
                let known = shared(label, list_name)?;
                list.keys().find(|code| code.eq_ignore_ascii_case(&known)).cloned()
            };
            exact.map(|(code, _)| code.clone()).or_else(shared).or_else(|| within().map(|(code, _)| code.clone()))
        }
        None => shared(label, list_name),
    }
}

/// A label's words, without marks and signs.
fn worded(label: &str) -> String {
    let words = label.replace(|letter: char| !letter.is_alphanumeric(), " ");
    fold_name(&words).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same in a list all sectors share, also by the English label.
fn shared(label: &str, list_name: &str) -> Option<String> {
    let list = code_list(list_name)?;
    let english = || list.entries().iter().find(|entry| entry.label_en.eq_ignore_ascii_case(label.trim()));
    let named = list.by_name(label).ok().or_else(english);
    named.or_else(|| list.by_code(label)).map(|entry| entry.code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_explain_codes_in_many_forms() {
        let expected: BTreeMap<_, _> =
            [("1", "Nam"), ("2", "Nữ")].map(|(code, label)| (code.to_owned(), label.to_owned())).into();
        for comment in
            ["1: Nam; 2: Nữ", "Giới tính: 1 - Nam, 2 - Nữ", "Giới tính (1=Nam, 2=Nữ)", "1 Nam, 2 Nữ", "1.Nam/2.Nữ"]
        {
            assert_eq!(explained(comment), expected, "{comment}");
        }
        assert_eq!(explained("M=Male, F=Female").len(), 2);
        for plain in ["Ngày sinh, dạng dd/MM/yyyy", "Họ và tên", "Số định danh; trống: chưa cấp"] {
            assert_eq!(explained(plain), BTreeMap::new(), "{plain}");
        }
    }

    #[test]
    fn codes_are_read_by_label_and_never_by_guess() {
        let codes = [("0", "Nữ"), ("1", "Nam"), ("2", "Male"), ("9", "khác lạ"), ("F", "")]
            .map(|(code, label)| (code.to_owned(), label.to_owned()));
        let reading = read(&codes.into(), "gender", None);
        let known: Vec<_> = reading.known.iter().map(|(code, canonical)| (code.as_str(), canonical.as_str())).collect();
        assert_eq!(known, [("0", "F"), ("1", "M"), ("2", "M"), ("F", "F")]);
        assert_eq!(reading.unknown.keys().collect::<Vec<_>>(), ["9"]);
    }
}
