//! What a check found, as tables and as JSON.

use adapter_sdk::{FieldQuality, Fit, LookupPlan, RecordQuality, SourceDescription};
use serde_json::{Value, json};

use crate::show;

/// All a check found.
pub(super) struct Report {
    pub(super) source: SourceDescription,
    pub(super) fit: Fit,
    /// Columns of a `where` that hold NULL, with the number of rows left out for that.
    pub(super) undecided: Vec<String>,
    pub(super) live_days: usize,
    pub(super) records: Vec<RecordQuality>,
    /// How the database would run the lookups, when that was asked for.
    pub(super) plans: Vec<LookupPlan>,
    /// Record types that could not be read, and why.
    pub(super) unread: Vec<(String, String)>,
}

/// A share in percent; rounded down, so that only all of it is 100.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", (share * 1000.0).floor() / 10.0))
}

impl Report {
    pub(super) fn new(source: &SourceDescription, fit: Fit, live_days: usize) -> Self {
        let (records, plans, unread, undecided) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { source: source.clone(), fit, undecided, live_days, records, plans, unread }
    }

    /// Whether the mapping fits and everything asked for was read.
    pub(super) fn fits(&self) -> bool {
        self.fit.problems.is_empty() && self.unread.is_empty()
    }

    /// Fields whose text is not in the declared encoding: record type, path, encoding, values, values in alarm.
    pub(super) fn encoding_alarms(&self) -> Vec<(&str, &str, &str, u64, u64)> {
        let fields = self.records.iter().flat_map(|record| record.fields.iter().map(move |field| (record, field)));
        let alarming = fields.filter(|(_, field)| field.encoding_alarms() > 0);
        alarming
            .map(|(record, field)| {
                let path = record.record_type.fields[field.field].path.as_str();
                (short(record), path, field.encoding.as_str(), field.present(), field.encoding_alarms())
            })
            .collect()
    }

    pub(super) fn print(&self) -> anyhow::Result<()> {
        let source = &self.source;
        show::line(format!("Source {} ({}), mapping {}", source.id, source.engine, source.mapping_digest))?;
        self.print_fit()?;
        for plan in &self.plans {
            show::line(format!("\nLookup of {} by {}", plan.record_type, plan.by))?;
            for line in &plan.lines {
                show::line(format!("  {line}"))?;
            }
        }
        for record in &self.records {
            self.print_record(record)?;
        }
        let alarms = self.encoding_alarms();
        if !alarms.is_empty() {
            show::line("\nEncoding alarms: the text of these fields is not, or not all, in the declared encoding")?;
            let mut table = show::table(["Record", "Field", "Declared", "Values", "In alarm"]);
            for (record, path, encoding, values, count) in alarms {
                table.add_row([record, path, encoding, &values.to_string(), &count.to_string()]);
            }
            show::line(table)?;
        }
        for (name, reason) in &self.unread {
            show::line(format!("Not read: {name}: {reason}"))?;
        }
        Ok(())
    }

    fn print_fit(&self) -> anyhow::Result<()> {
        let fit = &self.fit;
        if fit.problems.is_empty() {
            show::line("The mapping fits the database.")?;
        } else {
            show::line("The mapping does not fit the database:")?;
            for problem in &fit.problems {
                show::line(format!("  {problem}"))?;
            }
        }
        let unmapped: Vec<_> = fit
            .unmapped
            .iter()
            .map(|(name, path)| format!("{}.{path}", name.rsplit('.').next().unwrap_or(name)))
            .collect();
        for (what, names) in [
            ("Rows a `where` leaves out since its column holds NULL", &self.undecided),
            ("Lookup columns without an index (slow)", &fit.unindexed),
            ("Columns nothing reads", &fit.unread),
            ("Fields without a column", &unmapped),
        ] {
            if !names.is_empty() {
                show::line(format!("{what}: {}", names.join(", ")))?;
            }
        }
        Ok(())
    }

    fn print_record(&self, record: &RecordQuality) -> anyhow::Result<()> {
        let name = &record.record_type;
        show::line(format!("\n{} ({})", name.label_vi, name.name))?;
        show::line(format!("{}: {} of {} rows read", record.table, record.rows, record.rows_in_table))?;
        show::line(format!(
            "đúng {}   đủ {}   sạch {}   sống {}",
            percent(record.valid()),
            percent(record.complete()),
            percent(record.clean()),
            self.live_text(record)
        ))?;
        let mut table = show::table(["Field", "đúng", "đủ", "sạch", "Values", "What was found"]);
        for field in &record.fields {
            table.add_row([
                name.fields[field.field].path.clone(),
                percent(field.valid()),
                percent(field.complete()),
                percent(field.clean()),
                field.present().to_string(),
                reasons(field, 1),
            ]);
        }
        show::line(table)?;
        for line in unfindable(record) {
            show::line(line)?;
        }
        Ok(())
    }

