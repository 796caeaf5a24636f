//! Names of tables and columns as meanings: split into words, folded, and compared by what the words stand for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use normalize::fold_name;

/// Names that mean the same, one meaning per line.
const VOCABULARY: &str = include_str!("vocabulary.txt");
/// The longest name of the vocabulary, in words.
const PHRASE_WORDS_MAX: usize = 8;
/// A word no vocabulary knows may be several written together; more parts than this are chance.
const PARTS_MAX: usize = 5;
/// Words that say nothing.
const SILENT: [&str; 24] = [
    "field", "value", "cua", "va", "the", "of", "and", "an", "a", "or", "hoac", "cac", "duoc", "theo", "on", "at",
    "by", "is", "id", "tbl", "nhu", "trong", "this", "la",
];
/// What a weak meaning counts, beside 1 for the others.
const WEAK: f64 = 0.35;
/// What a word of the record type's own name counts in the name of one of its fields.
const CONTEXT: f64 = 0.25;

/// A meaning: a line of the vocabulary by its first name, or a word nothing is known of.
pub(super) type Meaning = String;

/// The meanings of one name: per place all that may be meant there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meanings(pub(super) Vec<Vec<Meaning>>);

impl Meanings {
    /// Whether some place may mean this.
    pub(super) fn mean(&self, meaning: &str) -> bool {
        self.0.iter().flatten().any(|known| known == meaning)
    }

    /// The same without places that may mean one of these.
    pub(super) fn without(&self, meanings: &[&str]) -> Self {
        let keep = |place: &&Vec<Meaning>| !place.iter().any(|meaning| meanings.contains(&meaning.as_str()));
        Self(self.0.iter().filter(keep).cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn with(mut self, other: Self) -> Self {
        for place in other.0 {
            if !self.0.contains(&place) {
                self.0.push(place);
            }
        }
        self
    }
}

struct Vocabulary {
    /// Name, as words, to meanings.
    phrases: HashMap<Vec<String>, Vec<Meaning>>,
    words: HashSet<String>,
    weak: HashSet<String>,
    /// Names that mean something only where they are a column's whole name.
    alone: HashMap<Vec<String>, Vec<Meaning>>,
}

static KNOWN: LazyLock<Vocabulary> = LazyLock::new(|| {
    let (mut phrases, mut alone) = (HashMap::<Vec<String>, Vec<Meaning>>::new(), HashMap::new());
    let mut weak = HashSet::new();
    let mut words: HashSet<String> = SILENT.iter().map(|&word| word.to_owned()).collect();
    for line in VOCABULARY.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let names = line.trim_start_matches(['~', '=']).split('|').map(str::trim);
        let meaning = names.clone().next().unwrap_or_default().to_owned();
        if line.starts_with('~') {
            weak.insert(meaning.clone());
        }
        let whole = line.starts_with('=');
        for name in names.skip(usize::from(whole)) {
            let spelled: Vec<String> = name.split_whitespace().map(str::to_owned).collect();
            words.extend(spelled.iter().cloned());
            let meanings = if whole { &mut alone } else { &mut phrases }.entry(spelled).or_default();
            if !meanings.contains(&meaning) {
                meanings.push(meaning.clone());
            }
        }
    }
    Vocabulary { phrases, words, weak, alone }
});

/// What a name means only because it is the whole name.
pub(super) fn alone(words: &[String]) -> &'static [Meaning] {
    KNOWN.alone.get(words).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a word stands in the vocabulary.
pub(super) fn is_known(word: &str) -> bool {
    KNOWN.words.contains(word)
}

/// The meanings of a name or label.
pub(super) fn meanings(name: &str) -> Meanings {
    of_words(&words(name))
}

/// The meanings of words in order: the longest known names first, then single words.
pub(super) fn of_words(words: &[String]) -> Meanings {
    let known = &*KNOWN;
    let words: Vec<String> = words.iter().flat_map(|word| parts(word)).collect();
    let mut places = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let longest = (1..=PHRASE_WORDS_MAX.min(words.len() - at))
            .rev()
            .find_map(|length| known.phrases.get(&words[at..at + length]).map(|meanings| (length, meanings)));
        match longest {
            Some((length, meanings)) => {
                places.push(meanings.clone());
                at += length;
            }
            None => {
                let word = &words[at];
                if !SILENT.contains(&word.as_str()) && !word.bytes().all(|byte| byte.is_ascii_digit()) {
                    places.push(vec![word.clone()]);
                }
                at += 1;
            }
        }
    }
    let mut meanings = Meanings::default();
    for place in places {
        meanings = meanings.with(Meanings(vec![place]));
    }
    meanings
}

/// The words of a name: at capitals, digits and signs, in small letters without marks.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied();
        let after = letters.get(at + 1).copied();
        let starts = before.is_some_and(|before| {
            before.is_lowercase() && letter.is_uppercase()
                || before.is_uppercase() && letter.is_uppercase() && after.is_some_and(char::is_lowercase)
                || before.is_ascii_digit() != letter.is_ascii_digit()
        });
        if starts || !letter.is_alphanumeric() && !is_mark(letter) {
            close(&mut word, &mut words);
        }
        if letter.is_alphanumeric() || is_mark(letter) {
            word.push(letter);
        }
    }
    close(&mut word, &mut words);
    words
}

/// A mark that stands beside its letter.
const fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

fn close(word: &mut String, words: &mut Vec<String>) {
    let folded = fold_name(word).to_lowercase();
    word.clear();
    if !folded.is_empty() {
        words.push(folded);
    }
}

