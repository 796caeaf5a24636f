//! Which code of a list each of a register's own codes stands for, where something says so.

use std::collections::BTreeMap;

use normalize::{code_list, code_schemes, fold_name, label_key};

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

/// Reads the codes a column has: by their labels, those without a label by themselves, or not at all. A label nothing is
/// known of is no reason to take the code for the list's own: it may be the number of a row.
pub(super) fn read(codes: &BTreeMap<String, String>, list_name: &str, own: Option<&List>) -> Reading {
    let mut reading = Reading::default();
    for (code, label) in codes {
        let found = if label.is_empty() { by_code(code, list_name, own) } else { by_label(label, list_name, own) };
        match found {
            Some(canonical) => reading.known.insert(code.clone(), canonical),
            None => reading.unknown.insert(code.clone(), label.clone()),
        };
    }
    reading
}

/// The canonical code that is written so, or that bears this name.
fn by_code(code: &str, list_name: &str, own: Option<&List>) -> Option<String> {
    let canonical = match own {
        Some(list) => list.keys().find(|known| known.eq_ignore_ascii_case(code)).cloned(),
        None => code_list(list_name)?.by_code(code).map(|entry| entry.code.to_owned()),
    };
    canonical.or_else(|| by_label(code, list_name, own))
}

/// The canonical code that bears a name: the whole of it, beside words that only say what kind of thing it is.
fn by_label(label: &str, list_name: &str, own: Option<&List>) -> Option<String> {
    let bare = without_kind(label);
    let mut names = [Some(label), bare.as_deref()].into_iter().flatten();
    names.find_map(|name| match own {
        Some(list) => in_own(name, list_name, list),
        None => shared(name, list_name),
    })
}

/// A register's own list spells its codes in its own way; the shared list knows more names for what they mean.
fn in_own(label: &str, list_name: &str, list: &List) -> Option<String> {
    let named =
        |code: &str, known: &str| code.eq_ignore_ascii_case(label) || names(known).any(|name| same(label, name));
    let mut exact = list.iter().filter(|(code, known)| named(code, known));
    if let Some((code, _)) = exact.next() {
        return Some(code.clone()).filter(|_| exact.next().is_none());
    }
    // One meaning in the shared list is one meaning here: its number may be another's.
    let shared_name = shared_with(list_name, list)?;
    let meant = shared(label, shared_name)?;
    let mut alike = list.iter().filter(|(_, known)| shared(known, shared_name).as_ref() == Some(&meant));
    alike.next().map(|(code, _)| code.clone()).filter(|_| alike.next().is_none())
}

/// The shared list of that name, or the one that has a name for whatever the register's own list has.
fn shared_with<'n>(list_name: &'n str, list: &List) -> Option<&'n str> {
    let names_all = |scheme: &&str| !list.is_empty() && list.values().all(|label| shared(label, scheme).is_some());
    if code_list(list_name).is_some() { Some(list_name) } else { code_schemes().find(names_all) }
}

/// A label, and each of the two words of "Vợ hoặc chồng".
fn names(label: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = label.split_whitespace().collect();
    let either = match words[..] {
        [one, "hoặc" | "hay" | "or", other] => [Some(one), Some(other)],
        _ => [None, None],
    };
    std::iter::once(label).chain(either.into_iter().flatten())
}

/// Whether two labels are one name. Marks tell names apart, unless one was written without any.
fn same(label: &str, known: &str) -> bool {
    label_key(label) == label_key(known) || label.is_ascii() && label_key(label) == fold_name(&label_key(known))
}

/// A label without the words that say what kind of thing it names; nothing when it has none.
fn without_kind(label: &str) -> Option<String> {
    const BEFORE: [&str; 6] = ["giới tính", "tôn giáo", "nhóm máu", "dân tộc", "người", "quốc tịch"];
    const AFTER: [&str; 1] = ["giới"];
    let lower = label.trim().to_lowercase();
    let start = BEFORE.iter().find_map(|kind| lower.strip_prefix(kind)?.strip_prefix(' '));
    let bare = start.or_else(|| AFTER.iter().find_map(|kind| lower.strip_suffix(kind)?.strip_suffix(' ')))?;
    Some(bare.trim().to_owned()).filter(|bare| !bare.is_empty())
}

/// The code of the list all sectors share that bears a name, also the English one.
fn shared(label: &str, list_name: &str) -> Option<String> {
    let list = code_list(list_name)?;
    let english = || list.entries().iter().find(|entry| entry.label_en.eq_ignore_ascii_case(label.trim()));
    list.by_name(label).ok().or_else(english).map(|entry| entry.code.to_owned())
}

