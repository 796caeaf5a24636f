use super::*;
use crate::{communes, old_communes};
use std::collections::BTreeSet;

fn hex(text: &str) -> Vec<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn decoded(bytes: &[u8], encoding: Encoding) -> String {
    let converted = decode(bytes, encoding).unwrap();
    assert!(converted.notes.is_empty(), "{:?}", converted.notes);
    converted.value.into_owned()
}

/// Every distinct commune name of both lists.
fn names() -> BTreeSet<&'static str> {
    communes(None).chain(old_communes(None)).map(|unit| unit.name).collect()
}

#[test]
fn worked_examples_decode_and_encode() {
    for (text, encoding, bytes) in [
        ("Nguyễn Thị Hồng Nhung", Encoding::Tcvn3, "4e 67 75 79 d4 6e 20 54 68 de 20 48 e5 6e 67 20 4e 68 75 6e 67"),
        ("Đặng Quốc Khánh", Encoding::Tcvn3, "a7 c6 6e 67 20 51 75 e8 63 20 4b 68 b8 6e 68"),
        (
            "xã Phước Hòa, tỉnh Bình Định",
            Encoding::Tcvn3,
            "78 b7 20 50 68 ad ed 63 20 48 df 61 2c 20 74 d8 6e 68 20 42 d7 6e 68 20 a7 de 6e 68",
        ),
        (
            "Nguyễn Thị Hồng Nhung",
            Encoding::Vni,
            "4e 67 75 79 65 e3 6e 20 54 68 f2 20 48 6f e0 6e 67 20 4e 68 75 6e 67",
        ),
        ("Đặng Quốc Khánh", Encoding::Vni, "d1 61 eb 6e 67 20 51 75 6f e1 63 20 4b 68 61 f9 6e 68"),
    ] {
        assert_eq!(decoded(&hex(bytes), encoding), text);
        assert_eq!(encode(text, encoding), (hex(bytes), 0));
    }
    assert_eq!(decoded(b"Nguye^~n Thi. Ho^`ng Nhung", Encoding::Viqr), "Nguyễn Thị Hồng Nhung");
    // Half-composed, as Windows-1258 keyboards write it.
    assert_eq!(decoded(&hex("4e 67 75 79 ea de 6e"), Encoding::Windows1258), "Nguyễn");
    assert_eq!(encode("Nguyễn", Encoding::Windows1258).0, hex("4e 67 75 79 ea de 6e"));
}

#[test]
fn capitals_of_tcvn3_follow_their_word() {
    for text in ["NGUYỄN THỊ HỒNG NHUNG", "UBND TỈNH BÌNH ĐỊNH", "LÊ THỊ HÀ", "Lê Hà", "UBND xã Hà Tam", "Y Mép"]
    {
        assert_eq!(decoded(&encode(text, Encoding::Tcvn3).0, Encoding::Tcvn3), text);
    }
    // A single toned capital cannot be told from lower case.
    let bytes = encode("Ái Nghĩa", Encoding::Tcvn3).0;
    assert_eq!(decode(&bytes, Encoding::Tcvn3), Ok(Converted::noted("ái Nghĩa".into(), Note::CaseUnknown)));
}

#[test]
fn text_columns_come_back_through_latin1() {
    for (seen, encoding, text) in [
        ("NguyÔn ThÞ Hång Nhung", Encoding::Tcvn3AsLatin1, "Nguyễn Thị Hồng Nhung"),
        ("§Æng Quèc Kh¸nh", Encoding::Tcvn3AsLatin1, "Đặng Quốc Khánh"),
        ("Nguyeãn Thò Hoàng Nhung", Encoding::VniAsLatin1, "Nguyễn Thị Hồng Nhung"),
        ("Ñaëng Quoác Khaùnh", Encoding::VniAsLatin1, "Đặng Quốc Khánh"),
        ("Tr\u{ad}êng", Encoding::Tcvn3AsLatin1, "Trường"),
        ("Quy Nhơn", Encoding::Utf8, "Quy Nhơn"),
        ("Myõ", Encoding::VniAsLatin1, "Mỹ"),
    ] {
        assert_eq!(decode_text(seen, encoding).unwrap().value, text);
        assert_eq!(decode(seen.as_bytes(), encoding).unwrap().value, text);
        assert_eq!(encode(text, encoding), (seen.as_bytes().to_vec(), 0));
    }
    assert_eq!(decode_text("Nguyễn", Encoding::Tcvn3AsLatin1), Err(Defect::UndecodableByte));
}

#[test]
fn what_the_encoding_lacks_is_a_defect_or_a_counted_question_mark() {
    assert_eq!(decode(b"\xff\xfe", Encoding::Utf8), Err(Defect::UndecodableByte));
    assert_eq!(decode(b"a\x80", Encoding::Tcvn3), Err(Defect::UndecodableByte));
    assert_eq!(decode(b"b\xff", Encoding::Vni), Err(Defect::UndecodableByte));
    assert_eq!(decode(b"\x81", Encoding::Windows1258), Err(Defect::UndecodableByte));
    assert_eq!(decode("Thị".as_bytes(), Encoding::Viqr), Err(Defect::UndecodableByte));
    assert_eq!(encode("Rčăm Pŭih", Encoding::Tcvn3), (b"R?\xa8m P?ih".to_vec(), 2));
    assert_eq!(encode("Rčăm", Encoding::Vni), (b"R?a\xeam".to_vec(), 1));
}

