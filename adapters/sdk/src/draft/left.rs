//! What a draft leaves to its reader: fields nothing was found for, columns nothing reads, tables beside the record's.

use std::{collections::HashSet, fmt::Write};

use super::{
    Found,
    guess::{Named, assign, possible},
    inventory::Inventory,
    render::plain,
    structure::{Child, Shape, join},
};
use crate::catalogue::ColumnType;

/// How likely a column of a table beside must be to be named.
const BESIDE: f64 = 0.6;

/// Whether a field of the record has a line.
fn is_taken(shape: &Shape<'_>, leaf: usize) -> bool {
    let exists = shape.exists.iter().any(|(target, _)| target.leaf == leaf);
    exists || shape.fields.iter().any(|guess| guess.target.leaf == leaf)
}

/// What was not found, and what of the table nobody reads.
pub(super) fn missing(text: &mut String, found: &Found, shape: &Shape<'_>, main: &Named<'_>) {
    let taken = |leaf: usize| is_taken(shape, leaf);
    let joined = shape.joined.iter().flat_map(|(_, fields)| fields);
    let mut read: Vec<&str> = shape.fields.iter().chain(joined).flat_map(|guess| guess.from.columns()).collect();
    read.extend(shape.lookup.iter().map(|(_, column, _)| column.as_str()));
    read.extend(shape.order.iter().chain(&shape.as_of).map(String::as_str));
    read.extend(shape.alive.iter().map(|marker| marker.column.as_str()));
    let open = found.targets.all.iter().filter(|target| target.container.is_none() && !taken(target.leaf));
    let lines: Vec<_> = open
        .map(|target| {
            let maybe = possible(&found.targets, target, main, &read, found.sample(main));
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

fn is_key(on: &[(String, String)], main: &Named<'_>) -> bool {
    let own: Vec<&str> = on.iter().map(|(_, own)| own.as_str()).collect();
    main.facts.key() == own
}

/// Columns of tables that join the record's and may hold what it lacks: a SELECT reads them.
pub(super) fn beside_it(
    text: &mut String,
    found: &Found,
    shape: &Shape<'_>,
    inventory: &Inventory,
    tables: &[Named<'_>],
    main: &Named<'_>,
) {
    let taken = |leaf: usize| is_taken(shape, leaf);
    let open: Vec<_> =
        found.targets.all.iter().filter(|target| target.container.is_none() && !taken(target.leaf)).collect();
    let (mut lines, mut selected, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables.iter().filter(|table| table.facts.name != main.facts.name) {
        if shape.children.iter().any(|child| child.table == table.facts.name) {
            continue;
        }
        let forward = main.facts.references.iter().find(|reference| reference.table == table.facts.name);
        let (on, declared): (Vec<(String, String)>, bool) = match forward {
            Some(reference) => {
                (reference.others.iter().cloned().zip(reference.columns.iter().cloned()).collect(), true)
            }
            None => match join(table, main) {
                // Equal names are a reason only where the name is the key's: "name" is in every other table.
                Some((on, declared)) if declared || is_key(&on, main) => (on, declared),
                _ => continue,
            },
        };
        let alias = format!("t{}", joins.len() + 1);
        let mut used = false;
        // A column that joins is the number of a row.
        let mut joining: HashSet<String> = on.iter().map(|(other, _)| other.clone()).collect();
        for guess in assign(&found.targets, &open, table, &mut joining, None) {
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
            if !declared {
                let name = plain(&table.facts.name);
                lines.push(format!("#   DOUBT: no foreign key says that rows of {name} belong to these ({alias})"));
            }
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

/// What of a child table nobody reads.
pub(super) fn unread_of_child(text: &mut String, child: &Child<'_>, table: &Named<'_>) {
    let joined = child.join.iter().map(|(column, _)| column.as_str());
    let mut read: Vec<&str> = child.fields.iter().flat_map(|guess| guess.from.columns()).collect();
    read.extend(child.counted.iter().map(|marker| marker.column.as_str()));
    read.extend(joined.chain(child.order.iter().map(String::as_str)));
    let unread = table.columns.iter().filter(|column| !read.contains(&column.facts.name.as_str()));
    let unread: Vec<_> = unread.map(|column| plain(&column.facts.name)).collect();
    if !unread.is_empty() {
        let _ = writeln!(text, "# Columns of {} nothing reads: {}", plain(&child.table), unread.join(", "));
    }
}
