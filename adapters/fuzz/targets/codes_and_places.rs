//! Code lists, industry codes and administrative units: what is found is found again by its code.
#![no_main]

use libfuzzer_sys::fuzz_target;
use normalize::{IndustryVintage, Vintage, code_list, code_schemes, commune, industry_code, province};

fuzz_target!(|input: &str| {
    for scheme in code_schemes() {
        let list = code_list(scheme).expect("its own name");
        if let Ok(found) = list.convert(input) {
            assert_eq!(list.convert(&found.value.code).expect("itself").value, found.value);
        }
    }
    for vintage in [IndustryVintage::Vsic2018, IndustryVintage::Vsic2025] {
        if let Ok(found) = industry_code(input, vintage) {
            assert_eq!(industry_code(&found.value.code, vintage).expect("itself").value, found.value);
        }
    }
    let (code, name) = input.split_once('|').unwrap_or((input, ""));
    for vintage in [Vintage::Pre2025, Vintage::Post2025, Vintage::Unknown] {
        let _ = province(code, vintage);
        for written in [None, Some(name)] {
            if let Ok(found) = commune(code, written, vintage) {
                assert_eq!(commune(found.value.code, written, vintage).expect("itself").value, found.value);
            }
        }
    }
});
