//! Reading the leaf fields of a record type from its descriptor and the options that stand on it.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

use super::{Field, FieldKind, SchemaError};
use crate::options::v1::{FieldDescription, IdentifierKind, RecordDescription, Sensitivity};

/// The custom options, found once per pool.
pub(super) struct Options {
    field: ExtensionDescriptor,
    record: ExtensionDescriptor,
    value: ExtensionDescriptor,
}

impl Options {
    pub(super) fn of(pool: &DescriptorPool) -> Result<Self, SchemaError> {
        let find = |name: &'static str| pool.get_extension_by_name(name).ok_or(SchemaError::OptionMissing(name));
        Ok(Self {
            field: find("lienthong.options.v1.field")?,
            record: find("lienthong.options.v1.record")?,
            value: find("lienthong.options.v1.value")?,
        })
    }

    pub(super) fn record(&self, message: &MessageDescriptor) -> Result<Option<RecordDescription>, SchemaError> {
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
pub(super) struct Nesting {
    descriptors: Vec<FieldDescriptor>,
    labels_vi: Vec<String>,
    labels_en: Vec<String>,
}

pub(super) struct Walk<'a> {
    pub(super) options: &'a Options,
    pub(super) fields: Vec<Field>,
    pub(super) undescribed: &'a mut Vec<String>,
}

impl Walk<'_> {
    pub(super) fn message(&mut self, message: &MessageDescriptor, nesting: &Nesting) -> Result<(), SchemaError> {
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
                        return Err(SchemaError::Recursive {
                            place: place(&descriptor.parent_file(), descriptor.path()),
                            name: inner.full_name().to_owned(),
                        });
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
                    place: place(&descriptor.parent_file(), descriptor.path()),
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
            let place = place(&descriptor.parent_file(), descriptor.path());
            self.undescribed.push(format!("{place}: field {} lacks {}", descriptor.full_name(), missing.join(", ")));
        }
    }
}

/// Where something is declared: `file:line:column`, as far as the descriptors say it.
pub(super) fn place(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    match location.map(|location| location.span.as_slice()) {
        Some([line, column, ..]) => format!("{}:{}:{}", file.name(), line + 1, column + 1),
        _ => file.name().to_owned(),
    }
}