    /// The fourth word in words.
    pub(super) fn live_text(&self, record: &RecordQuality) -> String {
        if !record.tells_age {
            return "- (the mapping names no as_of column)".to_owned();
        }
        let median =
            record.median_age_days().map(|days| format!("; the middle row {days} days ago")).unwrap_or_default();
        let undated = if record.undated > 0 { format!("; {} rows do not say", record.undated) } else { String::new() };
        format!("{} (changed within {} days{median}{undated})", percent(record.live(self.live_days)), self.live_days)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "source": self.source.id,
            "engine": self.source.engine.name(),
            "mapping_digest": self.source.mapping_digest,
            "fits": self.fit.problems.is_empty(),
            "problems": self.fit.problems,
            "where_columns_with_null": self.undecided,
            "unindexed_columns": self.fit.unindexed,
            "unread_columns": self.fit.unread,
            "unmapped_fields": self.fit.unmapped.iter().map(|(name, path)| json!({ "record_type": name, "field": path })).collect::<Vec<_>>(),
            "lookup_plans": self.plans.iter().map(|plan| json!({
                "record_type": plan.record_type, "kind": plan.by, "plan": plan.lines,
            })).collect::<Vec<_>>(),
            "encoding_alarms": self.encoding_alarms().into_iter().map(|(record, path, encoding, values, count)| json!({
                "record": record, "field": path, "declared": encoding, "values": values, "alarms": count,
            })).collect::<Vec<_>>(),
            "records": self.records.iter().map(|record| self.record_json(record)).collect::<Vec<_>>(),
            "not_read": self.unread.iter().map(|(name, reason)| json!({ "record_type": name, "reason": reason })).collect::<Vec<_>>(),
        })
    }

    fn record_json(&self, record: &RecordQuality) -> Value {
        json!({
            "record_type": record.record_type.name,
            "table": record.table,
            "rows": record.rows,
            "rows_in_table": record.rows_in_table,
            "valid": record.valid(),
            "complete": record.complete(),
            "clean": record.clean(),
            "live": record.tells_age.then(|| record.live(self.live_days)).flatten(),
            "live_days": self.live_days,
            "median_age_days": record.median_age_days(),
            "fields": record.fields.iter().map(|field| field_json(record, field)).collect::<Vec<_>>(),
        })
    }
}

fn field_json(record: &RecordQuality, field: &FieldQuality) -> Value {
    let reasons: serde_json::Map<_, _> = field
        .reasons
        .iter()
        .map(|(reason, found)| {
            (reason.clone().into_owned(), json!({ "count": found.count, "examples": found.examples }))
        })
        .collect();
    json!({
        "field": record.record_type.fields[field.field].path,
        "encoding": field.encoding,
        "expected": field.expected,
        "absent": field.absent(),
        "clean_values": field.clean,
        "repaired": field.repaired,
        "converted_with_loss": field.lossy,
        "suspect": field.suspect,
        "invalid": field.invalid,
        "cannot_be_looked_up": field.unfindable,
        "valid": field.valid(),
        "complete": field.complete(),
        "clean": field.clean(),
        "reasons": reasons,
    })
}

/// Fields whose numbers find fewer rows than there are, and what to do.
pub(super) fn unfindable(record: &RecordQuality) -> impl Iterator<Item = String> {
    let fields = record.fields.iter().filter(|field| field.unfindable > 0);
    fields.map(|field| {
        format!(
            "{} of {} rows cannot be looked up by their {}: it is written with signs or blanks the lookup does not ask \
             for; a SELECT that takes them out (replace, trim) and an index on the same expression find them",
            field.unfindable, record.rows, record.record_type.fields[field.field].path
        )
    })
}

/// The last part of a record type's name.
pub(super) fn short(record: &RecordQuality) -> &str {
    record.record_type.name.rsplit('.').next().unwrap_or_default()
}

/// Reasons with counts and so many examples each, the most frequent first.
pub(super) fn reasons(field: &FieldQuality, examples_max: usize) -> String {
    let mut found: Vec<_> = field.reasons.iter().collect();
    found.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.count));
    let lines = found.iter().map(|(name, reason)| {
        let examples: Vec<_> = reason.examples.iter().take(examples_max).map(String::as_str).collect();
        let colon = if examples.is_empty() { "" } else { ": " };
        format!("{name} {}{colon}{}", reason.count, examples.join("; "))
    });
    lines.collect::<Vec<_>>().join("\n")
}
