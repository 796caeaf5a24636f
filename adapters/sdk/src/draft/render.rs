//! Writes a draft as a mapping file with its doubts as comments.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    DraftRequest, Found,
    codes::List,
    field::{Lists, Written, field},
    guess::{Guess, Named, SURE},
    inventory::Inventory,
    left,
    rows::{self, Marker},
    sample::Sample,
    structure::{Child, Shape},
    target::Target,
};
use crate::Engine;

/// Other tables named beside the one taken.
const TABLES_NAMED: usize = 4;
/// A TOML string.
pub(super) fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML key, bare where it may be.
pub(super) fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { name.to_owned() } else { string(name) }
}

/// One line of a comment, whatever the database's own comments hold.
pub(super) fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn render(
    request: &DraftRequest,
    inventory: &Inventory,
    tables: &[Named<'_>],
    shapes: &[(&Found, Shape<'_>)],
) -> String {
    let mut lists = Lists::new(&request.known);
    let mut body = String::new();
    let mut encoding = None;
    for (found, shape) in shapes {
        body.push('\n');
        record(&mut body, &mut lists, found, request, shape, inventory, tables);
        encoding = encoding.or_else(|| self::encoding(found, shape, tables));
    }
    let mut text = head(request, inventory.engine, shapes, encoding);
    for (name, list) in lists.used() {
        self::list(&mut text, name, list);
    }
    text + &body
}

fn head(
    request: &DraftRequest,
    engine: Engine,
    shapes: &[(&Found, Shape<'_>)],
    encoding: Option<&'static str>,
) -> String {
    let labels = |label: fn(&Found) -> &str| {
        let labels: Vec<_> = shapes.iter().map(|(found, _)| label(found)).collect();
        string(&labels.join(", "))
    };
    let rows = if request.sample { " and from some of its rows" } else { "; no row was read" };
    let mut text = format!(
        "# Drafted from the names, comments, types and keys of a {engine} database{rows}.\n\
         # The number after a field says how sure the guess is, from 0 to 1. DOUBT marks what somebody who knows the\n\
         # register must look at: change it or delete the mark. Then run `lienthong adapter check` and `adapter try`.\n\n\
         source = {}\nlabel_vi = {} # DOUBT: what the register is called\nlabel_en = {} # DOUBT\n\
         owner = \"?\" # DOUBT: the body that owns the data\n",
        string(&request.source),
        labels(|found| &found.record_type.label_vi),
        labels(|found| &found.record_type.label_en),
    );
    match encoding {
        Some("utf-8") => {}
        Some(name) => {
            let _ = writeln!(text, "encoding = {} # DOUBT: most of the sampled text reads well in it", string(name));
        }
        None if request.sample => {}
        None => text.push_str(
            "# encoding = \"tcvn3-as-latin1\" # when text looks like \"NguyÔn V¨n An\"; see the mapping's page\n",
        ),
    }
    text
}

/// The encoding of the record's text, when rows were read and tell.
fn encoding(found: &Found, shape: &Shape<'_>, tables: &[Named<'_>]) -> Option<&'static str> {
    let textual = ["person_name", "org_name", "text", "address"];
    let guesses = shape.fields.iter().filter(|guess| textual.contains(&guess.target.convert.as_str()));
    let sample = found.sample(tables.iter().find(|table| table.facts.name == shape.table)?)?;
    let columns = guesses.flat_map(|guess| guess.from.columns()).filter(|column| !sample.bytes(column));
    sample.encoding(&columns.collect::<Vec<_>>())
}

fn list(text: &mut String, name: &str, list: &List) {
    let _ = writeln!(text, "\n[lists.{}]", key(name));
    for (code, label) in list {
        let _ = writeln!(text, "{} = {}", key(code), string(&plain(label)));
    }
}

fn record(
    text: &mut String,
    lists: &mut Lists<'_>,
    found: &Found,
    request: &DraftRequest,
    shape: &Shape<'_>,
    inventory: &Inventory,
    tables: &[Named<'_>],
) {
    let record_type = &found.record_type;
    let Some(main) = tables.iter().find(|table| table.facts.name == shape.table) else { return };
    let _ = writeln!(text, "# {} ({})", record_type.label_vi, record_type.label_en);
    let _ = writeln!(text, "[[record]]\ntype = {}", string(&record_type.name));
    let others = found.ranked.iter().filter(|(name, ..)| *name != shape.table).take(TABLES_NAMED);
    let others: Vec<_> = others.map(|(name, score, _)| format!("{name} {score:.1}")).collect();
    let mine = found.ranked.iter().find(|(name, ..)| *name == shape.table).map_or(shape.score, |(_, score, _)| *score);
    let beside = if others.is_empty() { String::new() } else { format!("; other tables: {}", others.join(", ")) };
    let _ = writeln!(text, "table = {} # {mine:.1}{beside}", string(&shape.table));
    let required = found.targets.all.iter().filter(|target| target.required && target.container.is_none());
    let lacking = required.filter(|target| !shape.fields.iter().any(|guess| guess.target.leaf == target.leaf));
    let lacking: Vec<_> = lacking.map(|target| target.path.as_str()).collect();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        let _ =
            writeln!(text, "# DOUBT: is this the table? Nothing was found in it for {lacking}, which every record has");
    }
    if let Some(marker) = &shape.alive {
        let left_out = marker.left_out(inventory.engine, &shape.table);
        let filter = marker.filter().unwrap_or_default();
        let _ = writeln!(text, "where = {filter} # DOUBT: only rows that are not deleted{left_out}");
    }
    for marker in &shape.markers {
        let _ = writeln!(text, "# DOUBT: {}", plain(&marker.doubt(inventory.engine, &shape.table)));
    }
    if !shape.order.is_empty() {
        let _ = writeln!(text, "order = {}", columns(&shape.order));
    }
    if let Some(column) = &shape.as_of {
        let _ = writeln!(text, "as_of = {}", string(column));
    }
    lookup(text, found, shape, main);
    let _ = writeln!(text, "\n[record.fields]");
    let mut mapped = Vec::new();
    for guess in &shape.fields {
        let written = field(guess, main, found, lists, &record_type.fields[guess.target.leaf].label_vi);
        if !written.left_out {
            mapped.push(guess.target.path.as_str());
        }
        push(text, &written);
    }
    for (target, container) in &shape.exists {
        let Some(child) = shape.children.iter().find(|child| child.container == *container) else { continue };
        exists(text, target, &record_type.fields[target.leaf].label_vi, child);
    }
    left::missing(text, found, shape, main);
    for child in &shape.children {
        let Some(other) = tables.iter().find(|table| table.facts.name == child.table) else { continue };
        self::child(text, lists, found, request, inventory.engine, child, other);
    }
    for (container, fields) in &shape.joined {
        let _ = writeln!(
            text,
            "\n# DOUBT: one column for all of them, or for the only one; is the separator right?\n\
             [[record.joined]]\nfield = {}\nseparator = {}",
            string(container),
            string(separator(found.sample(main), fields))
        );
        parts(text, "joined", fields, main, found, lists);
    }
    left::beside_it(text, found, shape, inventory, tables, main);
    checks(text, found, &mapped, lists);
}

/// A repeated message in a table of its own.
fn child(
    text: &mut String,
    lists: &mut Lists<'_>,
    found: &Found,
    request: &DraftRequest,
    engine: Engine,
    child: &Child<'_>,
    table: &Named<'_>,
) {
    let doubt = if child.declared { "" } else { " # DOUBT: no foreign key says so" };
    let _ = writeln!(
        text,
        "\n[[record.children]]\nfield = {}\ntable = {} # {:.1}\njoin = {}{doubt}",
        string(&child.container),
        string(&child.table),
        child.score,
        join(child),
    );
    if !child.order.is_empty() {
        let _ = writeln!(text, "order = {}", columns(&child.order));
    }
    let label = child.fields.first().map(|guess| found.record_type.fields[guess.target.leaf].label_vi.as_str());
    let label = plain(label.and_then(|label| label.split(": ").next()).unwrap_or_default());
    if !child.named {
        let _ = writeln!(text, "# DOUBT: is every row of {} this: {label}?", plain(&child.table));
    }
    for column in rows::kinds(child, table) {
        let line = format!("where = {{ {} = … }}", key(&column));
        let _ = writeln!(text, "# DOUBT: {} may say that some rows are not: {label}; {line}", plain(&column));
    }
    let known = rows::left_out_by_known(&request.known, &found.record_type.name, &child.container);
    if let Some(marker) = &child.counted {
        let left_out = marker.left_out(engine, &child.table);
        let filter = marker.filter().unwrap_or_default();
        let _ = writeln!(text, "where = {filter} # DOUBT: only rows that still count{left_out}");
    } else if !known.is_empty() {
        let known = plain(&known.join(", "));
        let _ = writeln!(
            text,
            "# DOUBT: do all these rows count? The mapping built in for this record leaves rows out by {known}"
        );
    }
    for marker in &child.markers {
        let _ = writeln!(text, "# DOUBT: {}", plain(&marker.doubt(engine, &child.table)));
    }
    parts(text, "children", &child.fields, table, found, lists);
    left::unread_of_child(text, child, table);
}

fn join(child: &Child<'_>) -> String {
    let join: Vec<_> = child.join.iter().map(|(other, own)| format!("{} = {}", key(other), string(own))).collect();
    format!("{{ {} }}", join.join(", "))
}

/// A flag that says whether a repeated message is there: of the rows that count. Rows that do not say whether they count
/// would make it false.
fn exists(text: &mut String, target: &Target, label: &str, child: &Child<'_>) {
    let counted = child.counted.as_ref();
    let filter = counted.and_then(Marker::filter).map(|filter| format!(", where = {filter}")).unwrap_or_default();
    let out = match counted {
        Some(marker) if marker.is_sometimes_null() => {
            let _ = writeln!(text, "# DOUBT: rows where {} is NULL do not make it true", plain(&marker.column));
            "# "
        }
        _ => "",
    };
    let (path, table, join) = (key(&target.path), string(&child.table), join(child));
    let _ = writeln!(text, "{out}{path} = {{ exists = {{ table = {table}, join = {join}{filter} }} }} # {label}");
}

fn parts(
    text: &mut String,
    kind: &str,
    guesses: &[Guess<'_>],
    table: &Named<'_>,
    found: &Found,
    lists: &mut Lists<'_>,
) {
    let _ = writeln!(text, "\n[record.{kind}.fields]");
    for guess in guesses {
        push(text, &field(guess, table, found, lists, &found.record_type.fields[guess.target.leaf].label_vi));
    }
}

fn push(text: &mut String, written: &Written) {
    for doubt in &written.doubts {
        let _ = writeln!(text, "# DOUBT: {}", plain(doubt));
    }
    let out = if written.left_out { "# " } else { "" };
    let _ = writeln!(text, "{out}{} # {}", written.line, plain(&written.remark));
}

fn lookup(text: &mut String, found: &Found, shape: &Shape<'_>, main: &Named<'_>) {
    let _ = writeln!(text, "\n[record.lookup]");
    for (at, (kind, ..)) in shape.lookup.iter().enumerate() {
        if shape.lookup.iter().take(at).any(|(before, ..)| before == kind) {
            continue;
        }
        let name = kind.as_str_name().to_ascii_lowercase();
        let of_kind = || shape.lookup.iter().filter(|(known, ..)| known == kind);
        for (_, column, _) in of_kind().filter(|(_, column, _)| several_rows(found, column, main)) {
            let _ = writeln!(
                text,
                "# DOUBT: several rows have one {}, and each is given out as a record that holds now",
                plain(column)
            );
        }
        let held: Vec<String> = of_kind().map(|(_, column, _)| column.clone()).collect();
        let score = of_kind().map(|(.., score)| *score).fold(1.0, f64::min);
        let indexed = held.iter().all(|name| main.column(name).is_none_or(|column| column.facts.indexed));
        let mut remark = format!("{score:.2}");
        if score == 0.0 {
            remark += "; DOUBT: no column looks like that number: name the one that holds it";
        } else if score < SURE {
            remark += "; DOUBT: does this column hold that number?";
        }
        if !indexed {
            remark += "; DOUBT: no index begins with it, so a lookup walks the whole table";
        }
        // What only stands in its place finds strangers: somebody must say which column it is.
        let out = if score == 0.0 { "# " } else { "" };
        let _ = writeln!(text, "{out}{name} = {} # {remark}", columns(&held));
    }
}

/// Whether rows share a number: the key tells them apart by something else besides, or some of the sampled do.
fn several_rows(found: &Found, column: &str, main: &Named<'_>) -> bool {
    let key = main.facts.key();
    let sampled = found.sample(main).is_some_and(|sample| sample.repeats(column));
    key.len() > 1 && key.contains(&column) || sampled
}

/// The checks a known mapping of the record type has, where all they compare was found.
fn checks(text: &mut String, found: &Found, mapped: &[&str], lists: &Lists<'_>) {
    for (name, fields) in lists.checks(&found.record_type.name) {
        let has = |path: &String| mapped.contains(&path.as_str());
        if fields.values().all(has) {
            let fields: BTreeMap<_, _> = fields.iter().map(|(role, path)| (role, string(path))).collect();
            let fields: Vec<_> = fields.into_iter().map(|(role, path)| format!("{} = {path}", key(role))).collect();
            let _ =
                writeln!(text, "\n[[record.checks]]\ncheck = {}\nfields = {{ {} }}", string(&name), fields.join(", "));
        }
    }
}

fn separator(sample: Option<&Sample>, fields: &[Guess<'_>]) -> &'static str {
    let texts = |guess: &Guess<'_>| {
        guess
            .from
            .columns()
            .iter()
            .flat_map(|column| sample.map(|s| s.texts(column)).unwrap_or_default())
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = fields.iter().take(1).flat_map(texts).collect();
    [";", "|", "\n", "/", ","].into_iter().find(|sign| all.iter().any(|text| text.contains(sign))).unwrap_or(";")
}

fn columns(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|name| string(name)).collect::<Vec<_>>().join(", "))
}
