//! The keys of one log over time: a log keeps its origin when its key is replaced.

use std::fmt;
use std::ops::RangeInclusive;

use crate::key::{KeyError, SigningKey, VerifierKey};

/// The public keys by which the checkpoints of one log are known: a single [`VerifierKey`], whose name is the origin, or a
/// [`KeyHistory`].
pub trait LogKeys: fmt::Debug + Sync {
    /// First line of the log's checkpoints.
    fn origin(&self) -> &str;

    /// The keys whose signature on a checkpoint of this tree size counts.
    fn at(&self, tree_size: u64) -> Vec<&VerifierKey>;
}

impl LogKeys for VerifierKey {
    fn origin(&self) -> &str {
        self.name()
    }

    fn at(&self, _tree_size: u64) -> Vec<&VerifierKey> {
        vec![self]
    }
}

/// The keys of a log that had several, each with the tree sizes it signs for. While two overlap, a signature of either is
/// enough; a key that was retired, or stolen after that, signs nothing newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHistory {
    origin: String,
    keys: Vec<(VerifierKey, RangeInclusive<u64>)>,
}

impl KeyHistory {
    /// The keys of the log of an origin, which need not be their name, each with the tree sizes it signs for.
    pub fn new(origin: &str, keys: Vec<(VerifierKey, RangeInclusive<u64>)>) -> Self {
        Self { origin: origin.to_owned(), keys }
    }

    /// Reads one key a line, `name+id+key`, after which `from N` and `until N` may state the smallest and the largest tree
    /// size it signs for. Empty lines and those that begin with `#` are left out. All keys have one name, which is the
    /// log's origin.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(parse_line).collect::<Result<Vec<_>, _>>()?;
        let origin = keys.first().ok_or(KeyError::Verifier)?.0.name().to_owned();
        if keys.iter().any(|(key, _)| key.name() != origin) {
            return Err(KeyError::SeveralNames);
        }
        Ok(Self { origin, keys })
    }

    /// The keys with the tree sizes each signs for.
    pub fn keys(&self) -> &[(VerifierKey, RangeInclusive<u64>)] {
        &self.keys
    }
}

/// Writes the form that [`KeyHistory::parse`] reads.
impl fmt::Display for KeyHistory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, sizes) in &self.keys {
            write!(formatter, "{key}")?;
            if *sizes.start() > 0 {
                write!(formatter, " from {}", sizes.start())?;
            }
            if *sizes.end() < u64::MAX {
                write!(formatter, " until {}", sizes.end())?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

impl From<VerifierKey> for KeyHistory {
    fn from(key: VerifierKey) -> Self {
        Self { origin: key.name().to_owned(), keys: vec![(key, 0..=u64::MAX)] }
    }
}

impl LogKeys for KeyHistory {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn at(&self, tree_size: u64) -> Vec<&VerifierKey> {
        self.keys.iter().filter(|(_, sizes)| sizes.contains(&tree_size)).map(|(key, _)| key).collect()
    }
}

fn parse_line(line: &str) -> Result<(VerifierKey, RangeInclusive<u64>), KeyError> {
    let mut words = line.split_whitespace();
    let key = VerifierKey::parse(words.next().unwrap_or_default())?;
    let (mut from, mut until) = (0, u64::MAX);
    while let Some(word) = words.next() {
        let size = words.next().and_then(|size| size.parse().ok()).ok_or(KeyError::Range)?;
        match word {
            "from" => from = size,
            "until" => until = size,
            _ => return Err(KeyError::Range),
        }
    }
    if from > until { Err(KeyError::Range) } else { Ok((key, from..=until)) }
}

/// What signs the checkpoints of a log: its key, and while a key is being replaced the older ones, too, so that those who
/// know only one of them go on verifying.
#[derive(Debug)]
pub struct SigningKeys {
    current: SigningKey,
    older: Vec<SigningKey>,
}

impl SigningKeys {
    /// A key and those it replaces. All have one name, the log's origin.
    pub fn new(current: SigningKey, older: Vec<SigningKey>) -> Result<Self, KeyError> {
        let name = current.verifier().name();
        if older.iter().any(|key| key.verifier().name() != name) {
            return Err(KeyError::SeveralNames);
        }
        Ok(Self { current, older })
    }

    /// The key that replaces the others.
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// All of them, the current first.
    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Their public halves.
    pub fn verifiers(&self) -> KeyHistory {
        let keys = self.all().map(|key| (key.verifier().clone(), 0..=u64::MAX)).collect();
        KeyHistory::new(self.current.verifier().name(), keys)
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(current: SigningKey) -> Self {
        Self { current, older: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
