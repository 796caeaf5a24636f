//! Families, firms and numbers hang together across the registers.

use std::collections::{HashMap, HashSet};

use super::written;
use crate::{Plan, Rates, Sector};

fn clean(people: u64) -> Plan {
    Plan { rates: Rates::none(), ..Plan::new(people, 11) }
}

#[tokio::test]
async fn spouses_name_each_other_and_parents_are_older() {
    let written = written(&clean(4_000)).await;
    let rows = written
        .texts(
            Sector::Population,
            "SELECT \"SoDinhDanh\", \"VoChong_SoDinhDanh\", \"Cha_SoDinhDanh\", \"Me_SoDinhDanh\", \
             substr(coalesce(\"NgaySinh\", \"NamSinh\"), 1, 4), CAST(\"GioiTinh\" AS TEXT) FROM \"cong_dan\"",
        )
        .await;
    let people: HashMap<&str, &Vec<Option<String>>> =
        rows.iter().filter_map(|row| Some((row[0].as_deref()?, row))).collect();
    let year = |row: &[Option<String>]| row[4].as_deref().unwrap().parse::<i32>().unwrap();
    let (mut couples, mut children) = (0, 0);
    for row in &rows {
        if let Some(spouse) = row[1].as_deref() {
            assert_eq!(people[spouse][1], row[0]);
            assert_ne!(people[spouse][5], row[5]);
            couples += 1;
        }
        for (parent, sex) in [(&row[2], "1"), (&row[3], "2")] {
            if let Some(parent) = parent.as_deref() {
                assert!(year(people[parent]) + 18 <= year(row));
                assert_eq!(people[parent][5].as_deref(), Some(sex));
                children += 1;
            }
        }
    }
    assert!(couples > 1_000 && children > 1_500, "{couples} {children}");
}

#[tokio::test]
async fn numbers_of_people_are_unique_and_agree_with_birth_and_sex() {
    let written = written(&clean(4_000)).await;
    let rows = written
        .texts(
            Sector::Population,
            "SELECT \"SoDinhDanh\", substr(coalesce(\"NgaySinh\", \"NamSinh\"), 1, 4), CAST(\"GioiTinh\" AS TEXT), \
             \"SoCMND\" FROM \"cong_dan\"",
        )
        .await;
    let mut seen = HashSet::new();
    for row in &rows {
        let [Some(id), Some(year), Some(sex), card] = &row[..] else { panic!("{row:?}") };
        assert!(id.len() == 12 && seen.insert(id.clone()));
        assert!(card.as_ref().is_none_or(|card| card.len() == 9 && seen.insert(card.clone())));
        let digit = |at: usize| id[at..=at].parse::<u16>().unwrap();
        // The rule of Circular 07/2016: century and sex, then the year.
        assert_eq!(1900 + digit(3) / 2 * 100 + digit(4) * 10 + digit(5), year.parse::<u16>().unwrap());
        assert_eq!(digit(3) % 2 == 0, sex == "1");
    }
}

#[test]
fn numbers_stay_unique_where_serials_repeat() {
    use crate::number::{self, Region};
    // Two people a million apart share a serial: the worst case is the same year and sex.
    for hash in 0..100 {
        for index in [0, 20, 999_980] {
            let other = index + 1_000_000;
            assert_ne!(Region::of(hash, index), Region::of(hash, other));
            for elsewhere in [None, Some(0), Some(7), Some(29)] {
                let birth = crate::date::Date::year(1980);
                let id = |index| number::personal_id(index, Region::of(hash, index), elsewhere, true, birth);
                assert_ne!(id(index), id(other));
            }
        }
    }
    let mut codes: HashSet<String> = HashSet::new();
    assert!((0..20_000).all(|index| codes.insert(number::enterprise_code(index))));
    let mut cards: HashSet<String> = HashSet::new();
    for index in (0..2_000_000).step_by(9_973) {
        assert!(cards.insert(number::legacy_id(index, Region::Coast, false)));
        assert!(cards.insert(number::legacy_id(index, Region::Coast, true)));
    }
}

