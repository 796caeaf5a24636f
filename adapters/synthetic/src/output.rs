//! Where rows and truth go: rows to the loader of their sector, truth to the writer, counts to the summary.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::{
    Cast, CastMember, Sector, Summary, SyntheticError, Target,
    draft::{Cell, Defect, Draft, Fields},
    load::Loader,
    people::Person,
};

pub(crate) struct Output<'w> {
    loaders: Vec<Loader>,
    truth: Option<&'w mut (dyn Write + Send)>,
    summary: Summary,
}

impl<'w> Output<'w> {
    pub(crate) async fn open(
        targets: &[Target],
        replace: bool,
        truth: Option<&'w mut (dyn Write + Send)>,
    ) -> Result<Self, SyntheticError> {
        let mut loaders: Vec<Loader> = Vec::with_capacity(targets.len());
        for target in targets {
            if loaders.iter().any(|loader| loader.sector() == target.sector) {
                return Err(SyntheticError::DuplicateTarget { sector: target.sector });
            }
            loaders.push(Loader::open(target, replace).await?);
        }
        Ok(Self { loaders, truth, summary: Summary::default() })
    }

    pub(crate) fn has(&self, sector: Sector) -> bool {
        self.loaders.iter().any(|loader| loader.sector() == sector)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.summary.rows.values().sum()
    }

    /// Adds a row to its table.
    pub(crate) fn row(
        &mut self,
        sector: Sector,
        table: &'static str,
        cells: &[(&'static str, Cell)],
    ) -> Result<(), SyntheticError> {
        if let Some(loader) = self.loaders.iter_mut().find(|loader| loader.sector() == sector) {
            loader.push(table, cells)?;
            *self.summary.rows.entry(table).or_default() += 1;
        }
        Ok(())
    }

    /// Adds a drafted row and, if its record can be found by a key, the truth of it.
    pub(crate) fn record(
        &mut self,
        sector: Sector,
        record_type: &str,
        keys: Keys,
        draft: Draft<'_>,
    ) -> Result<(), SyntheticError> {
        self.row(sector, draft.table, &draft.cells)?;
        self.count(&draft.defects);
        self.truth(sector, record_type, &keys, &draft.fields, &draft.defects)
    }

    pub(crate) fn count(&mut self, defects: &[Defect]) {
        for defect in defects {
            *self.summary.defects.entry(defect.kind.as_str()).or_default() += 1;
        }
    }

    pub(crate) fn truth(
        &mut self,
        sector: Sector,
        record_type: &str,
        keys: &Keys,
        fields: &Fields,
        defects: &[Defect],
    ) -> Result<(), SyntheticError> {
        let Some(truth) = self.truth.as_mut().filter(|_| !keys.0.is_empty()) else { return Ok(()) };
        let defects: Vec<Value> =
            defects.iter().map(|defect| json!({ "field": defect.field, "kind": defect.kind.as_str() })).collect();
        let line = json!({
            "sector": sector.as_str(),
            "record_type": record_type,
            "keys": keys.0,
            "fields": fields,
            "defects": defects,
        });
        writeln!(truth, "{line}")?;
        Ok(())
    }

    pub(crate) fn cast(&mut self) -> &mut Cast {
        &mut self.summary.cast
    }

    /// Hands full buffers to the databases; all of them at the end.
    pub(crate) async fn flush(&mut self, all: bool) -> Result<(), SyntheticError> {
        for loader in &mut self.loaders {
            loader.flush(all).await?;
        }
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Summary, SyntheticError> {
        self.flush(true).await?;
        for loader in self.loaders {
            loader.finish().await?;
        }
        if let Some(truth) = self.truth {
            truth.flush()?;
        }
        Ok(self.summary)
    }
}

/// The keys a record can be found by, as the register stores them.
#[derive(Default)]
pub(crate) struct Keys(Map<String, Value>);

impl Keys {
    pub(crate) fn with(mut self, kind: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.insert(kind.to_owned(), Value::from(value));
        }
        self
    }

    /// Several values of one kind, any of which finds the record.
    pub(crate) fn with_all(mut self, kind: &str, values: Vec<String>) -> Self {
        self.0.insert(kind.to_owned(), Value::from(values));
        self
    }

    /// A personal number that stands in the record. Where the register lost its leading zero, the true number must find
    /// the record all the same.
    pub(crate) fn personal_id(self, stored: Option<&str>) -> Self {
        let whole = stored.map(|number| format!("{number:0>12}"));
        self.with("personal_id", whole.as_deref())
    }
}

impl CastMember {
    pub(crate) fn of(person: &Person) -> Option<Self> {
        Some(Self {
            name: person.name.full(),
            personal_id: person.personal_id.clone()?,
            legacy_id: person.legacy_id.clone(),
            social_insurance_number: person.insurance_number.clone(),
        })
    }
}
