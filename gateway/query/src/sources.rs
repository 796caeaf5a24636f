//! The sources the hub may ask, and the identity links that follow from what they describe.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use adapter_sdk::{Adapter, Criterion, CriterionKind, RecordDescription};
use proto::{
    FieldSet, RecordType,
    options::v1::{IdentifierKind, Sensitivity},
};

use crate::source::{EndpointLoad, Source};

/// Longest chain of identity links followed.
const LINK_HOPS_MAX: usize = 2;

/// Why a set of sources cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    /// Two sources have one id.
    #[error("two sources are called {0}")]
    DuplicateId(String),
}

/// All sources.
pub struct Sources {
    list: Vec<Arc<Source>>,
    by_record_type: BTreeMap<String, Vec<usize>>,
    links: Vec<Link>,
}

/// From one kind of number to another, through a record that is found by the first and states the second.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) from: IdentifierKind,
    pub(crate) to: IdentifierKind,
    pub(crate) source: usize,
    pub(crate) record_type: Arc<RecordType>,
    /// The fields that state the two numbers.
    pub(crate) from_field: usize,
    pub(crate) to_field: usize,
    authority: bool,
}

impl Sources {
    /// Takes the sources in the order in which they are to appear in answers.
    pub fn new(list: Vec<Arc<Source>>) -> Result<Self, SourcesError> {
        let mut sources = Self { list: Vec::new(), by_record_type: BTreeMap::new(), links: Vec::new() };
        let mut ids = BTreeSet::new();
        for (index, source) in list.into_iter().enumerate() {
            let description = source.adapter().describe();
            if !ids.insert(description.id.clone()) {
                return Err(SourcesError::DuplicateId(description.id.clone()));
            }
            for record in &description.records {
                sources.by_record_type.entry(record.record_type.name.clone()).or_default().push(index);
                sources.links.extend(links_of(index, &record.record_type, &record.lookup, &record.fields));
            }
            sources.list.push(source);
        }
        // The source of authority is asked first.
        sources.links.sort_by_key(|link| !link.authority);
        Ok(sources)
    }

    /// The adapters, in order.
    pub fn adapters(&self) -> impl Iterator<Item = &Arc<dyn Adapter>> {
        self.list.iter().map(|source| source.adapter())
    }