#[test]
fn commune_names_survive_the_round_trip() {
    let names = names();
    // The distinct names of both lists, and the five districts that had no communes.
    assert_eq!(names.len(), 8643 + 5);
    for encoding in [Encoding::Vni, Encoding::Viqr, Encoding::Windows1258, Encoding::Tcvn3] {
        let mut failed = Vec::new();
        for name in &names {
            let (bytes, replaced) = encode(name, encoding);
            assert_eq!(replaced, 0, "{name}");
            let back = decode(&bytes, encoding).unwrap().value.into_owned();
            assert_eq!(back.to_uppercase(), name.to_uppercase());
            if back != **name {
                failed.push(*name);
            }
        }
        println!("{}: {} of {} names fail the round trip", encoding.name(), failed.len(), names.len());
        if encoding != Encoding::Tcvn3 {
            assert_eq!(failed, Vec::<&str>::new());
            continue;
        }
        // TCVN3 has no capitals with tones: every word that starts with one loses it.
        let starts_with_tone = |word: &str| {
            word.starts_with(|letter: char| letter.is_uppercase() && crate::letter::split_tone(letter).1.is_some())
        };
        let toned = |name: &&str| name.split([' ', '\'']).any(starts_with_tone);
        for name in names.iter().filter(|name| toned(name)) {
            let notes = decode(&encode(name, encoding).0, encoding).unwrap().notes;
            assert!(notes.contains(Note::CaseUnknown), "{name}");
        }
        assert_eq!(names.iter().copied().filter(toned).count(), failed.iter().copied().filter(toned).count());
        // The others have the bytes of XÃ AL BÁ, Xã Ia BLỨ and so on.
        failed.retain(|name| !toned(name));
        for name in &failed {
            let notes = decode(&encode(name, encoding).0, encoding).unwrap().notes;
            assert!(notes.contains(Note::CaseUnknown), "{name}");
        }
        assert_eq!(failed, ["Xã AL Bá", "Xã Ia BLứ", "Xã SRó", "Xã Đưng KNớ"]);
    }
}

#[test]
fn good_names_raise_no_alarm() {
    let highland =
        ["Rơ Châm", "Kpă", "H'Lan Siu", "Ksor H'Nguyệt", "Rah Lan Hyuê", "Nay Blŏ", "Rčăm", "Siu Bluk", "Ê Ban"];
    let alarmed: Vec<_> = names().into_iter().chain(highland).filter(|name| alarm(name)).collect();
    assert_eq!(alarmed, Vec::<&str>::new());
    for text in ["Müller", "José García", "12 °C", "Công ty TNHH Café Ôlé", "Lô A·B", "© 2025", "H\u{f4}m nay"]
    {
        assert!(!alarm(text), "{text}");
    }
}

#[test]
fn legacy_bytes_in_a_unicode_column_raise_the_alarm() {
    for text in [
        "NguyÔn ThÞ Hång Nhung",
        "§Æng Quèc Kh¸nh",
        "Nguyeãn Thò Hoàng Nhung",
        "Ñaëng Quoác Khaùnh",
        "Tr\u{ad}êng",
        "Nguyá»…n",
    ] {
        assert!(alarm(text), "{text}");
    }
    for (encoding, floor) in [(Encoding::Tcvn3AsLatin1, 0.75), (Encoding::VniAsLatin1, 0.75)] {
        let marked: Vec<_> = names().into_iter().filter(|name| !name.is_ascii()).collect();
        let raised = marked.iter().filter(|name| alarm(&String::from_utf8(encode(name, encoding).0).unwrap())).count();
        println!("{}: alarm on {raised} of {} names", encoding.name(), marked.len());
        assert!(raised as f64 > floor * marked.len() as f64, "{raised} of {}", marked.len());
    }
}

#[test]
fn misdeclared_bytes_are_noted() {
    let noted = |text: &str, written: Encoding, declared: Encoding| {
        decode(&encode(text, written).0, declared).is_ok_and(|converted| converted.notes.contains(Note::EncodingAlarm))
    };
    assert!(noted("Trà", Encoding::Utf8, Encoding::Windows1258));
    assert!(noted("Bình", Encoding::Utf8, Encoding::Tcvn3) || decode("Bình".as_bytes(), Encoding::Tcvn3).is_err());
    assert!(noted("Quang Hoàn", Encoding::Vni, Encoding::Windows1258));
    for encoding in [Encoding::Tcvn3, Encoding::Vni, Encoding::Windows1258] {
        let alarmed: Vec<_> = names().into_iter().filter(|name| noted(name, encoding, encoding)).collect();
        assert_eq!(alarmed, Vec::<&str>::new(), "{}", encoding.name());
    }
}
