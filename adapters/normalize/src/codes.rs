//! Code lists: canonical codes, their labels, and the other names they go by.
//!
//! A list is a file in `data/codes`. What a particular register writes for a code ("1" for male, elsewhere "0" for
//! female) is not here but in that register's mapping.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::text::{clean, token};
use crate::{Conversion, Converted, Defect, Note, fold_name, marked_key};

/// A value of a code list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedValue {
    /// The list ("ethnicity").
    pub scheme: Cow<'static, str>,
    /// The edition of the list.
    pub version: Cow<'static, str>,
    /// The canonical code.
    pub code: Cow<'static, str>,
    /// The Vietnamese label.
    pub label: Cow<'static, str>,
}

/// One entry of a code list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeEntry {
    /// Canonical code.
    pub code: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
    /// Other names and spellings.
    pub aliases: Vec<&'static str>,
}

/// A code list.
#[derive(Debug)]
pub struct CodeList {
    scheme: &'static str,
    version: &'static str,
    entries: Vec<CodeEntry>,
    codes: HashMap<&'static str, usize>,
    /// Entries by name with marks, then by name without.
    marked: Names,
    folded: Names,
}

/// The entries that bear a name, as indexes.
type Names = HashMap<String, Vec<usize>>;

impl CodeList {
    fn new(scheme: &'static str, version: &'static str, csv: &'static str) -> CodeList {
        let entries: Vec<CodeEntry> = csv.lines().skip(1).filter_map(parse).collect();
        let (mut marked, mut folded) = (Names::new(), Names::new());
        for (index, entry) in entries.iter().enumerate() {
            for name in entry.aliases.iter().chain([&entry.label_vi]) {
                for (names, key) in [(&mut marked, marked_key(&spaced(name))), (&mut folded, fold_name(&spaced(name)))]
                {
                    let bearers = names.entry(key).or_default();
                    if !bearers.contains(&index) {
                        bearers.push(index);
                    }
                }
            }
        }
        let codes = entries.iter().enumerate().map(|(index, entry)| (entry.code, index)).collect();
        CodeList { scheme, version, entries, codes, marked, folded }
    }

    /// The name of the list.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The edition of the list.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// All entries, in the order of the file.
    pub fn entries(&self) -> &[CodeEntry] {
        &self.entries
    }

    /// The entry with exactly this code.
    pub fn by_code(&self, code: &str) -> Option<&CodeEntry> {
        self.codes.get(code).and_then(|&index| self.entries.get(index))
    }

    /// The entry that alone bears this whole name, in any case; hyphens and spaces count the same.
    ///
    /// Marks count where they tell entries apart; a name without marks is accepted where that leaves one entry.
    pub fn by_name(&self, name: &str) -> Result<&CodeEntry, Defect> {
        let spaced = spaced(name);
        let bearers = self.marked.get(&marked_key(&spaced)).or_else(|| {
            // Other marks are another name: "Thô" is not "Thổ".
            spaced.is_ascii().then(|| self.folded.get(&fold_name(&spaced))).flatten()
        });
        match bearers.map(Vec::as_slice) {
            Some(&[only]) => self.entries.get(only).ok_or(Defect::UnknownCode),
            Some(_) => Err(Defect::AmbiguousName),
            None => Err(Defect::UnknownCode),
        }
    }

    /// The entry as a value.
    pub fn coded(&self, entry: &CodeEntry) -> CodedValue {
        CodedValue {
            scheme: self.scheme.into(),
            version: self.version.into(),
            code: entry.code.into(),
            label: entry.label_vi.into(),
        }
    }

    /// Reads a code of this list, or a name (noted `code_by_name`).
    ///
    /// A code of two digits may have lost its leading zero. A subgroup in brackets after a name, as civil status writes
    /// peoples, and a Rhesus factor after a blood group are dropped and noted `detail_dropped`.
    pub fn convert(&self, input: &str) -> Conversion<CodedValue> {
        let Converted { value: written, mut notes } = clean(input);
        if written.is_empty() {
            return Err(Defect::Empty);
        }
        if let Some(entry) = self.by_code(&written) {
            return Ok(Converted { value: self.coded(entry), notes });
        }
        let digit = written.len() == 1 && written.starts_with(|letter: char| letter.is_ascii_digit());
        if let Some(entry) = digit.then(|| self.by_code(&format!("0{written}"))).flatten() {
            notes.insert(Note::LeadingZeroRestored);
            return Ok(Converted { value: self.coded(entry), notes });
        }
        let without_subgroup = written.split_once('(').map(|(name, _)| name.trim_end());
        let without_detail = if self.scheme == BLOOD_GROUPS { without_rhesus(&written) } else { without_subgroup };
        let entry = match (self.by_name(&written), without_detail) {
            (Err(Defect::UnknownCode), Some(name)) => {
                notes.insert(Note::DetailDropped);
                self.by_name(name)
            }
            (found, _) => found,
        };
        // A filler that is the name of an entry ("Không" among religions) is that entry.
        let entry = entry.map_err(|defect| token(input).err().unwrap_or(defect))?;
        notes.insert(Note::CodeByName);
        Ok(Converted { value: self.coded(entry), notes })
    }
}

