//! The registers the hub knows: the one visible list. A sector is a folder beside this file and an entry in it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use adapter_sdk::Functions;

#[path = "insurance/derive.rs"]
mod insurance;

/// A sector's register: how it is read, and the shape of its reference database.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// The source's id, equal to `source` in its mapping.
    pub id: &'static str,
    /// `mapping.toml`.
    pub mapping: &'static str,
    /// `schema.sql` of the reference database, in PostgreSQL's dialect.
    pub schema: &'static str,
    /// The functions its mapping may name.
    pub functions: fn() -> Functions,
}

/// All registers.
pub fn all() -> [Register; 6] {
    [
        Register {
            id: "population",
            mapping: include_str!("population/mapping.toml"),
            schema: include_str!("population/schema/schema.sql"),
            functions: Functions::new,
        },
        Register {
            id: "civil-status",
            mapping: include_str!("civil-status/mapping.toml"),
            schema: include_str!("civil-status/schema/schema.sql"),
            functions: Functions::new,
        },
        Register {
            id: "judicial-records",
            mapping: include_str!("judicial-records/mapping.toml"),
            schema: include_str!("judicial-records/schema/schema.sql"),
            functions: Functions::new,
        },
        Register {
            id: "insurance",
            mapping: include_str!("insurance/mapping.toml"),
            schema: include_str!("insurance/schema/schema.sql"),
            functions: insurance::functions,
        },
        Register {
            id: "business-registry",
            mapping: include_str!("business-registry/mapping.toml"),
            schema: include_str!("business-registry/schema/schema.sql"),
            functions: Functions::new,
        },
        Register {
            id: "budget-units",
            mapping: include_str!("budget-units/mapping.toml"),
            schema: include_str!("budget-units/schema/schema.sql"),
            functions: Functions::new,
        },
    ]
}
