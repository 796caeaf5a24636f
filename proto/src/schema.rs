//! Record types as the hub sees them: which leaf fields a record has, how each is labelled and classed.
//!
//! Everything that needs to know a record type (mapping, policy, masks, catalogue, command line) reads it here, so a
//! record type whose descriptor lacks a label or a class is refused once, at start.

use std::{collections::BTreeMap, fmt, sync::Arc};

use fixedbitset::FixedBitSet;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::options::v1::{FieldDescription, IdentifierKind, RecordDescription, Sensitivity};

#[cfg(test)]
mod tests;

/// Why a set of descriptors is not a valid schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are not a descriptor set, or it does not link.
    #[error("descriptors cannot be read: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The options file is not among the descriptors.
    #[error("descriptors lack the option {0}")]
    OptionMissing(&'static str),
    /// An option is there but cannot be read.
    #[error("the options of {name} cannot be read")]
    OptionUnreadable {
        /// Full name of the field or message.
        name: String,
    },
    /// Fields without label, class or group, by full name with what is missing.
    #[error("fields without a complete description: {}", .0.join(", "))]
    Undescribed(Vec<String>),
    /// A field has a type that records may not use.
    #[error(
        "field {name} has type {kind}; records use string, bool, int32, value messages and messages that nest these"
    )]
    UnsupportedType {
        /// Full name of the field.
        name: String,
        /// Its type.
        kind: String,
    },
    /// A message nests itself, so its leaves cannot be listed.
    #[error("message {0} nests itself")]
    Recursive(String),
    /// A concept has no source of authority, or several.
    #[error("concept {concept} has {count} authorities; exactly one record type must be its source of authority")]
    Authority {
        /// The concept.
        concept: String,
        /// How many fields claim authority.
        count: usize,
    },
}

/// All record types, with the descriptors they come from.
#[derive(Debug, Clone)]
pub struct Schema {
    pool: DescriptorPool,
    record_types: BTreeMap<String, Arc<RecordType>>,
}

/// A record type and its leaf fields.
#[derive(Debug)]
pub struct RecordType {
    /// Full name, for example `lienthong.<sector>.v1.<Record>`.
    pub name: String,
    /// Label in Vietnamese.
    pub label_vi: String,
    /// Label in English.
    pub label_en: String,
    /// Sector in snake_case.
    pub sector: String,
    /// The message.
    pub descriptor: MessageDescriptor,
    /// Leaf fields in the order of the message; a [`FieldSet`] holds positions in this list.
    pub fields: Vec<Field>,
    by_path: BTreeMap<String, usize>,
}

/// A leaf field: the unit that is mapped, granted, released, withheld and judged.
#[derive(Debug)]
pub struct Field {
    /// Path from the record, names joined by dots; it passes through repeated messages ("convictions.court").
    pub path: String,
    /// Label in Vietnamese, with the labels of the messages it is nested in.
    pub label_vi: String,
    /// Label in English, likewise.
    pub label_en: String,
    /// Sensitivity class; never unspecified.
    pub sensitivity: Sensitivity,
    /// Field group.
    pub group: String,
    /// The kind of number of the record's own subject this field holds.
    pub identifies: Option<IdentifierKind>,
    /// The fact about the subject this field states.
    pub concept: Option<String>,
    /// Whether this field is the source of authority for its concept.
    pub authority: bool,
    /// Value type.
    pub kind: FieldKind,
    /// True when the field or a message it is nested in is repeated.
    pub repeated: bool,
    /// Descriptors from the record down to the field.
    pub descriptors: Vec<FieldDescriptor>,
}

/// The types of leaf values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    String,
    /// True or false; declared `optional`, so that a register that says no differs from one that says nothing.
    Bool,
    /// Whole number.
    Int32,
    /// A message marked as one value, by full name.
    Value(String),
}

impl fmt::Display for FieldKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Value(name) => name,
        })
    }
}

impl Schema {
    /// The schema of the record types built into this crate.
    pub fn builtin() -> Result<Self, SchemaError> {
        Self::from_descriptors(crate::DESCRIPTORS)
    }

    /// Reads an encoded `FileDescriptorSet`. It must hold `lienthong/options/v1/options.proto`.
    pub fn from_descriptors(descriptors: &[u8]) -> Result<Self, SchemaError> {
        Self::from_pool(DescriptorPool::decode(descriptors)?)
    }

