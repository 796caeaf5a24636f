//! Names of enterprises as keys for finding: the law lets the kind of an enterprise stand in full or abbreviated.

use crate::fold_name;

/// Folded spellings of the kinds of enterprise, the full one first. Law on Enterprises 59/2020/QH14, Article 37, clause 2.
const KINDS: [&[&str]; 4] = [
    &["CONG TY TRACH NHIEM HUU HAN", "CONG TY TNHH"],
    &["CONG TY CO PHAN", "CONG TY CP"],
    &["CONG TY HOP DANH", "CONG TY HD"],
    &["DOANH NGHIEP TU NHAN", "DOANH NGHIEP TN", "DNTN"],
];

/// The ways a name may be folded that mean the same enterprise, the one that is the key first. Names are alike for finding
/// when their keys are equal.
pub fn organisation_keys(name: &str) -> Vec<String> {
    let folded = fold_name(name);
    let kind = KINDS.iter().find_map(|spellings| {
        let rest = spellings.iter().find_map(|spelling| without_kind(&folded, spelling))?;
        Some((spellings, rest))
    });
    match kind {
        Some((spellings, rest)) => spellings.iter().map(|spelling| format!("{spelling}{rest}")).collect(),
        None => vec![folded],
    }
}

/// What follows the kind, when the name begins with this spelling of it and goes on.
fn without_kind<'n>(folded: &'n str, spelling: &str) -> Option<&'n str> {
    folded.strip_prefix(spelling).filter(|rest| rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_may_stand_in_full_or_abbreviated() {
        for (one, other) in [
            ("Công ty TNHH Hoà Bình", "CÔNG TY TRÁCH NHIỆM HỮU HẠN HÒA BÌNH"),
            ("Công ty CP Gỗ Phú Tài", "cong ty co phan go phu tai"),
            ("DNTN Minh Long", "Doanh nghiệp tư nhân Minh Long"),
            ("Doanh nghiệp TN Minh Long", "DNTN Minh  Long"),
        ] {
            assert_eq!(organisation_keys(one)[0], organisation_keys(other)[0], "{one}");
        }
        assert_eq!(
            organisation_keys("DNTN Minh Long"),
            ["DOANH NGHIEP TU NHAN MINH LONG", "DOANH NGHIEP TN MINH LONG", "DNTN MINH LONG"]
        );
    }

    #[test]
    fn only_a_kind_at_the_beginning_is_one() {
        for name in ["Hợp tác xã CP Đông Á", "Công ty TNHHX", "DNTN"] {
            assert_eq!(organisation_keys(name), [fold_name(name)]);
        }
        assert_ne!(organisation_keys("Công ty CP An Phú"), organisation_keys("Công ty TNHH An Phú"));
    }
}
