//! Bytes of a column, in every encoding a mapping may declare.
#![no_main]

use libfuzzer_sys::fuzz_target;
use normalize::{Encoding, alarm, decode, decode_text, encode};

fuzz_target!(|bytes: &[u8]| {
    for name in Encoding::NAMES {
        let encoding: Encoding = name.parse().expect("its own name");
        if let Ok(decoded) = decode(bytes, encoding) {
            assert!(decoded.value.len() <= 4 * bytes.len() + 16, "text grows without bound");
            // What it is written as again is read as the same, or as more marks than it had, never as a panic.
            let (again, _) = encode(&decoded.value, encoding);
            let _ = decode(&again, encoding);
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = (decode_text(text, encoding), alarm(text));
        }
    }
});