    /// What each source and replica is doing now.
    pub fn loads(&self) -> impl Iterator<Item = EndpointLoad<'_>> {
        self.list.iter().flat_map(|source| source.loads())
    }

    /// The source of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Source>> {
        self.list.iter().find(|source| source.id() == id).map(Arc::clone)
    }

    /// Whether a record type can be found from a kind of number, directly or over identity links.
    pub fn reaches(&self, record_type: &RecordType, from: IdentifierKind) -> bool {
        self.holding(record_type).iter().any(|&source| {
            let (known, _) = self.list[source].lookup(record_type);
            known.iter().any(|&kind| kind == from || !self.paths(from, kind).is_empty())
        })
    }

    /// Whether any source holds the record type.
    pub fn holds(&self, record_type: &RecordType) -> bool {
        !self.holding(record_type).is_empty()
    }

    /// The fields a search by these criteria compares and those it may show; none when no source offers it.
    pub fn search_fields(&self, record_type: &RecordType, kinds: &[CriterionKind]) -> Option<SearchFields> {
        let mut found: Option<SearchFields> = None;
        for source in self.holding(record_type).iter().map(|&index| &self.list[index]) {
            let Some(record) = source.adapter().describe().record(&record_type.name) else { continue };
            if !searched_by(record, kinds) {
                continue;
            }
            let fields = found.get_or_insert_with(|| SearchFields {
                compared: record_type.no_fields(),
                shown: record_type.no_fields(),
            });
            for search in &record.search {
                fields.shown.insert(search.field);
                if kinds.contains(&search.kind) {
                    fields.compared.insert(search.field);
                }
            }
            fields.shown.union_with(&naming_fields(record));
        }
        found
    }

    /// The sources that search the record type by all of these criteria, with the fields each shows.
    pub(crate) fn searching(&self, record_type: &RecordType, criteria: &[Criterion]) -> Vec<(&Source, FieldSet)> {
        let kinds: Vec<_> = criteria.iter().map(Criterion::kind).collect();
        let holding = self.holding(record_type).iter().map(|&index| &*self.list[index]);
        let searching = holding.filter_map(|source| {
            let record = source.adapter().describe().record(&record_type.name)?;
            let mut shown = naming_fields(record);
            record.search.iter().for_each(|search| shown.insert(search.field));
            searched_by(record, &kinds).then_some((source, shown))
        });
        searching.collect()
    }

    pub(crate) fn holding(&self, record_type: &RecordType) -> &[usize] {
        self.by_record_type.get(&record_type.name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn at(&self, index: usize) -> &Source {
        &self.list[index]
    }

    /// The kinds of number that links lead to.
    pub(crate) fn link_kinds(&self) -> impl Iterator<Item = IdentifierKind> + '_ {
        self.links.iter().map(|link| link.to)
    }

    /// The chains of links from one kind of number to another, shortest first, authorities first.
    pub(crate) fn paths(&self, from: IdentifierKind, to: IdentifierKind) -> Vec<Vec<&Link>> {
        let mut found = Vec::new();
        let mut open: Vec<Vec<&Link>> =
            self.links.iter().filter(|link| link.from == from).map(|link| vec![link]).collect();
        for _ in 0..LINK_HOPS_MAX {
            let mut longer = Vec::new();
            for path in open {
                let Some(end) = path.last().map(|link| link.to) else { continue };
                if end == to {
                    found.push(path);
                    continue;
                }
                let onward = self.links.iter().filter(|link| {
                    link.from == end && link.to != from && path.iter().all(|passed| passed.from != link.to)
                });
                longer.extend(onward.map(|link| path.iter().copied().chain([link]).collect::<Vec<_>>()));
            }
            open = longer;
        }
        found
    }
}

/// The fields of a search.
#[derive(Debug, Clone)]
pub struct SearchFields {
    /// Those compared with the criteria.
    pub compared: FieldSet,
    /// Those a candidate is shown by, the compared ones among them.
    pub shown: FieldSet,
}

fn searched_by(record: &RecordDescription, kinds: &[CriterionKind]) -> bool {
    !kinds.is_empty() && kinds.iter().all(|kind| record.search.iter().any(|search| search.kind == *kind))
}

/// The fields that name the record's own subject by a number it can be asked about by.
fn naming_fields(record: &RecordDescription) -> FieldSet {
    let mut fields = record.record_type.no_fields();
    for index in record.fields.iter() {
        let Some(field) = record.record_type.fields.get(index) else { continue };
        if !field.repeated && field.identifies.is_some_and(|kind| record.lookup.contains(&kind)) {
            fields.insert(index);
        }
    }
    fields
}

/// The links a record offers: it is found by one number of its own subject and states another. An enterprise found by its
/// representative's number is no link, because that number does not name the enterprise. A number that is itself sensitive
/// data in its register (a criminal record's, say) is no link either: the hub does not consult such a register merely to
/// find out who somebody is.
fn links_of(source: usize, record_type: &Arc<RecordType>, lookup: &[IdentifierKind], mapped: &FieldSet) -> Vec<Link> {
    let naming: Vec<(IdentifierKind, usize)> = mapped
        .iter()
        .filter_map(|index| {
            let field = record_type.fields.get(index)?;
            let usable = field.sensitivity != Sensitivity::Sensitive && !field.repeated;
            field.identifies.filter(|_| usable).map(|kind| (kind, index))
        })
        .collect();
    let mut links = Vec::new();
    for &(from, from_field) in naming.iter().filter(|(kind, _)| lookup.contains(kind)) {
        links.extend(naming.iter().filter(|(to, _)| *to != from).map(|&(to, to_field)| Link {
            from,
            to,
            source,
            record_type: Arc::clone(record_type),
            from_field,
            to_field,
            authority: record_type.fields[to_field].authority,
        }));
    }
    links
}
