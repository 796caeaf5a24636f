//! Numbers of people, firms, units and dossiers: what is released is read back as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use normalize::{
    agency_code, budget_unit_code, dossier_number, health_insurance_card, legacy_id, personal_id,
    social_insurance_number, tax_code, tax_code_check_digit,
};

fuzz_target!(|input: &str| {
    if let Ok(id) = personal_id(input) {
        let number = id.value.as_str().to_owned();
        assert_eq!(number.len(), 12);
        assert_eq!(personal_id(&number).expect("itself").value.as_str(), number);
    }
    if let Ok(code) = tax_code(input) {
        let number = code.value.as_str().to_owned();
        assert_eq!(tax_code(&number).expect("itself").value.as_str(), number);
    }
    if let Ok(card) = health_insurance_card(input) {
        assert_eq!(health_insurance_card(&card.value.number).expect("itself").value.number, card.value.number);
    }
    for read in [legacy_id, social_insurance_number, budget_unit_code, agency_code, dossier_number] {
        if let Ok(number) = read(input) {
            assert_eq!(read(&number.value).expect("itself").value, number.value);
        }
    }
    let _ = tax_code_check_digit(input);
});