    /// Reads the record types of a pool.
    pub fn from_pool(pool: DescriptorPool) -> Result<Self, SchemaError> {
        let options = Options::of(&pool)?;
        let mut record_types = BTreeMap::new();
        let mut undescribed = Vec::new();
        for descriptor in pool.all_messages() {
            let Some(record) = options.record(&descriptor)? else { continue };
            for (what, value) in [("vi", &record.vi), ("en", &record.en), ("sector", &record.sector)] {
                if value.is_empty() {
                    undescribed.push(format!("{} ({what})", descriptor.full_name()));
                }
            }
            let mut walk = Walk { options: &options, fields: Vec::new(), undescribed: &mut undescribed };
            walk.message(&descriptor, &Nesting::default())?;
            let fields = walk.fields;
            let by_path = fields.iter().enumerate().map(|(index, field)| (field.path.clone(), index)).collect();
            let name = descriptor.full_name().to_owned();
            record_types.insert(
                name.clone(),
                Arc::new(RecordType {
                    name,
                    label_vi: record.vi,
                    label_en: record.en,
                    sector: record.sector,
                    descriptor,
                    fields,
                    by_path,
                }),
            );
        }
        if !undescribed.is_empty() {
            return Err(SchemaError::Undescribed(undescribed));
        }
        let schema = Self { pool, record_types };
        schema.check_authorities()?;
        Ok(schema)
    }

    /// The descriptors.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The record type of this full name.
    pub fn record_type(&self, name: &str) -> Option<&Arc<RecordType>> {
        self.record_types.get(name)
    }

    /// All record types, by name.
    pub fn record_types(&self) -> impl Iterator<Item = &Arc<RecordType>> {
        self.record_types.values()
    }

    fn check_authorities(&self) -> Result<(), SchemaError> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for field in self.record_types().flat_map(|record| &record.fields) {
            if let Some(concept) = &field.concept {
                *counts.entry(concept).or_default() += usize::from(field.authority);
            }
        }
        match counts.into_iter().find(|(_, count)| *count != 1) {
            None => Ok(()),
            Some((concept, count)) => Err(SchemaError::Authority { concept: concept.to_owned(), count }),
        }
    }
}

impl RecordType {
    /// The leaf field at a path.
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.by_path.get(path).map(|&index| &self.fields[index])
    }

    /// Position of the leaf field at a path.
    pub fn field_index(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// The leaves a mask path names: the field itself, or all leaves of the message it nests. Empty when the path names
    /// nothing.
    pub fn expand(&self, path: &str) -> FieldSet {
        let mut set = self.no_fields();
        if let Some(index) = self.field_index(path) {
            set.insert(index);
        } else {
            for (index, field) in self.fields.iter().enumerate() {
                if field.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')) {
                    set.insert(index);
                }
            }
        }
        set
    }

    /// The empty set of this record type's fields.
    pub fn no_fields(&self) -> FieldSet {
        FieldSet(FixedBitSet::with_capacity(self.fields.len()))
    }

    /// The set of all fields.
    pub fn all_fields(&self) -> FieldSet {
        let mut set = self.no_fields();
        set.0.insert_range(..);
        set
    }

    /// The fields of a set, in order.
    pub fn fields_of<'a>(&'a self, set: &'a FieldSet) -> impl Iterator<Item = &'a Field> + 'a {
        set.iter().filter_map(|index| self.fields.get(index))
    }

    /// The paths of a set, in order.
    pub fn paths_of(&self, set: &FieldSet) -> Vec<String> {
        self.fields_of(set).map(|field| field.path.clone()).collect()
    }
}

/// A set of leaf fields of one record type, as positions in [`RecordType::fields`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FieldSet(FixedBitSet);

impl FieldSet {
    /// Adds a field.
    pub fn insert(&mut self, index: usize) {
        self.0.grow(index + 1);
        self.0.insert(index);
    }

    /// Whether the field is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0.contains(index)
    }

    /// Positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.ones()
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.0.count_ones(..)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_clear()
    }

    /// Adds all fields of another set.
    pub fn union_with(&mut self, other: &Self) {
        self.0.union_with(&other.0);
    }

    /// The fields in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.0.intersect_with(&other.0);
        result
    }

    /// The fields of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.0.difference_with(&other.0);
        result
    }
}

/// The custom options, found once per pool.
struct Options {
    field: ExtensionDescriptor,
    record: ExtensionDescriptor,
    value: ExtensionDescriptor,
}

