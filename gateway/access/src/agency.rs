//! Electronic identification codes of agencies (Decision 20/2020/QĐ-TTg): level 1 first, levels joined by dots.

use std::{fmt, str::FromStr};

const LENGTH_MAX: usize = 35;

/// The code of an agency, for example `H21.12.03`, which is in `H21.12`, which is in `H21`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgencyCode(String);

/// The text is not an agency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an agency code: a letter and two digits, then groups of digits and capital letters joined by dots, \
     at most 35 characters (H21, H21.12, H21.12.03)"
)]
pub struct InvalidAgencyCode;

impl AgencyCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this agency is the other one or stands below it.
    pub fn is_in(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// This code and those of the agencies above it, nearest first.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |code| code.rsplit_once('.').map(|(above, _)| above))
    }
}

impl FromStr for AgencyCode {
    type Err = InvalidAgencyCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut levels = text.split('.');
        let first = levels.next().unwrap_or_default().as_bytes();
        let first_is_valid = matches!(first, [letter, tens, units]
            if letter.is_ascii_uppercase() && tens.is_ascii_digit() && units.is_ascii_digit());
        let is_level = |level: &str| {
            !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        };
        if first_is_valid && text.len() <= LENGTH_MAX && levels.all(is_level) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAgencyCode)
        }
    }
}

impl fmt::Display for AgencyCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> AgencyCode {
        text.parse().unwrap()
    }

    #[test]
    fn an_agency_is_in_itself_and_in_those_above_it_only() {
        assert!(code("H21.12.03").is_in(&code("H21.12")));
        assert!(code("H21.12.03").is_in(&code("H21")));
        assert!(code("H21.12").is_in(&code("H21.12")));
        assert!(!code("H21.12").is_in(&code("H21.12.03")));
        assert!(!code("H21.120").is_in(&code("H21.12")));
        assert_eq!(code("H21.12.03").upwards().collect::<Vec<_>>(), ["H21.12.03", "H21.12", "H21"]);
    }

    #[test]
    fn malformed_codes_are_refused() {
        let long = format!("H21.{}", "A".repeat(32));
        for text in ["", "H", "21", "h21", "H21.", "H21..03", ".H21", "H21.1a", "H21 ", "H2", "H210", "H21.é", &long] {
            assert_eq!(text.parse::<AgencyCode>(), Err(InvalidAgencyCode), "{text}");
        }
        assert!(format!("H21.{}", "A".repeat(31)).parse::<AgencyCode>().is_ok());
    }
}
