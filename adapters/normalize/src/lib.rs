//! Pure, total converters from what registers hold to what records mean.
//!
//! Every converter takes text or bytes and answers with a value, a value with [`Notes`], or a [`Defect`]. None guesses,
//! none panics, none reads a clock, a file or the network. Which converter applies to which column, and what to do with
//! a defect, is left to the mapping engine; per-source value tables live in the mappings.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout))]

mod address;
mod agency;
mod codes;
mod date;
mod encoding;
mod industry;
mod insurance;
mod letter;
mod name;
mod number;
mod organisation;
mod outcome;
mod personal_id;
mod syllable;
mod tax_code;
mod text;

pub use address::{Commune, CommuneUnit, MapKind, Province, Vintage, commune, communes, old_communes, province};
pub use agency::{agency_code, budget_unit_code, dossier_number};
pub use codes::{CodeEntry, CodeList, CodedValue, Gender, code_list, code_schemes, label_key};
pub use date::{
    DateFormat, PartialDate, birth_date, birth_date_of_parts, birth_date_with_precision, date_of_parts, partial_date,
    partial_date_with_precision,
};
pub use encoding::{Encoding, alarm, decode, decode_text, encode};
pub use industry::{IndustryCode, IndustryVintage, industry_code};
pub use insurance::{HealthInsuranceCard, health_insurance_card, social_insurance_number};
pub use name::{PersonName, canonical_tone, fold_name, marked_key, org_name, person_name};
pub use number::{boolean, decimal, vnd};
pub use organisation::organisation_keys;
pub use outcome::{Conversion, Converted, Defect, Grade, Note, Notes, UnknownName};
pub use personal_id::{PersonalId, contradicts, legacy_id, personal_id, personal_id_of_number};
pub use tax_code::{TaxCode, tax_code, tax_code_check_digit, tax_code_of_number};
pub use text::text;
