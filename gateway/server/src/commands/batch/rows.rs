//! The subjects of a batch: rows of a comma-separated file.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use aws_lc_rs::digest;
use csv::StringRecord;
use proto::query::v1::{self as wire, subject::Identifier};

const DOSSIER: &str = "dossier";

/// A file that was read once, whole, and is sound.
pub(super) struct Rows {
    file: PathBuf,
    columns: Columns,
    /// Rows after the header.
    pub(super) count: u64,
    /// SHA-256 of the file.
    pub(super) digest: Vec<u8>,
}

/// Makes an identifier of a number.
type Kind = fn(String) -> Identifier;

#[derive(Clone, Copy)]
struct Columns {
    subject: usize,
    kind: Kind,
    dossier: Option<usize>,
}

/// One subject.
pub(super) struct RowSubject {
    /// Counted from 1, the header apart.
    pub(super) number: u64,
    subject: Identifier,
    dossier: Option<String>,
}

impl Rows {
    /// Reads the whole file, so that nothing is asked of a file with a fault in it.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("cannot read {}", file.display());
        let mut hashing =
            Hashing { file: File::open(file).with_context(unreadable)?, digest: digest::Context::new(&digest::SHA256) };
        let mut reader = csv::Reader::from_reader(BufReader::new(&mut hashing));
        let columns =
            Columns::of(reader.headers().with_context(unreadable)?).with_context(|| file.display().to_string())?;
        let (mut record, mut count) = (StringRecord::new(), 0);
        // The reader names line and column of what is malformed.
        while reader.read_record(&mut record).with_context(unreadable)? {
            count += 1;
            let line = record.position().map_or(0, csv::Position::line);
            ensure!(!record[columns.subject].trim().is_empty(), "{}:{line}: names no subject", file.display());
        }
        drop(reader);
        let digest = hashing.digest.finish().as_ref().to_vec();
        Ok(Self { file: file.to_owned(), columns, count, digest })
    }

    /// The rows, from the first.
    pub(super) fn read(&self) -> anyhow::Result<impl Iterator<Item = RowSubject> + Send + 'static> {
        let columns = self.columns;
        let reader =
            csv::Reader::from_path(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let records = reader.into_records().map_while(Result::ok);
        Ok(records.zip(1..).map(move |(record, number)| columns.row(&record, number)))
    }
}

impl Columns {
    fn of(header: &StringRecord) -> anyhow::Result<Self> {
        let place = |name: &str| header.iter().position(|column| column.trim() == name);
        let kinds: [(&str, Kind); 5] = [
            ("personal_id", Identifier::PersonalId),
            ("legacy_id", Identifier::LegacyId),
            ("social_insurance_number", Identifier::SocialInsuranceNumber),
            ("enterprise_code", Identifier::EnterpriseCode),
            ("budget_unit_code", Identifier::BudgetUnitCode),
        ];
        let names = || kinds.map(|(name, _)| name).join(", ");
        let mut found = kinds.iter().filter_map(|(name, kind)| Some((place(name)?, *kind)));
        let (subject, kind) = found.next().ok_or_else(|| anyhow!("the first line names none of {}", names()))?;
        if found.next().is_some() {
            bail!("the first line names more than one of {}: which one is asked by?", names());
        }
        Ok(Self { subject, kind, dossier: place(DOSSIER) })
    }

    fn row(&self, record: &StringRecord, number: u64) -> RowSubject {
        let text = |at: usize| record.get(at).unwrap_or_default().trim().to_owned();
        RowSubject { number, subject: (self.kind)(text(self.subject)), dossier: self.dossier.map(text) }
    }
}

impl RowSubject {
    /// The question about this subject.
    pub(super) fn question(self, common: &wire::QueryRequest) -> wire::QueryRequest {
        let mut question = common.clone();
        question.subject = Some(wire::Subject { identifier: Some(self.subject) });
        if let (Some(purpose), Some(dossier)) = (&mut question.purpose, self.dossier) {
            purpose.dossier_number = dossier;
        }
        question
    }
}

/// A file that is hashed as it is read.
struct Hashing {
    file: File,
    digest: digest::Context,
}

impl Read for &mut Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
