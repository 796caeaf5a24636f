//! Encodings.
use crate::{Conversion, outcome::named};
use std::borrow::Cow;
/// How a register stores text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// TCVN3 (ABC).
    Tcvn3,
    /// VNI for Windows.
    Vni,
    /// VIQR.
    Viqr,
    /// Windows-1258.
    Windows1258,
    /// TCVN3 bytes kept as Latin-1 characters in a Unicode column.
    Tcvn3AsLatin1,
    /// VNI bytes kept as Latin-1 characters in a Unicode column.
    VniAsLatin1,
}
named!("encoding" Encoding {
    "utf-8" => Utf8, "tcvn3" => Tcvn3, "vni" => Vni, "viqr" => Viqr, "windows-1258" => Windows1258,
    "tcvn3-as-latin1" => Tcvn3AsLatin1, "vni-as-latin1" => VniAsLatin1,
});
/// Decodes bytes.
pub fn decode(bytes: &[u8], encoding: Encoding) -> Conversion<Cow<'_, str>> {
    let _ = (bytes, encoding);
    todo!()
}
/// Decodes a text column.
pub fn decode_text(text: &str, encoding: Encoding) -> Conversion<Cow<'_, str>> {
    let _ = (text, encoding);
    todo!()
}
/// Encodes; the number counts letters replaced by '?'.
pub fn encode(text: &str, encoding: Encoding) -> (Vec<u8>, usize) {
    let _ = (text, encoding);
    todo!()
}
/// Whether text looks like legacy bytes read as Latin-1.
pub fn alarm(text: &str) -> bool {
    let _ = text;
    todo!()
}
