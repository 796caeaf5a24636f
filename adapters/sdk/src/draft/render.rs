//! Writes a draft as a mapping file with its doubts as comments.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    DraftRequest, Found,
    codes::List,
    field::{Lists, Written, field},
    guess::{Guess, Named, SURE, possible},
    inventory::Inventory,
    structure::{Shape, join},
};
use crate::Engine;

/// Other tables named beside the one taken.
const TABLES_NAMED: usize = 4;
/// How likely a column of a table beside must be to be named.
const BESIDE: f64 = 0.6;

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
        record(&mut body, &mut lists, found, shape, inventory, tables);
        encoding = encoding.or_else(|| self::encoding(found, shape));
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
fn encoding(found: &Found, shape: &Shape<'_>) -> Option<&'static str> {
    let textual = ["person_name", "org_name", "text", "address"];
    let guesses = shape.fields.iter().filter(|guess| textual.contains(&guess.target.convert.as_str()));
    let columns: Vec<&str> = guesses.flat_map(|guess| guess.from.columns()).collect();
    found.sample.as_ref()?.encoding(&columns)
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
    if let Some((column, value)) = &shape.alive {
        let _ = writeln!(text, "where = {{ {} = {value} }} # DOUBT: only rows that are not deleted", key(column));
    }
    if !shape.order.is_empty() {
        let _ = writeln!(text, "order = {}", columns(&shape.order));
    }
    if let Some(column) = &shape.as_of {
        let _ = writeln!(text, "as_of = {}", string(column));
    }
    lookup(text, shape, main);
    let _ = writeln!(text, "\n[record.fields]");
    let mut mapped = Vec::new();
    for guess in &shape.fields {
        let written = field(guess, main, found, lists, &record_type.fields[guess.target.leaf].label_vi);
        if !written.left_out {
            mapped.push(guess.target.path.as_str());
        }
        push(text, &written);
    }
    missing(text, found, shape, main);
    for child in &shape.children {
        let Some(other) = tables.iter().find(|table| table.facts.name == child.table) else { continue };
        let doubt = if child.declared { "" } else { " # DOUBT: no foreign key says so" };
        let join: Vec<_> = child.join.iter().map(|(other, own)| format!("{} = {}", key(other), string(own))).collect();
        let _ = writeln!(
            text,
            "\n[[record.children]]\nfield = {}\ntable = {} # {:.1}\njoin = {{ {} }}{doubt}",
            string(&child.container),
            string(&child.table),
            child.score,
            join.join(", ")
        );
        if !child.order.is_empty() {
            let _ = writeln!(text, "order = {}", columns(&child.order));
        }
        parts(text, "children", &child.fields, other, found, lists);
    }
    for (container, fields) in &shape.joined {
        let _ = writeln!(
            text,
            "\n# DOUBT: one column for all of them, or for the only one; is the separator right?\n\
             [[record.joined]]\nfield = {}\nseparator = {}",
            string(container),
            string(separator(found, fields))
        );
        parts(text, "joined", fields, main, found, lists);
    }
    beside_it(text, found, shape, inventory, tables, main);
    checks(text, found, &mapped, lists);
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
        let _ = writeln!(text, "# DOUBT: {doubt}");
    }
    let out = if written.left_out { "# " } else { "" };
    let _ = writeln!(text, "{out}{} # {}", written.line, written.remark);
}

fn lookup(text: &mut String, shape: &Shape<'_>, main: &Named<'_>) {
    let _ = writeln!(text, "\n[record.lookup]");
    for (kind, column, score) in &shape.lookup {
        let name = kind.as_str_name().to_ascii_lowercase();
        let indexed = main.column(column).is_none_or(|column| column.facts.indexed);
        let mut remark = format!("{score:.2}");
        if *score < SURE {
            remark += "; DOUBT: does this column hold that number?";
        }
        if !indexed {
            remark += "; DOUBT: no index begins with it, so a lookup walks the whole table";
        }
        let _ = writeln!(text, "{name} = [{}] # {remark}", string(column));
    }
}