/// The list whose names may be followed by a Rhesus factor.
const BLOOD_GROUPS: &str = "blood_type";

/// A blood group without its Rhesus factor: `A+`, `AB -`, `O Rh(D)+`, `B Rh dương tính`. Nothing when none is written.
fn without_rhesus(written: &str) -> Option<&str> {
    const SIGNS: [char; 4] = ['+', '-', '–', '−'];
    let factor = ["Rh", "RH", "rh"].iter().find_map(|factor| written.find(factor));
    let at = factor.or_else(|| written.find(|letter| SIGNS.contains(&letter) || letter == '('))?;
    let group = written.get(..at)?.trim_end_matches([' ', '(']);
    Some(group).filter(|group| !group.is_empty())
}

/// The form in which names of code lists are compared, marks and all: any case, and spaces for the punctuation within a
/// name that varies by source (Gia-rai, Gia Rai). A sign at either end is no such punctuation: "O-" is not "O".
pub fn label_key(name: &str) -> String {
    marked_key(&spaced(name))
}

fn spaced(name: &str) -> String {
    let mut letters = name.chars().peekable();
    let mut spaced = String::with_capacity(name.len());
    let mut within = false;
    while let Some(letter) = letters.next() {
        let dash = matches!(letter, '-' | '–');
        let between = within && letters.peek().is_some_and(|next| next.is_alphanumeric() || *next == ' ');
        let punctuation = matches!(letter, '/' | ';' | '.' | '_') || dash && between;
        spaced.push(if punctuation { ' ' } else { letter });
        within |= letter.is_alphanumeric();
    }
    spaced
}

/// One line: `code,label_vi,label_en,aliases`; no field holds a comma or quote.
fn parse(line: &'static str) -> Option<CodeEntry> {
    let mut fields = line.split(',');
    Some(CodeEntry {
        code: fields.next()?,
        label_vi: fields.next()?,
        label_en: fields.next()?,
        aliases: fields.next()?.split('|').filter(|alias| !alias.is_empty()).collect(),
    })
}

macro_rules! lists {
    ($($scheme:literal $version:literal;)+) => {
        /// Name, edition and file of every list.
        const FILES: &[(&str, &str, &str)] =
            &[$(($scheme, $version, include_str!(concat!("../data/codes/", $scheme, ".csv"))),)+];
    };
}

lists! {
    "active_status" "1";
    "blood_type" "1";
    "budget_level" "1";
    "budget_unit_kind" "1";
    "enterprise_status" "ND168-2025";
    "enterprise_type" "LDN-2020";
    "ethnicity" "QD1019-2008";
    "gender" "1";
    "health_object_group" "1";
    "identity_document" "1";
    "insurance_type" "1";
    "marital_status" "1";
    "nationality" "ISO3166-1";
    "religion" "1";
    "residence_kind" "1";
}

static LISTS: LazyLock<Vec<CodeList>> =
    LazyLock::new(|| FILES.iter().map(|&(scheme, version, csv)| CodeList::new(scheme, version, csv)).collect());

/// The list of that name.
pub fn code_list(scheme: &str) -> Option<&'static CodeList> {
    LISTS.iter().find(|list| list.scheme == scheme)
}

/// The names of all lists.
pub fn code_schemes() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|&(scheme, ..)| scheme)
}

/// Sex as the registers record it: the codes of the list `gender`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gender {
    /// `M`.
    Male,
    /// `F`.
    Female,
    /// `X`: recorded as undetermined or other.
    Undetermined,
    /// `U`: not known.
    Unknown,
}