/// Codes that mean one thing in a register's own list and another in the shared list of that name: code, own meaning,
/// shared meaning.
pub(super) fn disputed(list_name: &str, list: &List) -> Vec<(String, String, String)> {
    let Some(everywhere) = code_list(list_name) else { return Vec::new() };
    let disputed = list.iter().filter_map(|(code, label)| {
        let entry = everywhere.by_code(code)?;
        let meant = shared(label, list_name)?;
        (meant != entry.code).then(|| (code.clone(), label.clone(), entry.label_vi.to_owned()))
    });
    disputed.collect()
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

    fn list(entries: &[(&str, &str)]) -> List {
        entries.iter().map(|(code, label)| ((*code).to_owned(), (*label).to_owned())).collect()
    }

    /// What each label is taken for in a list of a register's own.
    fn taken(list_name: &str, own: &List, labels: &[&str]) -> Vec<Option<String>> {
        labels.iter().map(|label| by_label(label, list_name, Some(own))).collect()
    }

    #[test]
    fn a_word_that_turns_a_meaning_is_never_dropped() {
        let marital = list(&[
            ("UNKNOWN", "Chưa rõ"),
            ("SINGLE", "Chưa kết hôn"),
            ("MARRIED", "Đang có vợ hoặc chồng"),
            ("DIVORCED", "Đã ly hôn"),
            ("WIDOWED", "Góa"),
        ]);
        let labels = ["Kết hôn", "Chưa ly hôn", "Không góa", "rõ", "Không có vợ"];
        assert_eq!(taken("marital_status", &marital, &labels), [None, None, None, None, None]);
        let words = ["Độc thân", "Đã kết hôn", "Có chồng", "Ly hôn", "Góa chồng", "chưa kết hôn", "DOC THAN"];
        let expected = ["SINGLE", "MARRIED", "MARRIED", "DIVORCED", "WIDOWED", "SINGLE", "SINGLE"];
        assert_eq!(taken("marital_status", &marital, &words), expected.map(|code| Some(code.to_owned())));

        let relation = list(&[("SPOUSE", "Vợ hoặc chồng"), ("CHILD", "Con"), ("PARENT", "Cha hoặc mẹ"), ("X", "Khác")]);
        let in_law = ["Con dâu", "Con rể", "Vợ hoặc chồng cũ", "Vợ cũ", "Cha vợ", "Không khác", "Má"];
        assert_eq!(taken("household_relation", &relation, &in_law), [const { None }; 7]);
        let near = ["Vợ", "chồng", "Con", "Mẹ", "Cha hoặc mẹ"];
        let expected = ["SPOUSE", "SPOUSE", "CHILD", "PARENT", "PARENT"];
        assert_eq!(taken("household_relation", &relation, &near), expected.map(|code| Some(code.to_owned())));

        let blood = list(&[("01", "Nhóm máu A"), ("04", "Nhóm máu O")]);
        assert_eq!(taken("blood_type", &blood, &["O-", "O+", "A Rh-"]), [None, None, None]);
        assert_eq!(by_label("O-", "blood_type", None), None);
        assert_eq!(taken("blood_type", &blood, &["O", "nhóm máu A"]), ["04", "01"].map(|code| Some(code.to_owned())));
        assert_eq!(by_label("Nam giới", "gender", None).as_deref(), Some("M"));
    }

    #[test]
    fn a_list_of_another_name_knows_the_words_for_what_it_lists() {
        let kinds = list(&[
            ("COMPULSORY", "Bảo hiểm xã hội bắt buộc"),
            ("HEALTH", "Bảo hiểm y tế"),
            ("UNEMPLOYMENT", "Bảo hiểm thất nghiệp"),
            ("VOLUNTARY", "Bảo hiểm xã hội tự nguyện"),
        ]);
        let labels = ["BHXH bắt buộc", "BHYT", "BHTN", "Bảo hiểm xã hội"];
        let expected = [Some("COMPULSORY"), Some("HEALTH"), Some("UNEMPLOYMENT"), None];
        assert_eq!(taken("insurance_kind", &kinds, &labels), expected.map(|code| code.map(str::to_owned)));
    }

    #[test]
    fn a_number_two_lists_give_two_meanings_is_taken_by_its_meaning() {
        let religion = list(&[("01", "Công giáo"), ("99", "Không theo tôn giáo")]);
        let labels = ["Khác", "Không", "Không tôn giáo", "Thiên Chúa giáo", "Tôn giáo Khác"];
        let expected = [None, Some("99"), Some("99"), Some("01"), None].map(|code| code.map(str::to_owned));
        assert_eq!(taken("religion", &religion, &labels), expected);
        let expected = ("01".to_owned(), "Công giáo".to_owned(), "Phật giáo".to_owned());
        assert_eq!(disputed("religion", &religion), [expected]);
        assert_eq!(disputed("religion", &list(&[("01", "Phật giáo"), ("99", "Không theo tôn giáo")])), []);
    }

    #[test]
    fn a_label_nothing_is_known_of_says_that_the_code_is_no_code_of_the_list() {
        let rows = list(&[("01", "Black"), ("02", "Asian"), ("03", "Thái")]);
        let reading = read(&rows, "ethnicity", None);
        assert_eq!(reading.known, list(&[("03", "03")]));
        assert_eq!(reading.unknown.len(), 2);
    }
}