/// What was not found, and what of the table nobody reads.
fn missing(text: &mut String, found: &Found, shape: &Shape<'_>, main: &Named<'_>) {
    let taken = |leaf: usize| shape.fields.iter().any(|guess| guess.target.leaf == leaf);
    let joined = shape.joined.iter().flat_map(|(_, fields)| fields);
    let mut read: Vec<&str> = shape.fields.iter().chain(joined).flat_map(|guess| guess.from.columns()).collect();
    read.extend(shape.lookup.iter().map(|(_, column, _)| column.as_str()));
    read.extend(shape.order.iter().chain(&shape.as_of).map(String::as_str));
    read.extend(shape.alive.iter().map(|(column, _)| column.as_str()));
    let open = found.targets.all.iter().filter(|target| target.container.is_none() && !taken(target.leaf));
    let lines: Vec<_> = open
        .map(|target| {
            let maybe = possible(&found.targets, target, main, &read, found.sample.as_ref());
            let maybe: Vec<_> = maybe.iter().map(|(column, score)| format!("{column} {score:.2}")).collect();
            let label = &found.record_type.fields[target.leaf].label_vi;
            let maybe = if maybe.is_empty() { String::new() } else { format!("; perhaps {}", maybe.join(", ")) };
            format!("#   {} ({label}){maybe}", target.path)
        })
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "# Fields nothing was found for:\n{}", lines.join("\n"));
    }
    let unread = main.facts.columns.iter().filter(|column| !read.contains(&column.name.as_str()));
    let unread: Vec<_> = unread
        .map(|column| match plain(&column.comment) {
            comment if comment.is_empty() => format!("#   {}", column.name),
            comment => format!("#   {} ({comment})", column.name),
        })
        .collect();
    if !unread.is_empty() {
        let _ = writeln!(text, "# Columns of the table nothing reads:\n{}", unread.join("\n"));
    }
}

/// Columns of tables that join the record's and may hold what it lacks: a SELECT reads them.
fn beside_it(
    text: &mut String,
    found: &Found,
    shape: &Shape<'_>,
    inventory: &Inventory,
    tables: &[Named<'_>],
    main: &Named<'_>,
) {
    let taken = |leaf: usize| shape.fields.iter().any(|guess| guess.target.leaf == leaf);
    let open: Vec<_> =
        found.targets.all.iter().filter(|target| target.container.is_none() && !taken(target.leaf)).collect();
    let (mut lines, mut selected, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables.iter().filter(|table| table.facts.name != main.facts.name) {
        if shape.children.iter().any(|child| child.table == table.facts.name) {
            continue;
        }
        let forward = main.facts.references.iter().find(|reference| reference.table == table.facts.name);
        let on: Vec<(String, String)> = match forward {
            Some(reference) => reference.others.iter().cloned().zip(reference.columns.iter().cloned()).collect(),
            None => match join(table, main) {
                Some((on, _)) => on,
                None => continue,
            },
        };
        let alias = format!("t{}", joins.len() + 1);
        let mut used = false;
        for target in &open {
            let best = possible(&found.targets, target, table, &[], None).into_iter().next();
            let Some((column, score)) = best.filter(|(_, score)| *score >= BESIDE) else { continue };
            lines.push(format!("#   {}: {}.{column} {score:.2}", target.path, table.facts.name));
            let quoted = crate::query::quoted(inventory.engine, &column);
            selected.push(format!("{alias}.{quoted} AS {alias}_{}", column.to_lowercase()));
            used = true;
        }
        if used {
            let on: Vec<_> = on
                .iter()
                .map(|(other, own)| {
                    let quote = |name: &str| crate::query::quoted(inventory.engine, name);
                    format!("{alias}.{} = r.{}", quote(other), quote(own))
                })
                .collect();
            let name = crate::query::quoted(inventory.engine, &table.facts.name);
            joins.push(format!("#   LEFT JOIN {name} {alias} ON {}", on.join(" AND ")));
        }
    }
    if !lines.is_empty() {
        selected.dedup();
        let name = crate::query::quoted(inventory.engine, &main.facts.name);
        let _ = writeln!(
            text,
            "# Tables beside it may hold more. To read them, write in place of table (take care that no row doubles):\n\
             {}\n# select = \"\"\"\n#   SELECT r.*, {}\n#   FROM {name} r\n{}\n# \"\"\"",
            lines.join("\n"),
            selected.join(", "),
            joins.join("\n")
        );
    }
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

fn separator(found: &Found, fields: &[Guess<'_>]) -> &'static str {
    let texts = |guess: &Guess<'_>| {
        let sample = found.sample.as_ref();
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