impl Gender {
    /// The canonical code.
    pub const fn code(self) -> &'static str {
        match self {
            Gender::Male => "M",
            Gender::Female => "F",
            Gender::Undetermined => "X",
            Gender::Unknown => "U",
        }
    }

    /// From the canonical code.
    pub fn from_code(code: &str) -> Option<Gender> {
        [Gender::Male, Gender::Female, Gender::Undetermined, Gender::Unknown]
            .into_iter()
            .find(|gender| gender.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(scheme: &str, input: &str) -> Result<String, Defect> {
        code_list(scheme).unwrap().convert(input).map(|converted| converted.value.code.into_owned())
    }

    #[test]
    fn every_line_of_every_list_is_read() {
        for &(scheme, _, csv) in FILES {
            assert!(csv.lines().skip(1).all(|line| line.split(',').count() == 4 && !line.contains('"')), "{scheme}");
            let entries = code_list(scheme).unwrap().entries();
            assert_eq!(entries.len(), csv.lines().count() - 1, "{scheme}");
            assert!(
                entries
                    .iter()
                    .all(|entry| !entry.code.is_empty() && !entry.label_vi.is_empty() && !entry.label_en.is_empty())
            );
        }
        assert_eq!(code_list("ethnicity").unwrap().entries().len(), 56);
        assert_eq!(code_list("enterprise_status").unwrap().entries().len(), 7);
        assert!(code_list("nationality").unwrap().entries().len() >= 60);
        assert!(code_list("colour").is_none());
    }

    #[test]
    fn every_code_and_label_finds_its_entry() {
        for scheme in code_schemes() {
            let list = code_list(scheme).unwrap();
            for entry in list.entries() {
                assert!(list.convert(entry.code).unwrap().notes.is_empty());
                assert_eq!(list.by_code(entry.code), Some(entry), "{scheme} {}", entry.code);
                for name in entry.aliases.iter().chain([&entry.label_vi]) {
                    assert_eq!(list.by_name(name), Ok(entry), "{scheme} {name}");
                }
            }
        }
    }

    #[test]
    fn peoples_go_by_many_spellings() {
        for (written, expected) in [
            ("Jrai", "10"),
            ("Gia Rai", "10"),
            ("GIA-RAI", "10"),
            ("gia rai", "10"),
            ("Bahnar", "13"),
            ("Ba-na", "13"),
            ("Ê Đê", "12"),
            ("10", "10"),
            ("1", "01"),
            ("Kháng", "33"),
            ("Hán", "04"),
            ("Xơ-Đăng (Ca Dong)", "14"),
            ("Thai", "03"),
        ] {
            assert_eq!(code("ethnicity", written).as_deref(), Ok(expected), "{written}");
        }
        let with_subgroup = code_list("ethnicity").unwrap().convert("Ba na (Rơ Ngao)").unwrap();
        assert_eq!(with_subgroup.notes, [Note::DetailDropped, Note::CodeByName].into_iter().collect());
        // Substrings and other marks are other words.
        for unknown in ["Khán", "Kinh doanh", "Gia", "Thô", "57"] {
            assert_eq!(code("ethnicity", unknown), Err(Defect::UnknownCode), "{unknown}");
        }
    }

    #[test]
    fn a_rhesus_factor_is_lost_with_a_mark_and_never_in_silence() {
        for (written, expected) in [
            ("A+", "01"),
            ("A-", "01"),
            ("B -", "02"),
            ("AB–", "03"),
            ("O +", "04"),
            ("O−", "04"),
            ("o(-)", "04"),
            ("A Rh+", "01"),
            ("AB RhD-", "03"),
            ("B Rh(D) âm tính", "02"),
            ("Nhóm máu O (Rh-)", "04"),
            ("Nhóm máu O Rh-", "04"),
        ] {
            let converted = code_list("blood_type").unwrap().convert(written).unwrap();
            assert_eq!(converted.value.code, expected, "{written}");
            assert_eq!(converted.notes, [Note::DetailDropped, Note::CodeByName].into_iter().collect(), "{written}");
        }
        for unknown in ["-", "Rh-", "C+", "A B-"] {
            assert!(code("blood_type", unknown).is_err(), "{unknown}");
        }
        // Elsewhere a sign at the end is another name.
        for (scheme, written) in [("ethnicity", "Kinh-"), ("gender", "-Nam"), ("religion", "Công giáo –")] {
            assert_eq!(code(scheme, written), Err(Defect::UnknownCode), "{written}");
        }
    }

    #[test]
    fn names_shared_by_entries_are_not_decided() {
        let list = CodeList::new(
            "test",
            "1",
            "code,label_vi,label_en,aliases\n1,Thủy,a,\n2,Thúy,b,\n3,Hòa,c,chung\n4,Loan,d,chung",
        );
        assert_eq!(list.by_name("Thúy").unwrap().code, "2");
        assert_eq!(list.by_name("thuỷ").unwrap().code, "1");
        assert_eq!(list.by_name("Thuy"), Err(Defect::AmbiguousName));
        assert_eq!(list.by_name("Chung"), Err(Defect::AmbiguousName));
    }

    #[test]
    fn viet_nam_and_fillers() {
        for spelling in ["VN", "Việt Nam", "VIỆT NAM", "Viet Nam", "Vietnam", "CHXHCN Việt Nam", "VNM"] {
            assert_eq!(code("nationality", spelling).as_deref(), Ok("VN"), "{spelling}");
        }
        assert_eq!(code("nationality", "Mỹ").as_deref(), Ok("US"));
        assert_eq!(code("nationality", "không"), Err(Defect::Placeholder));
        assert_eq!(code("religion", "Không").as_deref(), Ok("99"));
        assert_eq!(code("gender", ""), Err(Defect::Empty));
        assert_eq!(code("gender", "Nữ").as_deref(), Ok("F"));
    }

    #[test]
    fn genders_match_their_list() {
        for entry in code_list("gender").unwrap().entries() {
            assert_eq!(Gender::from_code(entry.code).unwrap().code(), entry.code);
        }
        assert_eq!(Gender::from_code("1"), None);
    }
}
