use super::*;

fn date(text: &str) -> Fact {
    Fact::Date(text.parse().unwrap())
}

fn name(full: &str) -> Fact {
    let name = normalize::person_name(full).unwrap().value;
    Fact::Name { full: name.full, folded: name.folded }
}

#[test]
fn a_claim_is_judged_at_its_own_precision() {
    let held = date("1985-03-07");
    assert_eq!(held.agrees_with("1985"), Agreement::Equal);
    assert_eq!(held.agrees_with("1985-03"), Agreement::Equal);
    assert_eq!(held.agrees_with("1985-03-07"), Agreement::Equal);
    assert_eq!(held.agrees_with("1985-04"), Agreement::Different);
    assert_eq!(held.agrees_with("1986-03-07"), Agreement::Different);
}

#[test]
fn a_year_in_the_register_cannot_confirm_a_day() {
    let held = date("1950");
    assert_eq!(held.agrees_with("1950-03-07"), Agreement::Undecided);
    assert_eq!(held.agrees_with("1951-03-07"), Agreement::Different);
}

#[test]
fn names_compare_with_marks_when_both_have_them() {
    let held = name("Nguyễn Thị Thủy");
    assert_eq!(held.agrees_with("NGUYỄN THỊ THUỶ"), Agreement::Equal, "capitals and tone placement are form only");
    assert_eq!(held.agrees_with("Nguyen Thi Thuy"), Agreement::Equal, "a claim without marks");
    assert_eq!(held.agrees_with("Nguyễn Thị Thúy"), Agreement::Different, "another name");
}

#[test]
fn registers_contradict_each_other_only_where_both_speak() {
    assert!(!date("1950").contradicts(&date("1950-03-07")));
    assert!(date("1950-04").contradicts(&date("1950-03-07")));
    let divided = Fact::Place { commune: "21583".to_owned(), certain: false };
    let other = Fact::Place { commune: "21556".to_owned(), certain: true };
    assert!(!divided.contradicts(&other));
}

#[test]
fn codes_match_by_code_or_label() {
    let held = Fact::Code { code: "01".to_owned(), label: "Kinh".to_owned() };
    assert_eq!(held.agrees_with("01"), Agreement::Equal);
    assert_eq!(held.agrees_with("kinh"), Agreement::Equal);
    assert_eq!(held.agrees_with("02"), Agreement::Different);
}
