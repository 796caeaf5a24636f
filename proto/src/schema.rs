//! Record types as the hub sees them: which leaf fields a record has, how each is labelled and classed.
//!
//! Everything that needs to know a record type (mapping, policy, masks, catalogue, command line) reads it here, so a
//! record type whose descriptor lacks a label or a class is refused once, at start.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, OnceLock},
};

use fixedbitset::FixedBitSet;
use prost_reflect::{DescriptorPool, FieldDescriptor, FileDescriptor, MessageDescriptor};

use crate::options::v1::{IdentifierKind, Sensitivity};

#[cfg(test)]
mod tests;
mod walk;

use walk::{Nesting, Options, Walk, place};

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
    /// Record types and fields without label, class or group, each with its place and what is missing.
    #[error("{}", .0.join("; "))]
    Undescribed(Vec<String>),
    /// A field has a type that records may not use.
    #[error(
        "{place}: field {name} has type {kind}; records use string, bool, int32, value messages and messages that nest these"
    )]
    UnsupportedType {
        /// File, line and column.
        place: String,
        /// Full name of the field.
        name: String,
        /// Its type.
        kind: String,
    },
    /// A message nests itself, so its leaves cannot be listed.
    #[error("{place}: message {name} nests itself")]
    Recursive {
        /// File, line and column of the field that does.
        place: String,
        /// Full name of the message.
        name: String,
    },
    /// A concept has no source of authority, or several.
    #[error(
        "concept {concept} has {count} authorities; exactly one record type must be its source of authority: {places}"
    )]
    Authority {
        /// The concept.
        concept: String,
        /// How many fields claim authority.
        count: usize,
        /// Where fields state it.
        places: String,
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
    /// The schema of the record types built into this crate: always the same one, whose record types are the same objects.
    pub fn builtin() -> Result<Self, SchemaError> {
        static BUILTIN: OnceLock<Schema> = OnceLock::new();
        if let Some(schema) = BUILTIN.get() {
            return Ok(schema.clone());
        }
        let schema = Self::from_descriptors(crate::DESCRIPTORS)?;
        Ok(BUILTIN.get_or_init(|| schema).clone())
    }

    /// Reads an encoded `FileDescriptorSet`. It must hold `lienthong/options/v1/options.proto`.
    pub fn from_descriptors(descriptors: &[u8]) -> Result<Self, SchemaError> {
        Self::from_pool(DescriptorPool::decode(descriptors)?)
    }

    /// Reads the record types of a pool.
    pub fn from_pool(pool: DescriptorPool) -> Result<Self, SchemaError> {
        Self::read(pool, BTreeMap::new())
    }

    /// Reads the record types of a pool that holds all files of another schema and more. Those of the other schema are
    /// taken over as they are, so that what was made for them stays good; and so are, of a schema that was read before, those
    /// whose file and whatever it imports are the same.
    pub fn extended(base: &Self, before: Option<&Self>, pool: DescriptorPool) -> Result<Self, SchemaError> {
        let mut kept = base.record_types.clone();
        let mut known = HashMap::new();
        for record_type in before.into_iter().flat_map(Self::record_types) {
            if is_unchanged(&record_type.descriptor.parent_file(), &pool, &mut known) {
                kept.entry(record_type.name.clone()).or_insert_with(|| Arc::clone(record_type));
            }
        }
        Self::read(pool, kept)
    }

    fn read(pool: DescriptorPool, mut record_types: BTreeMap<String, Arc<RecordType>>) -> Result<Self, SchemaError> {
        let options = Options::of(&pool)?;
        let mut undescribed = Vec::new();
        for descriptor in pool.all_messages() {
            if record_types.contains_key(descriptor.full_name()) {
                continue;
            }
            let Some(record) = options.record(&descriptor)? else { continue };
            for (what, value) in [("vi", &record.vi), ("en", &record.en), ("sector", &record.sector)] {
                if value.is_empty() {
                    let place = place(&descriptor.parent_file(), descriptor.path());
                    undescribed.push(format!("{place}: record type {} lacks {what}", descriptor.full_name()));
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
        let mut stated: BTreeMap<&str, Vec<&Field>> = BTreeMap::new();
        for field in self.record_types().flat_map(|record| &record.fields) {
            if let Some(concept) = &field.concept {
                stated.entry(concept).or_default().push(field);
            }
        }
        let count = |fields: &[&Field]| fields.iter().filter(|field| field.authority).count();
        match stated.into_iter().find(|(_, fields)| count(fields) != 1) {
            None => Ok(()),
            Some((concept, fields)) => {
                let last = fields.iter().filter_map(|field| field.descriptors.last());
                let places: Vec<_> = last.map(|field| place(&field.parent_file(), field.path())).collect();
                let count = count(&fields);
                Err(SchemaError::Authority { concept: concept.to_owned(), count, places: places.join(", ") })
            }
        }
    }
}

/// Whether a pool has the same file, with the same imports. What was found is kept by file.
fn is_unchanged(file: &FileDescriptor, pool: &DescriptorPool, known: &mut HashMap<String, bool>) -> bool {
    if let Some(unchanged) = known.get(file.name()) {
        return *unchanged;
    }
    let same = pool.get_file_by_name(file.name()).is_some_and(|other| other.encode_to_vec() == file.encode_to_vec());
    let unchanged = same && file.dependencies().all(|imported| is_unchanged(&imported, pool, known));
    known.insert(file.name().to_owned(), unchanged);
    unchanged
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
