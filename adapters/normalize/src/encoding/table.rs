//! The letter tables, read once from `data/legacy_encodings.csv`.

use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) const CSV: &str = include_str!("../../data/legacy_encodings.csv");

/// How one Vietnamese letter is written in the legacy encodings.
pub(super) struct Letter {
    pub(super) letter: char,
    pub(super) tcvn3: u8,
    /// Whether the TCVN3 byte is the lower-case letter's.
    pub(super) borrows_lower_case: bool,
    pub(super) vni: Vec<u8>,
    pub(super) viqr: &'static str,
}

/// The tables by letter and by byte.
pub(super) struct Tables {
    pub(super) letters: Vec<Letter>,
    by_letter: HashMap<char, usize>,
    pub(super) tcvn3: [Option<char>; 256],
    pub(super) vni_single: [Option<char>; 256],
    vni_pairs: HashMap<[u8; 2], char>,
    viqr: HashMap<&'static str, char>,
}

impl Tables {
    pub(super) fn letter(&self, letter: char) -> Option<&Letter> {
        self.by_letter.get(&letter).and_then(|&index| self.letters.get(index))
    }

    /// The letter a base and its mark byte make. Capital bases are found with the mark of either case.
    pub(super) fn vni_pair(&self, base: u8, mark: u8) -> Option<char> {
        const CASE: u8 = 0x20;
        let found = self.vni_pairs.get(&[base, mark]).or_else(|| self.vni_pairs.get(&[base, mark ^ CASE]));
        found.copied()
    }

    pub(super) fn viqr(&self, spelling: &str) -> Option<char> {
        self.viqr.get(spelling).copied()
    }
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let letters: Vec<Letter> = CSV.lines().skip(1).filter_map(parse).collect();
    let mut tables = Tables {
        by_letter: letters.iter().enumerate().map(|(index, entry)| (entry.letter, index)).collect(),
        tcvn3: [None; 256],
        vni_single: [None; 256],
        vni_pairs: HashMap::new(),
        viqr: letters.iter().map(|entry| (entry.viqr, entry.letter)).collect(),
        letters: Vec::new(),
    };
    for entry in &letters {
        if !entry.borrows_lower_case {
            tables.tcvn3[usize::from(entry.tcvn3)] = Some(entry.letter);
        }
        match entry.vni[..] {
            [single] => tables.vni_single[usize::from(single)] = Some(entry.letter),
            [base, mark] => {
                tables.vni_pairs.insert([base, mark], entry.letter);
            }
            _ => {}
        }
    }
    tables.letters = letters;
    tables
});

/// One line: `char,codepoint,tcvn3_hex,vni_hex,viqr,note`; no field holds a comma or quote.
fn parse(line: &'static str) -> Option<Letter> {
    let mut fields = line.split(',');
    let letter = fields.next()?.chars().next()?;
    let tcvn3 = fields.nth(1)?;
    let vni = fields.next()?;
    let viqr = fields.next()?;
    let note = fields.next()?;
    Some(Letter {
        letter,
        tcvn3: u8::from_str_radix(tcvn3, 16).ok()?,
        borrows_lower_case: !note.is_empty(),
        vni: (0..vni.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(vni.get(at..at + 2)?, 16).ok())
            .collect::<Option<_>>()?,
        viqr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!(TABLES.letters.len(), CSV.lines().count() - 1);
        assert_eq!(TABLES.letters.len(), 134);
        assert!(TABLES.letters.iter().all(|entry| matches!(entry.vni.len(), 1 | 2)));
    }

    #[test]
    fn no_two_letters_share_a_code() {
        let own = TABLES.letters.iter().filter(|entry| !entry.borrows_lower_case).count();
        assert_eq!(TABLES.tcvn3.iter().flatten().count(), own);
        assert_eq!(TABLES.vni_pairs.len() + TABLES.vni_single.iter().flatten().count(), 134);
        assert_eq!(TABLES.viqr.len(), 134);
    }
}
