//! Defects occur as often as the plan says, within four standard deviations.

use super::written;
use crate::{Plan, Sector};

/// Whether `hits` of `tries` fits a rate.
fn fits(hits: i64, tries: i64, rate: f64) -> bool {
    let expected = tries as f64 * rate;
    (hits as f64 - expected).abs() <= 4.0 * (expected * (1.0 - rate)).sqrt()
}

#[tokio::test]
async fn defects_occur_at_their_rates() {
    let start = std::time::Instant::now();
    let written = written(&Plan::new(20_000, 42)).await;
    println!("20,000 people with truth in {:?}; defects {:?}", start.elapsed(), written.summary.defects);
    let residents: Vec<_> = written
        .truths()
        .into_iter()
        .filter(|truth| truth["record_type"] == "lienthong.population.v1.Resident")
        .collect();
    let tries = residents.len() as i64;
    let hits = |field: &str, kind: &str| {
        let is_it = |defect: &serde_json::Value| defect["field"] == field && defect["kind"] == kind;
        residents.iter().filter(|truth| truth["defects"].as_array().unwrap().iter().any(is_it)).count() as i64
    };
    for (field, kind, rate) in [
        ("full_name", "capitals", 0.04),
        ("mother.full_name", "capitals", 0.04),
        ("permanent_address", "old_address", 0.35),
        ("full_name", "whitespace", 0.005),
        ("permanent_address", "unicode_form", 0.03),
    ] {
        let tries = residents
            .iter()
            .filter(|truth| truth["fields"].pointer(&format!("/{}", field.replace('.', "/"))).is_some())
            .count();
        assert!(fits(hits(field, kind), tries as i64, rate), "{field} {kind}: {} of {tries}", hits(field, kind));
    }
    let contradictions = hits("gender", "contradicts_personal_id") + hits("birth_date", "contradicts_personal_id");
    let with_id = residents.iter().filter(|truth| truth["fields"].get("personal_id").is_some()).count();
    assert!(fits(contradictions, with_id as i64, 0.005), "{contradictions}");
    // Nearly all names have marks and more than one word, so nearly all can lose them.
    let bare = hits("full_name", "no_diacritics");
    assert!((tries as f64 * 0.016..tries as f64 * 0.024).contains(&(bare as f64)), "{bare}");

    let holders =
        written.number(Sector::Population, "SELECT count(*) FROM \"cong_dan\" WHERE \"SoCMND\" IS NOT NULL").await;
    let doubled = hits("personal_id", "duplicate_person");
    assert!(fits(doubled, holders - doubled, 0.01), "{doubled} of {holders}");
    let births = written.summary.rows["khai_sinh"] as i64;
    let vni = written.number(Sector::CivilStatus, "SELECT count(*) FROM \"khai_sinh\" WHERE \"bangMa\" = 'VNI'").await;
    assert!(fits(vni, births, 0.01), "{vni} of {births}");
    let old = "SELECT count(*) FROM \"cong_dan\" WHERE \"SoCMND\" IS NULL OR length(\"SoCMND\") = 9";
    assert_eq!(written.number(Sector::Population, old).await, tries);
}

#[tokio::test]
async fn old_people_lack_the_day_of_birth_more_often() {
    let written = written(&Plan::new(20_000, 9)).await;
    let count = |condition: &str, known: &str| {
        format!(
            "SELECT count(*) FROM \"nguoi_tham_gia\" WHERE substr(\"ngaySinh\", 1, 4) {condition} \
             AND (\"loaiNgaySinh\" = 1 OR \"ngaySinh\" LIKE '%0101') {known}"
        )
    };
    let all = |condition: &str| {
        format!("SELECT count(*) FROM \"nguoi_tham_gia\" WHERE substr(\"ngaySinh\", 1, 4) {condition}")
    };
    for (condition, rate) in [("< '1960'", 0.06), (">= '1960'", 0.0125)] {
        let hits = written.number(Sector::Insurance, &count(condition, "")).await;
        let tries = written.number(Sector::Insurance, &all(condition)).await;
        // A true first of January adds one in 336.
        assert!(fits(hits, tries, rate), "{condition}: {hits} of {tries}");
    }
}