#[test]
fn check_digits_follow_the_published_rule() {
    use crate::number::{check_digit, enterprise_code};
    // Examples worked by hand and confirmed with python-stdnum.
    for (stem, digit) in [
        ("010023348", Some(8)),
        ("031440905", Some(8)),
        ("410100000", Some(3)),
        ("590012345", Some(1)),
        ("410000004", None),
        ("000000001", Some(7)),
    ] {
        assert_eq!(check_digit(stem), digit, "{stem}");
    }
    for index in 0..10_000 {
        let code = enterprise_code(index);
        assert_eq!(check_digit(&code[..9]).unwrap(), code.as_bytes()[9] - b'0');
        assert!(code.starts_with("00") && &code[2..9] != "0000000");
    }
}

#[tokio::test]
async fn employers_and_parents_exist() {
    let written = written(&clean(4_000)).await;
    let mut known: HashSet<String> = HashSet::new();
    for (sector, statement) in [
        (Sector::BusinessRegistry, "SELECT \"ENTERPRISE_GDT_CODE\" FROM \"DOANH_NGHIEP\""),
        (Sector::BudgetUnits, "SELECT \"ma_qhns\" FROM \"don_vi\""),
    ] {
        for row in written.texts(sector, statement).await {
            assert!(known.insert(row[0].clone().unwrap()));
        }
    }
    let references = [
        (Sector::Insurance, "SELECT \"maDonVi\" FROM \"qua_trinh_tham_gia\" WHERE \"maDonVi\" IS NOT NULL"),
        (
            Sector::BusinessRegistry,
            "SELECT \"PARENT_GDT_CODE\" FROM \"DOANH_NGHIEP\" WHERE \"PARENT_GDT_CODE\" IS NOT NULL",
        ),
        (Sector::BudgetUnits, "SELECT \"ma_cap_tren\" FROM \"don_vi\" WHERE \"ma_cap_tren\" IS NOT NULL"),
    ];
    for (sector, statement) in references {
        let rows = written.texts(sector, statement).await;
        assert!(!rows.is_empty(), "{sector}");
        assert!(rows.iter().all(|row| known.contains(row[0].as_deref().unwrap())), "{sector}");
    }
}

#[tokio::test]
async fn leaders_and_heads_are_people_of_the_population() {
    let written = written(&clean(2_000)).await;
    let people: HashSet<String> = written
        .texts(Sector::Population, "SELECT \"SoDinhDanh\" FROM \"cong_dan\" WHERE NOT \"DaChet\"")
        .await
        .into_iter()
        .filter_map(|mut row| row.remove(0))
        .collect();
    for (sector, statement) in [
        (Sector::BusinessRegistry, "SELECT \"SO_DINH_DANH\" FROM \"NGUOI_DAI_DIEN\""),
        (Sector::BudgetUnits, "SELECT \"thu_truong_so_dinh_danh\" FROM \"don_vi\""),
    ] {
        let rows = written.texts(sector, statement).await;
        assert!(rows.iter().flatten().flatten().all(|number| people.contains(number)), "{sector}");
    }
}

#[tokio::test]
async fn the_judicial_register_holds_tcvn3_bytes() {
    use sqlx::Row;
    let written = written(&clean(2_000)).await;
    let mut database = written.database(Sector::JudicialRecords).await;
    let rows = sqlx::query("SELECT \"issueBody\", \"fullName\" FROM \"ho_so\"").fetch_all(&mut database).await.unwrap();
    for row in &rows {
        // The bytes of TCVN 5712 itself: ô is AB, ỉ is D8.
        let body: Vec<u8> = row.get(0);
        assert_eq!(body, b"C\xabng an t\xd8nh Gia Lai");
    }
    assert!(rows.len() > 50);
}
