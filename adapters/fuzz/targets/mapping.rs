//! Mapping files: an answer or an error with a place, never a panic.
#![no_main]

use adapter_sdk::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Mapping::parse(text, "fuzz.toml") {
        assert!(!error.to_string().is_empty());
    }
});