impl Options {
    fn of(pool: &DescriptorPool) -> Result<Self, SchemaError> {
        let find = |name: &'static str| pool.get_extension_by_name(name).ok_or(SchemaError::OptionMissing(name));
        Ok(Self {
            field: find("lienthong.options.v1.field")?,
            record: find("lienthong.options.v1.record")?,
            value: find("lienthong.options.v1.value")?,
        })
    }

    fn record(&self, message: &MessageDescriptor) -> Result<Option<RecordDescription>, SchemaError> {
        read(&message.options(), &self.record, message.full_name())
    }

    fn field(&self, field: &FieldDescriptor) -> Result<FieldDescription, SchemaError> {
        Ok(read(&field.options(), &self.field, field.full_name())?.unwrap_or_default())
    }

    fn is_value(&self, message: &MessageDescriptor) -> bool {
        message.options().get_extension(&self.value).as_bool().unwrap_or(false)
    }
}

fn read<M: prost::Message + Default>(
    options: &DynamicMessage,
    extension: &ExtensionDescriptor,
    name: &str,
) -> Result<Option<M>, SchemaError> {
    if !options.has_extension(extension) {
        return Ok(None);
    }
    let unreadable = || SchemaError::OptionUnreadable { name: name.to_owned() };
    let value = options.get_extension(extension);
    let message = value.as_message().ok_or_else(unreadable)?;
    message.transcode_to().map(Some).map_err(|_| unreadable())
}

/// Where the walk stands: the fields passed on the way from the record.
#[derive(Default, Clone)]
struct Nesting {
    descriptors: Vec<FieldDescriptor>,
    labels_vi: Vec<String>,
    labels_en: Vec<String>,
}

struct Walk<'a> {
    options: &'a Options,
    fields: Vec<Field>,
    undescribed: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn message(&mut self, message: &MessageDescriptor, nesting: &Nesting) -> Result<(), SchemaError> {
        for descriptor in message.fields() {
            let description = self.options.field(&descriptor)?;
            self.check(&descriptor, &description);
            let mut here = nesting.clone();
            here.descriptors.push(descriptor.clone());
            here.labels_vi.push(description.vi.clone());
            here.labels_en.push(description.en.clone());
            match descriptor.kind() {
                Kind::Message(inner) if !self.options.is_value(&inner) => {
                    let recursive = here.descriptors.iter().any(|outer| outer.parent_message() == &inner);
                    if recursive || descriptor.is_map() {
                        return Err(SchemaError::Recursive(inner.full_name().to_owned()));
                    }
                    self.message(&inner, &here)?;
                }
                _ => self.leaf(&descriptor, description, here)?,
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        descriptor: &FieldDescriptor,
        description: FieldDescription,
        nesting: Nesting,
    ) -> Result<(), SchemaError> {
        let kind = match descriptor.kind() {
            Kind::String => FieldKind::String,
            Kind::Bool => FieldKind::Bool,
            Kind::Int32 => FieldKind::Int32,
            Kind::Message(value) => FieldKind::Value(value.full_name().to_owned()),
            other => {
                return Err(SchemaError::UnsupportedType {
                    name: descriptor.full_name().to_owned(),
                    kind: format!("{other:?}"),
                });
            }
        };
        let path = nesting.descriptors.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
        self.fields.push(Field {
            path,
            label_vi: nesting.labels_vi.join(": "),
            label_en: nesting.labels_en.join(": "),
            sensitivity: description.sensitivity(),
            identifies: Some(description.identifies())
                .filter(|kind| *kind != IdentifierKind::Unspecified && nesting.descriptors.len() == 1),
            group: description.group,
            concept: Some(description.concept).filter(|concept| !concept.is_empty()),
            authority: description.authority,
            kind,
            repeated: nesting.descriptors.iter().any(FieldDescriptor::is_list),
            descriptors: nesting.descriptors,
        });
        Ok(())
    }

    fn check(&mut self, descriptor: &FieldDescriptor, description: &FieldDescription) {
        let mut missing = Vec::new();
        for (what, absent) in [
            ("vi", description.vi.is_empty()),
            ("en", description.en.is_empty()),
            ("group", description.group.is_empty()),
            ("sensitivity", description.sensitivity() == Sensitivity::Unspecified),
        ] {
            if absent {
                missing.push(what);
            }
        }
        if !missing.is_empty() {
            self.undescribed.push(format!("{} ({})", descriptor.full_name(), missing.join(", ")));
        }
    }
}