/// A word as it is, or the known words it is made of ("hovaten").
pub(super) fn parts(word: &str) -> Vec<String> {
    let known = &*KNOWN;
    if word.len() < 4 || known.words.contains(word) || !word.is_ascii() {
        return vec![word.to_owned()];
    }
    // For every end the fewest parts that reach it, and of these the ones whose shortest is longest.
    let worth = |parts: &[&str]| (parts.len(), Reverse(parts.iter().map(|part| part.len()).min()));
    let mut best: Vec<Option<Vec<&str>>> = vec![None; word.len() + 1];
    best[0] = Some(Vec::new());
    for end in 2..=word.len() {
        for start in 0..end - 1 {
            let Some(before) = best[start].as_ref().filter(|before| before.len() < PARTS_MAX) else { continue };
            let part = &word[start..end];
            if !known.words.contains(part) {
                continue;
            }
            let parts = [before.as_slice(), &[part]].concat();
            if best[end].as_ref().is_none_or(|found| worth(&parts) < worth(found)) {
                best[end] = Some(parts);
            }
        }
    }
    match best.pop().flatten() {
        Some(found) if found.len() == 2 || found.len() * 12 <= word.len() * 5 + 5 => {
            found.into_iter().map(str::to_owned).collect()
        }
        _ => vec![word.to_owned()],
    }
}

/// How much each meaning tells among the fields of one record type.
#[derive(Debug, Default)]
pub(super) struct Weights {
    fields: f64,
    /// In how many fields a meaning stands.
    counts: BTreeMap<Meaning, f64>,
    context: HashSet<Meaning>,
}

impl Weights {
    /// Weights for names of these fields, within a record type called so.
    pub(super) fn new<'m>(fields: impl Iterator<Item = HashSet<&'m str>>, context: &Meanings) -> Self {
        let mut weights = Self { context: context.0.iter().flatten().cloned().collect(), ..Self::default() };
        for field in fields {
            weights.fields += 1.0;
            for meaning in field {
                *weights.counts.entry(meaning.to_owned()).or_default() += 1.0;
            }
        }
        weights
    }

    fn of(&self, meaning: &str) -> f64 {
        let count = self.counts.get(meaning).copied().unwrap_or(1.0);
        let rare = 0.4 + 0.6 * (1.0 + self.fields / count).ln() / (2.0 + self.fields).ln();
        let sort = if KNOWN.weak.contains(meaning) { WEAK } else { 1.0 };
        let context = if self.context.contains(meaning) { CONTEXT } else { 1.0 };
        rare * sort * context
    }

    fn of_place(&self, place: &[Meaning]) -> f64 {
        place.iter().map(|meaning| self.of(meaning)).fold(0.0, f64::max)
    }

    /// How alike two names are, from 0 to 1. Names that share weak meanings only stay below one half.
    pub(super) fn alike(&self, column: &Meanings, field: &Meanings) -> f64 {
        let (mut shared, mut strong) = (0.0, false);
        let mut left: Vec<&Vec<Meaning>> = field.0.iter().collect();
        for place in &column.0 {
            let found = left.iter().position(|other| place.iter().any(|meaning| other.contains(meaning)));
            let Some(found) = found else { continue };
            let other = left.swap_remove(found);
            let common: Vec<_> = place.iter().filter(|meaning| other.contains(meaning)).cloned().collect();
            shared += self.of_place(&common);
            strong |= common.iter().any(|meaning| !KNOWN.weak.contains(meaning));
        }
        let all = |name: &Meanings| name.0.iter().map(|place| self.of_place(place)).sum::<f64>();
        let whole = all(column) + all(field);
        let alike = if whole > 0.0 { (2.0 * shared / whole).min(1.0) } else { 0.0 };
        if strong { alike } else { alike * 0.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(name: &str) -> Vec<String> {
        meanings(name).0.into_iter().map(|place| place.join("/")).collect()
    }

    #[test]
    fn names_of_any_fashion_mean_the_same() {
        for name in ["ho_ten", "HoVaTen", "HOTEN", "hovaten", "Họ và tên", "full_name", "fullName", "FULLNAME"] {
            assert_eq!(first(name), ["full name"], "{name}");
        }
        for name in ["so_dinh_danh", "SoCCCD", "SO_CCCD", "citizen_id", "MaDinhDanh", "Số định danh cá nhân", "soddcn"]
        {
            assert_eq!(first(name), ["personal id"], "{name}");
        }
        for name in ["ngay_sinh", "NGAYSINH", "dob", "DateOfBirth", "Ngày, tháng, năm sinh"] {
            assert_eq!(first(name)[0], "birth date", "{name}");
        }
    }

    #[test]
    fn words_split_where_people_see_them() {
        assert_eq!(words("SoCMNDCu2"), ["so", "cmnd", "cu", "2"]);
        assert_eq!(words("DM_GIOI_TINH"), ["dm", "gioi", "tinh"]);
        assert_eq!(words("Đường phố"), ["duong", "pho"]);
        assert_eq!(parts("category"), ["category"]);
        assert_eq!(parts("tendoanhnghiep"), ["ten", "doanh", "nghiep"]);
        assert_eq!(parts("thangsinh"), ["thang", "sinh"]);
    }

    #[test]
    fn what_is_rarer_counts_more() {
        let fields = ["ho ten", "ho ten cha", "ho ten me", "ngay sinh"].map(meanings);
        let sets = fields.iter().map(|field| field.0.iter().flatten().map(String::as_str).collect());
        let weights = Weights::new(sets, &Meanings::default());
        let alike = |column: &str, field: usize| weights.alike(&meanings(column), &fields[field]);
        assert!(alike("HoTenCha", 1) > 0.99 && alike("hoten", 0) > 0.99);
        assert!(alike("cha_ho_ten", 1) > alike("cha_ho_ten", 0) && alike("cha_ho_ten", 0) > alike("cha_ho_ten", 3));
        assert!(alike("so", 0) < 0.01);
    }
}
