//! Writes one guessed field: its columns, converter, options and doubts.

use std::collections::{BTreeMap, BTreeSet};

use normalize::code_list;

use super::{
    Found, beside,
    codes::{self, List},
    composite,
    guess::{From, Guess, Named, SURE, needs_format},
    inventory::ColumnFacts,
    render::{key, plain, string},
};
use crate::{Mapping, catalogue::ColumnType};

/// A column with more different values holds no codes.
const CODES_SHOWN_MAX: usize = 60;
/// Date formats a comment may name, longest first.
const FORMATS_NAMED: [&str; 7] =
    ["yyyy-mm-dd", "dd/mm/yyyy", "dd-mm-yyyy", "dd.mm.yyyy", "yyyymmdd", "mm/yyyy", "yyyymm"];

/// The code lists known, and those a draft turned out to need.
pub(super) struct Lists<'k> {
    known: &'k [Mapping],
    needed: BTreeSet<String>,
    declared: BTreeMap<String, List>,
}

impl<'k> Lists<'k> {
    pub(super) fn new(known: &'k [Mapping]) -> Self {
        Self { known, needed: BTreeSet::new(), declared: BTreeMap::new() }
    }

    /// The list of that name as some mapping declares it.
    fn own(&self, name: &str) -> Option<&List> {
        let declared = self.known.iter().find_map(|mapping| mapping.lists.get(name));
        declared.or_else(|| self.declared.get(name))
    }

    /// The lists the draft must declare.
    pub(super) fn used(&self) -> impl Iterator<Item = (&str, &List)> {
        self.needed.iter().filter_map(|name| Some((name.as_str(), self.own(name)?)))
    }

    /// The checks of a known mapping of the record type: name, and role to path.
    pub(super) fn checks(&self, record_type: &str) -> Vec<(String, BTreeMap<String, String>)> {
        let mut records = self.known.iter().flat_map(|mapping| &mapping.records);
        let record = records.find(|record| record.record_type.value == record_type);
        let checks = record.map(|record| record.checks.as_slice()).unwrap_or_default();
        let fields = |check: &crate::mapping::CheckMapping| {
            check.fields.iter().map(|(role, path)| (role.clone(), path.value.clone())).collect()
        };
        checks.iter().map(|check| (check.name.value.clone(), fields(check))).collect()
    }
}

/// A field as it stands in the file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) line: String,
    pub(super) remark: String,
    pub(super) doubts: Vec<String>,
    /// Whether it may not be read before somebody completes it.
    pub(super) left_out: bool,
}

