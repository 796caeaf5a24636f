//! What holds for every input: no converter panics, and what it releases it reads back unrepaired.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use normalize::*;
use proptest::prelude::*;

/// Any text, and text made of what registers are full of.
fn inputs() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ aAăâÂêôơƯđĐÐɖáàảãạễỹỲhHqQuUyYoOeELlnN'’.,;?0-9\u{300}\u{301}\u{302}\u{303}\u{309}\u{323}\u{306}\u{31b}\u{ad}\u{a0}\u{200b}\u{fffd}-]{0,24}",
        "[0-9 .,/-]{0,16}",
        "[A-Z]{0,3}[0-9.]{0,15}(-[0-9]{0,6}){0,2}",
        "[\u{80}-\u{ff}a-zA-Z ]{0,24}",
    ]
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop::sample::select(Encoding::NAMES).prop_map(|name| name.parse().unwrap())
}

/// Reading the canonical text of a value again gives the same text and repairs nothing.
fn reads_back(input: &str, read: impl Fn(&str) -> Conversion<String>) {
    let Ok(first) = read(input) else { return };
    let text = first.value;
    let again = read(&text).unwrap_or_else(|defect| panic!("{text:?} from {input:?}: {defect}"));
    assert_eq!(again.value, text, "from {input:?}");
    assert!(
        again.notes.iter().all(|note| note.grade() == Grade::Suspect),
        "{text:?} from {input:?}: {:?}",
        again.notes
    );
}

/// The same answer with the value's canonical text.
fn said<T>(conversion: Conversion<T>, canonical: impl Fn(&T) -> String) -> Conversion<String> {
    conversion.map(|converted| converted.map(|value| canonical(&value)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_and_names_are_stable(input in inputs()) {
        reads_back(&input, |input| said(text(input), ToString::to_string));
        reads_back(&input, |input| said(org_name(input), ToString::to_string));
        reads_back(&input, |input| said(person_name(input), |name| name.full.clone()));
        if let Ok(name) = person_name(&input) {
            let keys = (fold_name(&name.value.full), marked_key(&name.value.full));
            prop_assert_eq!((name.value.folded, name.value.marked_key), keys);
        }
        let folded = fold_name(&input);
        prop_assert_eq!(fold_name(&folded), folded);
        let _ = (alarm(&input), marked_key(&input), canonical_tone(&input));
    }

    #[test]
    fn identifiers_are_stable(input in inputs()) {
        reads_back(&input, |input| said(personal_id(input), |id| id.as_str().to_owned()));
        reads_back(&input, |input| said(legacy_id(input), ToString::to_string));
        reads_back(&input, |input| said(tax_code(input), |code| code.as_str().to_owned()));
        reads_back(&input, |input| said(social_insurance_number(input), ToString::to_string));
        reads_back(&input, |input| said(health_insurance_card(input), |card| card.number.clone()));
        reads_back(&input, |input| said(budget_unit_code(input), ToString::to_string));
        reads_back(&input, |input| said(dossier_number(input), ToString::to_string));
        reads_back(&input, |input| said(agency_code(input), ToString::to_string));
        let _ = tax_code_check_digit(&input);
    }

    #[test]
    fn dates_numbers_and_codes_are_stable(input in inputs(), precision in "[0-3]?") {
        for name in DateFormat::NAMES {
            let format: DateFormat = name.parse().unwrap();
            if let Ok(date) = partial_date(&input, format) {
                prop_assert_eq!(date.value.to_string().parse(), Ok(date.value));
            }
            let _ = birth_date(&input, format);
            let _ = partial_date_with_precision(&input, &precision, format);
            let _ = birth_date_with_precision(&input, &precision, format);
        }
        if let Ok(date) = date_of_parts(&input, &precision, &precision) {
            prop_assert_eq!(date.value.to_string().parse(), Ok(date.value));
        }
        let _ = birth_date_of_parts("1985", &precision, &input);
        // A tenth or a thousandth is an amount too, but three digits after the point look like thousands.
        if let Ok(amount) = vnd(&input) {
            prop_assert_eq!(vnd(&amount.value.normalize().to_string()).map_or(amount.value, |again| again.value), amount.value);
        }
        let _ = boolean(&input);
        for scheme in code_schemes() {
            reads_back(&input, |input| said(code_list(scheme).unwrap().convert(input), |value| value.code.to_string()));
        }
        for vintage in [IndustryVintage::Vsic2018, IndustryVintage::Vsic2025] {
            reads_back(&input, |input| said(industry_code(input, vintage), |code| code.code.clone()));
        }
    }

    #[test]
    fn places_are_stable(code in "[0-9]{0,6}", name in inputs()) {
        for vintage in [Vintage::Pre2025, Vintage::Post2025, Vintage::Unknown] {
            for written in [None, Some(name.as_str())] {
                let _ = (commune(&name, written, vintage), province(&name, vintage));
                if let Ok(converted) = commune(&code, written, vintage) {
                    let again = commune(converted.value.code, written, vintage).unwrap();
                    prop_assert_eq!(again.value, converted.value);
                    prop_assert!(!again.notes.contains(Note::LeadingZeroRestored));
                }
            }
        }
    }

    #[test]
    fn decoders_are_total(bytes in prop::collection::vec(any::<u8>(), 0..40), text in inputs(), encoding in encodings()) {
        let _ = (decode(&bytes, encoding), decode_text(&text, encoding));
    }

    #[test]
    fn what_was_encoded_without_loss_decodes(
        text in "[ AaăÂâÊêôƠơưĐđáàảãạấềểỗựỹỳýHhNngt0-9,]{0,24}",
        encoding in encodings(),
    ) {
        let (bytes, replaced) = encode(&text, encoding);
        prop_assert_eq!(replaced, 0);
        let decoded = decode(&bytes, encoding).unwrap().value;
        if matches!(encoding, Encoding::Tcvn3 | Encoding::Tcvn3AsLatin1) {
            prop_assert_eq!(decoded.to_lowercase(), text.to_lowercase());
        } else {
            prop_assert_eq!(decoded, text);
        }
    }
}
