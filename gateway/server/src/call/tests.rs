use super::*;

#[test]
fn grpc_timeouts_are_read_in_every_unit() {
    for (text, expected) in [
        ("1m", Duration::from_millis(1)),
        ("99999999n", Duration::from_nanos(99_999_999)),
        ("5S", Duration::from_secs(5)),
        ("2M", Duration::from_secs(120)),
        ("1H", Duration::from_secs(3_600)),
        ("250u", Duration::from_micros(250)),
    ] {
        assert_eq!(parse_timeout(text), Some(expected), "{text}");
    }
    for text in ["", "m", "5", "123456789m", "-1m", "1.5S", "5s", "5é"] {
        assert_eq!(parse_timeout(text), None, "{text}");
    }
}

#[test]
fn a_deadline_is_cut_to_the_longest_allowed() {
    let timeouts = Timeouts { default: Duration::from_secs(10), max: Duration::from_secs(60) };
    let mut headers = HeaderMap::new();
    assert_eq!(timeout(&headers, timeouts).unwrap(), Duration::from_secs(10));
    headers.insert("grpc-timeout", "9H".parse().unwrap());
    assert_eq!(timeout(&headers, timeouts).unwrap(), Duration::from_secs(60));
}
