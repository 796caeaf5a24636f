//! Dates in every format, money and flags.
#![no_main]

use libfuzzer_sys::fuzz_target;
use normalize::{
    DateFormat, birth_date, birth_date_of_parts, birth_date_with_precision, boolean, date_of_parts, partial_date,
    partial_date_with_precision, vnd,
};

fuzz_target!(|input: &str| {
    for name in DateFormat::NAMES {
        let format: DateFormat = name.parse().expect("its own name");
        if let Ok(date) = partial_date(input, format) {
            assert_eq!(date.value.to_string().parse(), Ok(date.value));
        }
        let _ = birth_date(input, format);
    }
    let (precision, date) = input.split_at(input.chars().next().map_or(0, char::len_utf8));
    for format in DateFormat::NAMES.iter().filter_map(|name| name.parse().ok()) {
        let _ = partial_date_with_precision(date, precision, format);
        let _ = birth_date_with_precision(date, precision, format);
    }
    let parts: Vec<&str> = input.splitn(3, '-').collect();
    if let [year, month, day] = parts[..] {
        if let Ok(date) = date_of_parts(year, month, day) {
            assert_eq!(date.value.to_string().parse(), Ok(date.value));
        }
        let _ = birth_date_of_parts(year, month, day);
    }
    let _ = boolean(input);
    if let Ok(amount) = vnd(input) {
        assert!(!amount.value.is_sign_negative() || amount.value.is_zero());
        assert!(amount.value.scale() <= 3);
    }
});
