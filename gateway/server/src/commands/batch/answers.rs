//! The answers of a batch: lines of a file, each whole or cut off.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use fixedbitset::FixedBitSet;
use proto::{Schema, query::v1 as wire};
use serde::Deserialize;

use crate::show;

/// Answers that are not in the file yet are asked again after a crash.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Which rows have their answer.
#[derive(Clone)]
pub(super) struct Answered(Arc<FixedBitSet>);

/// The file, and what is in it.
pub(super) struct Answers {
    path: PathBuf,
    file: BufWriter<File>,
    answered: Arc<FixedBitSet>,
    done: u64,
    failed: u64,
    flushed: Instant,
}

/// What is read of a line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    item_id: String,
    error: Option<serde::de::IgnoredAny>,
}

impl Answered {
    /// Whether a row has its answer.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.contains(number as usize)
    }
}

impl Answers {
    /// Opens the answers of a batch, new or begun. A last line that was cut off is taken away. Beside the file lies another
    /// that says of which batch it is.
    pub(super) fn open(path: &Path, batch: &str, row_count: u64) -> anyhow::Result<Self> {
        let failed = || format!("cannot use {}", path.display());
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(failed)?;
        let mut answers = FixedBitSet::with_capacity(row_count as usize + 1);
        let (mut done, mut failures, mut sound) = (0, 0, 0);
        of_batch(path, batch, file.metadata()?.len() == 0)?;
        let mut reader = BufReader::new(&mut file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).with_context(failed)? > 0 && line.ends_with(b"\n") {
            let found: Line = serde_json::from_slice(&line)
                .map_err(|_| anyhow!("{}: line {} is no answer of a batch", path.display(), done + 1))?;
            let number = found.item_id.parse().ok().filter(|number| *number <= row_count as usize);
            let number = number.ok_or_else(|| anyhow!("{}: line {} answers no row", path.display(), done + 1))?;
            ensure!(!answers.put(number), "{}: row {number} is answered twice", path.display());
            done += 1;
            failures += u64::from(found.error.is_some());
            sound += line.len() as u64;
            line.clear();
        }
        file.set_len(sound).with_context(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            answered: Arc::new(answers),
            done,
            failed: failures,
            flushed: Instant::now(),
        })
    }

    /// Rows with an answer.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Those of them whose answer is a refusal or a failure.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Which rows have their answer now.
    pub(super) fn answered(&self) -> Answered {
        Answered(Arc::clone(&self.answered))
    }

    /// Writes an answer, unless its row has one. Whether it was new.
    pub(super) fn add(&mut self, schema: &Schema, answer: &wire::BatchQueryResponse) -> anyhow::Result<bool> {
        let number = answer.item_id.parse().ok().filter(|number| *number < self.answered.len());
        let number =
            number.with_context(|| format!("the hub answers an item that was not asked: {}", answer.item_id))?;
        if self.answered.contains(number) {
            return Ok(false);
        }
        let line = show::json_line(schema, "lienthong.query.v1.BatchQueryResponse", answer)?;
        let failed = || format!("cannot write {}", self.path.display());
        writeln!(self.file, "{line}").with_context(failed)?;
        Arc::make_mut(&mut self.answered).insert(number);
        self.done += 1;
        self.failed += u64::from(matches!(answer.result, Some(wire::batch_query_response::Result::Error(_))));
        if self.flushed.elapsed() >= FLUSH_INTERVAL {
            self.flush()?;
        }
        Ok(true)
    }

    /// Brings everything into the file.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.flushed = Instant::now();
        self.file.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Answers to other questions, or about other rows, must not be taken for this batch's.
fn of_batch(path: &Path, batch: &str, is_new: bool) -> anyhow::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".batch");
    if is_new {
        return fs::write(&beside, batch).with_context(|| format!("cannot write {}", Path::new(&beside).display()));
    }
    let known = fs::read_to_string(&beside).with_context(|| format!("cannot read {}", Path::new(&beside).display()))?;
    ensure!(
        known == batch,
        "{} holds answers to another question or about other rows; name another file",
        path.display()
    );
    Ok(())
}
