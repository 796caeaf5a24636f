use super::*;

#[test]
fn an_agency_is_within_itself_and_those_above_it() {
    for (agency, wanted, expected) in [
        ("H21", "H21", true),
        ("H21.65", "H21", true),
        ("H21.65.03", "H21.65", true),
        ("H21", "H21.65", false),
        ("H210", "H21", false),
        ("H21.650", "H21.65", false),
        ("H21", "H2%", false),
    ] {
        assert_eq!(is_within(agency, wanted), expected, "{agency} within {wanted}");
    }
}

#[test]
fn microseconds_round_down_and_never_overflow() {
    assert_eq!(micros(&Timestamp { seconds: 1, nanos: 1_999 }), 1_000_001);
    assert_eq!(micros(&Timestamp { seconds: -1, nanos: 999_999_999 }), -1);
    assert_eq!(micros(&Timestamp { seconds: i64::MAX, nanos: 0 }), i64::MAX);
    assert_eq!(micros(&Timestamp { seconds: i64::MIN, nanos: -1 }), i64::MIN);
}

#[test]
fn a_token_serves_only_the_search_it_was_given_for() {
    let unbounded = TimeRange { from: None, until: None };
    let officer = Filter { officer: Some("CB-1".to_owned()), ..Filter::default() };
    let token = Token::new(&officer.terms(), &unbounded);
    let walks = [(0, 41), (7, 0)].map(|(log, end)| Walk { log, end, found: VecDeque::new() });
    let text = token.write(&walks);
    assert_eq!(token.read(&text).unwrap(), HashMap::from([(0, 41), (7, 0)]));
    let other = Token::new(&Filter::default().terms(), &unbounded);
    for wrong in [text.as_str(), "", "41", "-", "x-y"] {
        assert!(matches!(other.read(wrong), Err(AuditError::PageToken)), "{wrong}");
    }
    for wrong in [text.replacen("41", "-1", 1), text.replacen(':', "", 1), text.replacen("0:41", "", 1)] {
        assert!(matches!(token.read(&wrong), Err(AuditError::PageToken)), "{wrong}");
    }
}
