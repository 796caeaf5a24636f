//! Writes a draft as a mapping file with its doubts as comments.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use super::{
    DraftRequest, Found,
    codes::List,
    field::{Lists, Written, field},
    guess::{Guess, Named, NamedColumn, SURE, assign, possible},
    inventory::Inventory,
    structure::{Child, Shape, join},
};
use crate::{Engine, catalogue::ColumnType};

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
    let sample = found.sample.as_ref()?;
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
    if let Some((column, value)) = &shape.alive {
        let empty = found.sample.as_ref().map(|sample| sample.empty(column));
        let left_out = match empty {
            Some((0, _)) => String::new(),
            Some((empty, rows)) => format!("; it is NULL in {empty} of {rows} sampled rows, which this leaves out"),
            None => "; rows where it is NULL are left out".to_owned(),
        };
        let doubt = format!("DOUBT: only rows that are not deleted{left_out}");
        let _ = writeln!(text, "where = {{ {} = {value} }} # {doubt}", key(column));
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
        for doubt in rows_of_child(child, other, lists.leaves_out(&record_type.name, &child.container)) {
            let _ = writeln!(text, "# DOUBT: {}", plain(&doubt));
        }
        parts(text, "children", &child.fields, other, found, lists);
        unread_of_child(text, child, other);
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

/// Which rows of a child table may not count, by what its columns are called and by what a known mapping leaves out.
fn rows_of_child(child: &Child<'_>, table: &Named<'_>, known: Option<String>) -> Vec<String> {
    let read = |column: &NamedColumn<'_>| {
        child.fields.iter().any(|guess| guess.from.columns().contains(&column.facts.name.as_str()))
    };
    let called = |column: &NamedColumn<'_>, meaning: &str| column.names.iter().any(|name| name.mean(meaning));
    let mut doubts = Vec::new();
    for column in table.columns.iter().filter(|column| !read(column)) {
        let name = &column.facts.name;
        if called(column, "until") {
            doubts.push(format!(
                "if {name} ends a row's validity, read the rows that hold: select = \"SELECT … WHERE {name} IS NULL\""
            ));
        }
        if called(column, "removed") {
            doubts.push(format!("{name} may mark rows that no longer count: leave them out with where"));
        }
    }
    let also = |columns: String| {
        format!("do all these rows count? The mapping built in for this record leaves rows out by {columns}")
    };
    doubts.extend(known.map(also));
    doubts
}

/// What of a child table nobody reads.
fn unread_of_child(text: &mut String, child: &Child<'_>, table: &Named<'_>) {
    let joined = child.join.iter().map(|(column, _)| column.as_str());
    let mut read: Vec<&str> = child.fields.iter().flat_map(|guess| guess.from.columns()).collect();
    read.extend(joined.chain(child.order.iter().map(String::as_str)));
    let unread = table.columns.iter().filter(|column| !read.contains(&column.facts.name.as_str()));
    let unread: Vec<_> = unread.map(|column| plain(&column.facts.name)).collect();
    if !unread.is_empty() {
        let _ = writeln!(text, "# Columns of {} nothing reads: {}", plain(&child.table), unread.join(", "));
    }
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
            several(text, column, main);
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
    let sampled = found.sample.as_ref().is_some_and(|sample| sample.repeats(column));
    key.len() > 1 && key.contains(&column) || sampled
}

/// Says that every row of a number is released, and which column may say that a row is an old one.
fn several(text: &mut String, column: &str, main: &Named<'_>) {
    let ends = |column: &&NamedColumn<'_>| column.names.iter().any(|name| name.mean("until"));
    let old = main.columns.iter().find(ends).map(|column| {
        format!(
            "; if {0} ends a row's validity, read the rows that hold with SELECT … WHERE {0} IS NULL",
            column.facts.name
        )
    });
    let _ = writeln!(
        text,
        "# DOUBT: several rows have one {column}, and each is given out as a record that holds now{}",
        old.unwrap_or_default()
    );
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
            let maybe: Vec<_> = maybe.iter().map(|(column, score)| format!("{} {score:.2}", plain(column))).collect();
            let label = &found.record_type.fields[target.leaf].label_vi;
            let maybe = if maybe.is_empty() { String::new() } else { format!("; perhaps {}", maybe.join(", ")) };
            format!("#   {} ({label}){maybe}", target.path)
        })
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "# Fields nothing was found for:\n{}", lines.join("\n"));
    }
    let addresses = found.targets.all.iter().any(|target| target.convert == "address" && !taken(target.leaf));
    let unread = main.columns.iter().filter(|column| !read.contains(&column.facts.name.as_str()));
    let unread: Vec<_> = unread
        .map(|column| {
            let comment = match plain(&column.facts.comment) {
                comment if comment.is_empty() => String::new(),
                comment => format!(" ({comment})"),
            };
            let address = addresses && column.names.iter().any(|name| name.mean("address"));
            let hint = match &column.facts.kind {
                ColumnType::Unsupported(_) => {
                    format!("; no converter reads {}: CAST it in a SELECT", column.facts.kind)
                }
                _ if address => "; DOUBT: an address, but which of those above?".to_owned(),
                _ => String::new(),
            };
            format!("#   {}{comment}{hint}", plain(&column.facts.name))
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
                // Equal names are a reason only where the name is the key's: "name" is in every other table.
                Some((on, declared)) if declared || on.iter().all(|(_, own)| main.facts.key() == [own.as_str()]) => on,
                _ => continue,
            },
        };
        let alias = format!("t{}", joins.len() + 1);
        let mut used = false;
        for guess in assign(&found.targets, &open, table, &mut HashSet::new(), None) {
            let columns = guess.from.columns();
            // The SELECT stands in comments, where a name has one line.
            if guess.score < BESIDE || columns.iter().any(|column| *column != plain(column)) {
                continue;
            }
            let (path, score) = (&guess.target.path, guess.score);
            lines.push(format!("#   {path}: {} of {} {score:.2}", columns.join(", "), table.facts.name));
            selected.extend(columns.iter().map(|column| {
                let own = crate::query::identifier(inventory.engine, column);
                let name = format!("{alias}_{}", column.to_lowercase());
                format!("{alias}.{own} AS {}", crate::query::identifier(inventory.engine, &name))
            }));
            used = true;
        }
        if used {
            let on: Vec<_> = on
                .iter()
                .map(|(other, own)| {
                    let quote = |name: &str| crate::query::identifier(inventory.engine, name);
                    format!("{alias}.{} = r.{}", quote(other), quote(own))
                })
                .collect();
            let name = crate::query::quoted(inventory.engine, &table.facts.name);
            joins.push(format!("#   LEFT JOIN {name} {alias} ON {}", on.join(" AND ")));
        }
    }
    if !lines.is_empty() {
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