pub(super) fn field(
    guess: &Guess<'_>,
    table: &Named<'_>,
    found: &Found,
    lists: &mut Lists<'_>,
    label: &str,
) -> Written {
    let target = guess.target;
    let (kept, counted) = without_row_numbers(guess, found, table);
    let guess = &kept;
    let mut written = Written { remark: remark(guess, table, label), ..Written::default() };
    if guess.score < SURE {
        written.doubts.push(format!("is this {label}?"));
    }
    for (column, other) in counted {
        written.doubts.push(format!(
            "{column} refers to rows of {other}: unless its numbers are the official ones, read what they stand for in a SELECT"
        ));
        written.left_out |= guess.from.columns().is_empty() || guess.from.columns().contains(&column.as_str());
    }
    let mut options = vec![format!("convert = {}", string(&target.convert))];
    let facts = |column: &str| table.column(column).map(|column| column.facts);
    let leading = guess.from.columns().first().and_then(|column| facts(column));
    let role = |name: &str| match &guess.from {
        From::Roles(roles) => roles.iter().find(|(role, _)| *role == name).and_then(|(_, column)| facts(column)),
        _ => None,
    };
    let dated = match target.convert.as_str() {
        "identity_document" => role("issue_date").filter(|column| column.kind != ColumnType::Date),
        _ => leading.filter(|column| needs_format(target, column) && matches!(guess.from, From::Column(_))),
    };
    if let Some(column) = dated {
        let formats: Vec<_> = formats(column, found, table, &mut written).into_iter().map(string).collect();
        options.push(match formats.as_slice() {
            [one] => format!("format = {one}"),
            several => format!("format = [{}]", several.join(", ")),
        });
    }
    written.doubts.extend(beside::exactness(target.convert.as_str(), &guess.from, table));
    written.doubts.extend(beside::times(target.convert.as_str(), &guess.from, found.sample(table)));
    written.doubts.extend(beside::zeros(target.convert.as_str(), &guess.from, table));
    written.doubts.extend(beside::percent(&target.path, &guess.from, found.sample(table)));
    written.doubts.extend(beside::money(target.convert.as_str(), &guess.from, table, found.sample(table)));
    if target.convert == "address" && composite::are_of_several(&guess.from, table) {
        written.doubts.push("do all these columns speak of this address?".to_owned());
    }
    match target.convert.as_str() {
        "code" => {
            if let Some(column) = leading {
                code(
                    column,
                    target.list.as_deref().unwrap_or_default(),
                    found,
                    table,
                    lists,
                    &mut options,
                    &mut written,
                );
            }
        }
        "identity_document" => {
            let list = target.list.clone().unwrap_or_else(|| {
                let own = "identity_document_type";
                if lists.own(own).is_some() { own } else { "identity_document" }.to_owned()
            });
            match role("type") {
                Some(column) => code(column, &list, found, table, lists, &mut options, &mut written),
                None => {
                    options.push(format!("list = {}", string(&list)));
                    lists.needed.insert(list);
                }
            }
        }
        "industry_code" if role("vintage").is_none() => {
            options.push(format!("vintage = {}", string(target.vintage.as_deref().unwrap_or("2018"))));
            written.doubts.push("which edition of VSIC: 2018, or 2025 (in force since 15 November 2025)?".to_owned());
        }
        "address" if role("commune").is_some() || role("province").is_some() => {
            written.doubts.push(
                "vintage = \"pre-2025\" or \"post-2025\" when all codes are from before or after 1 July 2025"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if ["person_name", "org_name", "text", "address"].contains(&target.convert.as_str()) {
        options.extend(encoding(&guess.from, found, table, &mut written));
    }
    if target.required {
        options.push("required = true".to_owned());
    }
    written.line = format!("{} = {{ from = {}, {} }}", key(&target.path), from(&guess.from), options.join(", "));
    written
}

fn from(from: &From) -> String {
    match from {
        From::Column(column) => string(column),
        From::Together(columns) => {
            format!("[{}]", columns.iter().map(|column| string(column)).collect::<Vec<_>>().join(", "))
        }
        From::Roles(roles) => {
            let roles: Vec<_> = roles.iter().map(|(role, column)| format!("{role} = {}", string(column))).collect();
            format!("{{ {} }}", roles.join(", "))
        }
    }
}

/// How sure the guess is, what the database says of the column, and what else it might be.
fn remark(guess: &Guess<'_>, table: &Named<'_>, label: &str) -> String {
    let mut remark = format!("{:.2} {label}", guess.score.min(1.0));
    let columns = guess.from.columns();
    let comment = columns.first().and_then(|column| table.column(column)).map(|column| plain(&column.facts.comment));
    if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
        remark += &format!("; \"{}\"", comment.chars().take(80).collect::<String>());
    }
    if !guess.others.is_empty() {
        let others: Vec<_> = guess.others.iter().map(|(column, score)| format!("{column} {score:.2}")).collect();
        remark += &format!("; or {}", others.join(", "));
    }
    remark
}

/// The form of dates in a column: as the rows show, as the comment says, or in doubt.
fn formats(column: &ColumnFacts, found: &Found, table: &Named<'_>, written: &mut Written) -> Vec<&'static str> {
    let seen = found.sample(table).and_then(|sample| sample.formats(&column.name));
    if let Some((formats, share)) = seen {
        if share < 0.95 {
            let these = if formats.len() == 1 { "this format" } else { "one of these formats" };
            written.doubts.push(format!("{:.0} % of the sampled dates have {these}", share * 100.0));
        }
        return formats;
    }
    let comment = column.comment.to_lowercase();
    if let Some(named) = FORMATS_NAMED.iter().find(|named| comment.contains(**named)) {
        return vec![match *named {
            "yyyy-mm-dd" => "yyyy-MM-dd",
            "dd/mm/yyyy" => "dd/MM/yyyy",
            "dd-mm-yyyy" => "dd-MM-yyyy",
            "dd.mm.yyyy" => "dd.MM.yyyy",
            "yyyymmdd" => "yyyyMMdd",
            "mm/yyyy" => "MM/yyyy",
            _ => "yyyyMM",
        }];
    }
    written.doubts.push("the format of these dates is a guess; draft with --sample to see it".to_owned());
    vec![match (&column.kind, column.width) {
        (ColumnType::Int, _) | (_, Some(8)) => "yyyyMMdd",
        (_, Some(6)) => "yyyyMM",
        _ => "dd/MM/yyyy",
    }]
}

/// The encoding of bytes, which have none of their own; that of text stands at the head of the file.
fn encoding(from: &From, found: &Found, table: &Named<'_>, written: &mut Written) -> Option<String> {
    let columns = from.columns();
    let held = |column: &&&str| table.column(column).is_some_and(|column| column.facts.kind == ColumnType::Bytes);
    columns.iter().find(held)?;
    let seen = found.sample(table).and_then(|sample| sample.encoding(&columns));
    match seen {
        Some(name) => {
            if name != "utf-8" {
                written.doubts.push("most of its sampled bytes read well in this encoding".to_owned());
            }
            Some(format!("encoding = {}", string(name)))
        }
        None => {
            written.doubts.push("which encoding are these bytes in? Nothing tells; say encoding = …".to_owned());
            None
        }
    }
}

/// The list of a code, and the table from the register's own codes where they are others.
fn code(
    column: &ColumnFacts,
    list: &str,
    found: &Found,
    table: &Named<'_>,
    lists: &mut Lists<'_>,
    options: &mut Vec<String>,
    written: &mut Written,
) {
    let codes = held(column, found, table);
    options.push(format!("list = {}", string(list)));
    if let Some(other) = row_numbers(column, found, table) {
        // The numbers of rows happen to look like codes; what each stands for is written in the other table only.
        written.left_out = true;
        written.doubts.push(format!(
            "it refers to rows of {other}, and what their numbers stand for is not read here: read the name there in a \
             SELECT, or say values = {{ 1 = {}, … }}",
            string(&first(list, lists.own(list)))
        ));
        options.push("values = { 1 = \"?\" }".to_owned());
        return;
    }
    if lists.own(list).is_none() && code_list(list).is_none() {
        if codes.is_empty() {
            written.left_out = true;
            written
                .doubts
                .push(format!("no list \"{list}\" is known: declare [lists.{}] with its codes and labels", key(list)));
            return;
        }
        written.doubts.push(format!("[lists.{}] was made of the codes found here", key(list)));
        let labelled =
            codes.iter().map(|(code, label)| (code.clone(), if label.is_empty() { code } else { label }.clone()));
        lists.declared.insert(list.to_owned(), labelled.collect());
    }
    if found.codes(table, &column.name).is_some() && table.facts.reference(&column.name).is_none() {
        written
            .doubts
            .push("what its codes stand for was read in a table of like name; no foreign key says so".to_owned());
    }
    lists.needed.insert(list.to_owned());
    let own = lists.own(list);
    if codes.is_empty() {
        written.doubts.push(format!(
            "its codes are not known; unless they are those of the list, say values = {{ 1 = {}, … }}, or draft with --sample",
            string(&first(list, own))
        ));
        return;
    }
    let reading = codes::read(&codes, list, own);
    let plain_codes: BTreeMap<_, _> = codes.keys().map(|code| (code.clone(), String::new())).collect();
    let themselves = codes::read(&plain_codes, list, own);
    let restored = |code: &String| code_list(list)?.convert(code).ok().map(|value| value.value.code.into_owned());
    // The converter knows the names of shared lists; of a list of the mapping's own it takes the codes alone.
    let read = |code: &String| match own {
        Some(list) => list.contains_key(code).then(|| code.clone()),
        None => themselves.known.get(code).cloned().or_else(|| restored(code)),
    };
    let direct = codes.iter().all(|(code, label)| {
        let read = read(code);
        read.is_some() && (label.is_empty() || reading.known.get(code) == read.as_ref())
    });
    if let Some(list_of_its_own) = own {
        for (code, meaning, other) in codes::disputed(list, list_of_its_own) {
            written.doubts.push(format!("{code} is \"{meaning}\" in the list below, elsewhere it is \"{other}\""));
        }
    }
    if direct {
        let counted = |code: &String| code.len() == 1 && code.bytes().all(|byte| byte.is_ascii_digit());
        if codes.iter().any(|(code, label)| label.is_empty() && counted(code)) {
            written.doubts.push(format!(
                "nothing but their form says that its numbers are the codes of the list: {}",
                of_list(list, own).join(", ")
            ));
        }
        return;
    }
    let open: Vec<_> = reading
        .unknown
        .iter()
        .map(|(code, label)| if label.is_empty() { code.clone() } else { format!("{code} ({})", plain(label)) })
        .collect();
    if !open.is_empty() {
        let known = of_list(list, own);
        let list = if known.is_empty() { String::new() } else { format!("; the list has {}", known.join(", ")) };
        written
            .doubts
            .push(format!("nothing says what these codes stand for, and they are refused: {}{list}", open.join(", ")));
    }
    if reading.known.is_empty() {
        written.left_out = true;
        let values: Vec<_> = reading.unknown.keys().map(|code| format!("{} = \"?\"", key(code))).collect();
        options.push(format!("values = {{ {} }}", values.join(", ")));
        return;
    }
    let values: Vec<_> =
        reading.known.iter().map(|(code, known)| format!("{} = {}", key(code), string(known))).collect();
    options.push(format!("values = {{ {} }}", values.join(", ")));
}

/// The first codes of a list with their labels.
fn of_list(list: &str, own: Option<&List>) -> Vec<String> {
    match own {
        Some(list) => list.iter().map(|(code, label)| format!("{code} {label}")).take(12).collect(),
        None => {
            let entries = code_list(list).map(|list| list.entries()).unwrap_or_default();
            entries.iter().map(|entry| format!("{} {}", entry.code, entry.label_vi)).take(12).collect()
        }
    }
}

/// A guess without the parts of an address that count rows of another table, and what they were: column and table. A
/// column that is the only one stays, to be left out as a whole.
fn without_row_numbers<'t>(guess: &Guess<'t>, found: &Found, table: &Named<'_>) -> (Guess<'t>, Vec<(String, String)>) {
    let mut kept = guess.clone();
    let other = |column: &str| row_numbers(table.column(column)?.facts, found, table);
    let mut counted = Vec::new();
    match &mut kept.from {
        From::Roles(roles) if guess.target.convert == "address" => roles.retain(|(_, column)| {
            let other = other(column);
            counted.extend(other.map(|other| (column.clone(), other.to_owned())));
            other.is_none()
        }),
        From::Column(column)
            if matches!(guess.target.convert.as_str(), "text" | "integer" | "decimal" | "industry_code") =>
        {
            counted.extend(other(column).map(|other| (column.clone(), other.to_owned())));
        }
        _ => {}
    }
    if kept.from.columns().is_empty() {
        kept.from = guess.from.clone();
    }
    (kept, counted)
}

/// The table whose rows a column's numbers count, unless its names were read.
fn row_numbers<'t>(column: &ColumnFacts, found: &Found, table: &Named<'t>) -> Option<&'t str> {
    let named = found.codes(table, &column.name).is_some();
    let (other, _) = table.facts.reference(&column.name).filter(|_| !named)?;
    matches!(column.kind, ColumnType::Int | ColumnType::Number | ColumnType::Uuid).then_some(other)
}

fn first(list: &str, own: Option<&List>) -> String {
    let shared = || code_list(list).and_then(|list| list.entries().first()).map(|entry| entry.code.to_owned());
    own.and_then(|list| list.keys().next().cloned()).or_else(shared).unwrap_or_default()
}

/// The codes a column is known to hold, with labels where something states them.
fn held(column: &ColumnFacts, found: &Found, table: &Named<'_>) -> BTreeMap<String, String> {
    if let Some(codes) = found.codes(table, &column.name) {
        return codes.clone();
    }
    let mut codes: BTreeMap<String, String> =
        column.values.iter().map(|value| (value.clone(), String::new())).collect();
    if let Some(sample) = found.sample(table) {
        let distinct = sample.distinct(&column.name);
        if distinct.len() <= CODES_SHOWN_MAX {
            codes.extend(distinct.into_keys().map(|code| (code, String::new())));
        }
    }
    codes.extend(codes::explained(&column.comment));
    codes
}
