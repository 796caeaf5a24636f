//! Converted values, and how they become parts of a record.

use normalize::{CodedValue, MapKind, PartialDate, PersonName, Vintage};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind};
use proto::{FieldKind, common::v1 as wire};
use rust_decimal::Decimal;

/// A converted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// Whole number.
    Int(i32),
    /// Date.
    Date(PartialDate),
    /// Name of a person.
    Name(PersonName),
    /// Address.
    Address(Box<Address>),
    /// Value of a code list.
    Code(CodedValue),
    /// Amount in đồng.
    Money(Decimal),
    /// Identity document.
    Document(Box<IdentityDocument>),
}

/// The type of a converted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// [`Value::Text`].
    Text,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::Int`].
    Int,
    /// [`Value::Date`].
    Date,
    /// [`Value::Name`].
    Name,
    /// [`Value::Address`].
    Address,
    /// [`Value::Code`].
    Code,
    /// [`Value::Money`].
    Money,
    /// [`Value::Document`].
    Document,
}

impl ValueType {
    /// Whether a field of this kind holds such values.
    pub(crate) fn fits(self, kind: &FieldKind) -> bool {
        match kind {
            FieldKind::String => self == Self::Text,
            FieldKind::Bool => self == Self::Bool,
            FieldKind::Int32 => self == Self::Int,
            FieldKind::Value(name) => self.message() == Some(name),
        }
    }

    const fn message(self) -> Option<&'static str> {
        match self {
            Self::Text | Self::Bool | Self::Int => None,
            Self::Date => Some("lienthong.common.v1.PartialDate"),
            Self::Name => Some("lienthong.common.v1.PersonName"),
            Self::Address => Some("lienthong.common.v1.Address"),
            Self::Code => Some("lienthong.common.v1.CodedValue"),
            Self::Money => Some("lienthong.common.v1.Money"),
            Self::Document => Some("lienthong.common.v1.IdentityDocument"),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Int => "int32",
            _ => match self.message() {
                Some(name) => name,
                None => "",
            },
        }
    }
}

/// An address with its codes as written and as of today. Empty text: not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// As the register wrote it.
    pub text: String,
    /// Commune as written.
    pub commune_code: String,
    /// Province as written.
    pub province_code: String,
    /// Vintage of the two codes.
    pub vintage: Option<Vintage>,
    /// Commune of today.
    pub mapped_commune_code: String,
    /// Province of today.
    pub mapped_province_code: String,
    /// How the mapped codes were found; absent when there is no code.
    pub map_kind: Option<MapKind>,
}

/// An identity document. Empty text: not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityDocument {
    /// Code of the list `identity_document_type`.
    pub kind: Option<CodedValue>,
    /// Number as printed, without spaces.
    pub number: String,
    /// Date of issue.
    pub issue_date: Option<PartialDate>,
    /// Issuing body.
    pub issue_place: String,
}

impl Value {
    /// The value as the type of a record's field; nothing when the types do not agree.
    pub(crate) fn into_field(self, field: &FieldDescriptor) -> Option<prost_reflect::Value> {
        let value = match self {
            Self::Text(text) => return Some(prost_reflect::Value::String(text)),
            Self::Bool(flag) => return Some(prost_reflect::Value::Bool(flag)),
            Self::Int(number) => return Some(prost_reflect::Value::I32(number)),
            Self::Date(date) => message(field, &date_message(date)),
            Self::Name(name) => message(
                field,
                &wire::PersonName {
                    full: name.full,
                    as_written: name.as_written.unwrap_or_default(),
                    folded: name.folded,
                },
            ),
            Self::Address(address) => message(field, &address_message(*address)),
            Self::Code(code) => message(field, &code_message(code)),
            Self::Money(amount) => message(field, &wire::Money { amount_vnd: amount.normalize().to_string() }),
            Self::Document(document) => message(
                field,
                &wire::IdentityDocument {
                    r#type: document.kind.map(code_message),
                    number: document.number,
                    issue_date: document.issue_date.map(date_message),
                    issue_place: document.issue_place,
                },
            ),
        };
        value.map(prost_reflect::Value::Message)
    }
}

fn message(field: &FieldDescriptor, value: &impl prost::Message) -> Option<DynamicMessage> {
    let Kind::Message(descriptor) = field.kind() else { return None };
    DynamicMessage::decode(descriptor, value.encode_to_vec().as_slice()).ok()
}

fn date_message(date: PartialDate) -> wire::PartialDate {
    wire::PartialDate { year: date.year.into(), month: date.month.map(i32::from), day: date.day.map(i32::from) }
}

fn code_message(code: CodedValue) -> wire::CodedValue {
    wire::CodedValue {
        scheme: code.scheme.into_owned(),
        version: code.version.into_owned(),
        code: code.code.into_owned(),
        label: code.label.into_owned(),
    }
}

fn address_message(address: Address) -> wire::Address {
    use wire::address as kinds;
    let vintage = address.vintage.map_or(kinds::Vintage::Unspecified, |vintage| match vintage {
        Vintage::Pre2025 => kinds::Vintage::Pre2025,
        Vintage::Post2025 => kinds::Vintage::Post2025,
        Vintage::Unknown => kinds::Vintage::Unknown,
    });
    let map_kind = address.map_kind.map_or(kinds::MapKind::Unspecified, |kind| match kind {
        MapKind::Current => kinds::MapKind::Current,
        MapKind::Whole => kinds::MapKind::Whole,
        MapKind::Divided => kinds::MapKind::Divided,
        MapKind::Unmapped => kinds::MapKind::Unmapped,
    });
    wire::Address {
        text: address.text,
        commune_code: address.commune_code,
        province_code: address.province_code,
        vintage: vintage.into(),
        mapped_commune_code: address.mapped_commune_code,
        mapped_province_code: address.mapped_province_code,
        map_kind: map_kind.into(),
    }
}
