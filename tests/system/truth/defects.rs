//! What became of every defect the generator put into a row, by kind, and of the values it left alone.

use std::collections::{BTreeMap, HashMap};

use proto::{Schema, query::v1::field_quality::Grade};

use super::{Truth, mark_of, without_numbers};

/// Kinds that are rows of their own rather than values: each is given as a record of its own, and the comparison of records
/// fails when one is lacking.
const ROWS: [&str; 2] = ["duplicate_person", "second_insurance_number"];
/// What became of the defects of one kind.
#[derive(Default)]
struct Fate {
    injected: u64,
    /// The true value, with a mark that says it was written otherwise.
    repaired: u64,
    /// Under a mark that says the value cannot be trusted, or is not there.
    reported: u64,
    /// A record of its own.
    row: u64,
    silent: u64,
}

/// Counts over all records compared.
#[derive(Default)]
pub(super) struct Defects {
    kinds: BTreeMap<String, Fate>,
    /// Values without a defect that came as they are.
    clean: u64,
    /// The same with a mark, by its grade and reasons.
    clean_marked: BTreeMap<String, u64>,
    /// Values that their encoding can write in one way only with others, given as one of these under a mark.
    ambiguous: u64,
    /// Values without a defect that came otherwise.
    touched: Vec<String>,
    silent: Vec<String>,
}

type Marks = HashMap<String, (Grade, String)>;

impl Defects {
    pub(super) fn count(&mut self, truth: &Truth, found: &BTreeMap<String, String>, marks: &Marks) {
        let schema = Schema::builtin().unwrap();
        let record_type = schema.record_type(&truth.record_type).unwrap();
        // A row holds more than each record type made of it.
        let is_field = |path: &str| record_type.field(path).is_some();
        let holds = |field: &str| {
            let path = without_numbers(field);
            is_field(&path) || path.match_indices('.').any(|(at, _)| is_field(&path[..at]))
        };
        // Slip 1 holds some of the convictions and numbers them anew.
        let is_other_place = |field: &str| truth.record_type.ends_with("Summary") && field.starts_with("convictions[");
        for (field, kind) in truth.defects.iter().filter(|(field, _)| holds(field) && !is_other_place(field)) {
            let (true_value, value, mark) = (truth.fields.get(field), found.get(field), mark_of(field, marks));
            let fate = self.kinds.entry(kind.clone()).or_default();
            fate.injected += 1;
            if ROWS.contains(&kind.as_str()) {
                fate.row += 1;
                continue;
            }
            match mark.map(|(grade, _)| *grade) {
                Some(grade) if grade > Grade::Repaired => fate.reported += 1,
                Some(Grade::Repaired) if true_value == value => fate.repaired += 1,
                _ => {
                    fate.silent += 1;
                    self.silent.push(format!(
                        "{kind}: {} {field}: truth {true_value:?}, read {value:?}, mark {mark:?}",
                        truth.record_type
                    ));
                }
            }
        }
        let defective = |path: &str| {
            truth.defects.iter().any(|(field, _)| {
                is_other_place(path)
                    || path.strip_prefix(field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        for (path, value) in truth.fields.iter().filter(|(path, _)| !defective(path)) {
            let mark = mark_of(path, marks);
            if found.get(path) != Some(value) && mark.is_some_and(|(_, reasons)| reasons == "case_unknown") {
                self.ambiguous += 1;
            } else if found.get(path) != Some(value) {
                self.touched.push(format!(
                    "{} {path}: {value:?}, read {:?}, {mark:?}",
                    truth.record_type,
                    found.get(path)
                ));
            } else if let Some((grade, reasons)) = mark {
                *self.clean_marked.entry(format!("{} {reasons}", grade.as_str_name().to_lowercase())).or_default() += 1;
            } else {
                self.clean += 1;
            }
        }
    }

    pub(super) fn print(&self, engines: &str) {
        println!("\n{engines}: what became of each defect");
        let header = ["injected", "repaired", "reported", "own row", "silent"];
        println!("{:<26}{}", "kind", header.map(|column| format!("{column:>10}")).concat());
        for (kind, fate) in &self.kinds {
            let counts = [fate.injected, fate.repaired, fate.reported, fate.row, fate.silent];
            println!("{kind:<26}{}", counts.map(|count| format!("{count:>10}")).concat());
        }
        let marked: u64 = self.clean_marked.values().sum();
        println!(
            "values without a defect: {} as they are, {marked} as they are under a mark, {} that TCVN3 writes as it writes \
             others (SRó, SRÓ) under a mark that says so, {} touched",
            self.clean,
            self.ambiguous,
            self.touched.len()
        );
        self.clean_marked.iter().for_each(|(mark, count)| println!("  {count:>8} {mark}"));
        self.touched.iter().take(20).for_each(|touched| println!("  touched: {touched}"));
    }

    /// Fails when a defect was silent, a clean value touched, or a kind the generator wrote often is not among the records.
    pub(super) fn assert_none_silent(&self, written: &BTreeMap<&str, u64>) {
        let some = |list: &[String]| list[..list.len().min(30)].join("\n");
        assert!(self.silent.is_empty(), "{} defects in silence:\n{}", self.silent.len(), some(&self.silent));
        assert!(self.touched.is_empty(), "{} clean values touched:\n{}", self.touched.len(), some(&self.touched));
        println!("written into the registers: {written:?}");
        let often = written.iter().filter(|(_, count)| **count >= 50).map(|(kind, _)| *kind);
        let lacking: Vec<_> = often.filter(|kind| !self.kinds.contains_key(*kind)).collect();
        assert!(lacking.is_empty(), "no {lacking:?} among the records");
    }
}
