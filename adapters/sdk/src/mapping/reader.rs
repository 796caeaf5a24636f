//! Reads TOML tables key by key, noting every problem with its place instead of stopping at the first.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned as TomlSpanned,
    de::{DeTable, DeValue},
};

use crate::{
    mapping::Spanned,
    problem::{Problems, suggest},
};

type Node<'a> = TomlSpanned<DeValue<'a>>;

/// A table being read. Keys never asked for are reported by [`Reader::finish`].
pub(super) struct Reader<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    place: String,
    asked: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, span: Range<usize>, place: impl Into<String>) -> Self {
        Self { table, span, place: place.into(), asked: Vec::new() }
    }

    /// A reader on a node that must be a table.
    pub(super) fn on(node: &'a Node<'a>, place: &str, problems: &mut Problems<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, node.span(), place)),
            other => {
                problems.add(&node.span(), place, format!("a table is expected here, not {}", other.type_str()));
                None
            }
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Renames the place in errors once more is known of it.
    pub(super) fn set_place(&mut self, place: String) {
        self.place = place;
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<&'a Node<'a>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, node)| node)
    }

    /// All keys with their nodes; the table then has no unknown keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Spanned<String>, &'a Node<'a>)> + use<'a> {
        self.table
            .iter()
            .map(|(key, node)| (Spanned { value: key.get_ref().clone().into_owned(), span: key.span() }, node))
    }

    pub(super) fn text(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<Spanned<String>> {
        let node = self.get(key)?;
        text(node, &format!("{}, {key}", self.place), problems)
    }

    pub(super) fn required_text(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<Spanned<String>> {
        if self.get(key).is_none() {
            problems.add(&self.span, &self.place, format!("\"{key}\" is missing"));
        }
        self.text(key, problems)
    }

    pub(super) fn flag(&mut self, key: &'static str, problems: &mut Problems<'_>) -> bool {
        match self.get(key).map(|node| (node.get_ref(), node.span())) {
            None => false,
            Some((DeValue::Boolean(value), _)) => *value,
            Some((_, span)) => {
                problems.add(&span, &self.place, format!("\"{key}\" is true or false"));
                false
            }
        }
    }

    pub(super) fn texts(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Vec<Spanned<String>> {
        self.get(key).map(|node| texts(node, &self.place, problems)).unwrap_or_default()
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Vec<Reader<'a>> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = node.get_ref() else {
            problems.add(&node.span(), &self.place, format!("\"{key}\" is a list of tables: write [[…{key}]]"));
            return Vec::new();
        };
        array.iter().filter_map(|item| Reader::on(item, &self.place, problems)).collect()
    }

    /// Reports keys nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        for (key, _) in self.entries() {
            if !self.asked.contains(&key.value.as_str()) {
                let hint = suggest(&key.value, self.asked.iter().copied());
                problems.add(&key.span, &self.place, format!("unknown key \"{}\"{hint}", key.value));
            }
        }
    }
}

pub(super) fn text(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Option<Spanned<String>> {
    match node.get_ref() {
        DeValue::String(text) if text.is_empty() => {
            problems.add(&node.span(), place, "the text is empty");
            None
        }
        DeValue::String(text) => Some(Spanned { value: text.clone().into_owned(), span: node.span() }),
        other => {
            problems.add(&node.span(), place, format!("a text in quotes is expected here, not {}", other.type_str()));
            None
        }
    }
}

/// A list of texts; one text stands for a list of one.
pub(super) fn texts(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Vec<Spanned<String>> {
    match node.get_ref() {
        DeValue::Array(array) => {
            if array.is_empty() {
                problems.add(&node.span(), place, "the list is empty");
            }
            array.iter().filter_map(|item| text(item, place, problems)).collect()
        }
        _ => text(node, place, problems).into_iter().collect(),
    }
}

/// A text, number or flag as the text a column would hold.
pub(super) fn literal(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Option<String> {
    match node.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        other => {
            let found = other.type_str();
            problems.add(
                &node.span(),
                place,
                format!("a text, a decimal whole number, true or false is expected, not {found}"),
            );
            None
        }
    }
}

/// A table of texts.
pub(super) fn text_table(
    node: &Node<'_>,
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<Spanned<BTreeMap<String, String>>> {
    let reader = Reader::on(node, place, problems)?;
    let value = reader
        .entries()
        .filter_map(|(key, node)| text(node, place, problems).map(|text| (key.value, text.value)))
        .collect();
    Some(Spanned { value, span: node.span() })
}
