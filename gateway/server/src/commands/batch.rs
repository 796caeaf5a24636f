//! `lienthong batch`: the same question about many subjects, from a file into a file, through cuts.

mod answers;
mod rows;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::ensure;
use aws_lc_rs::digest;
use backon::BackoffBuilder;
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message;
use proto::{
    Schema,
    query::v1::{self as wire, query_service_client::QueryServiceClient},
};
use tonic::{Code, Status};

use super::{
    Connect,
    query::{Purpose, selection},
};
use crate::{
    client::{CallFailed, Client},
    descriptors, show,
};
use answers::Answers;
use rows::Rows;

/// Pauses after a pass that brought no answer; when they are used up, the batch stops and can be gone on with.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
const PAUSES: usize = 10;
/// Answers of one item are far smaller; gRPC's default is 4 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Ask the same question about many subjects. Run again, it goes on where it stopped.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../deploy/help/batch.txt"))]
pub(crate) struct Batch {
    #[command(flatten)]
    connect: Connect,
    /// Comma-separated file whose first line names the columns: personal_id, legacy_id, social_insurance_number,
    /// enterprise_code or budget_unit_code; and, if each subject has a dossier of its own, dossier.
    #[arg(value_name = "FILE")]
    subjects: PathBuf,
    /// File the answers go to, a line of JSON for each, with the number of its row as itemId. What is in it is not asked
    /// again.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Record type and fields: TYPE:FIELD[,FIELD…]. Repeat for more record types.
    #[arg(long, short, value_name = "TYPE:FIELDS", required = true)]
    select: Vec<String>,
    #[command(flatten)]
    purpose: Purpose,
    /// Source without which an answer is useless. Repeatable.
    #[arg(long, value_name = "SOURCE")]
    require: Vec<String>,
}

/// What came of sending the rows that have no answer yet.
struct Pass {
    answered: u64,
    /// Why the stream ended before its end.
    cut: Option<Status>,
    /// Why an item had no answer that would stay the same later.
    later: Option<String>,
}

impl Batch {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::of(&self.connect).await?;
        let schema = descriptors::schema(&client, self.select.iter()).await?;
        let selections = self.select.iter().map(|text| selection(&schema, text)).collect::<anyhow::Result<_>>()?;
        let question = wire::QueryRequest {
            subject: None,
            selections,
            purpose: Some(self.purpose.message()),
            officer: client.officer(),
            required_sources: self.require,
        };
        let rows = Rows::open(&self.subjects)?;
        ensure!(rows.count > 0, "{} names no subject", self.subjects.display());
        let mut answers = Answers::open(&self.output, &batch_digest(&rows, &question), rows.count)?;
        let bar = bar(&rows, &answers)?;
        let outcome = ask_until_answered(&client, &schema, &question, &rows, &mut answers, &bar).await;
        answers.flush()?;
        bar.finish_and_clear();
        let (done, failed) = (answers.done(), answers.failed());
        show::line(format!(
            "{done} of {} rows answered in {}, {failed} of them with a refusal or failure.",
            rows.count,
            self.output.display()
        ))?;
        if let Some(reason) = outcome? {
            eprintln!(
                "lienthong: stopped: {reason}\nRun the same command again to go on with the other {}.",
                rows.count - done
            );
            return Ok(ExitCode::from(5));
        }
        Ok(ExitCode::from(if failed == 0 { 0 } else { 4 }))
    }
}

/// Asks in passes until every row has its answer. Why not, if it gave up.
async fn ask_until_answered(
    client: &Client,
    schema: &Schema,
    question: &wire::QueryRequest,
    rows: &Rows,
    answers: &mut Answers,
    bar: &ProgressBar,
) -> anyhow::Result<Option<String>> {
    let pauses = || {
        let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSE_FIRST).with_max_delay(PAUSE_MAX);
        builder.with_max_times(PAUSES).with_jitter().build()
    };
    let mut left = pauses();
    while answers.done() < rows.count {
        let pass = pass(client, schema, question, rows, answers, bar).await?;
        answers.flush()?;
        if let Some(status) = pass.cut.as_ref().filter(|status| !passes(status)) {
            return Err(CallFailed::from(status.clone()).into());
        }
        if pass.answered > 0 {
            left = pauses();
        }
        if answers.done() == rows.count {
            break;
        }
        let reason = pass.cut.map(|status| CallFailed::from(status).to_string()).or(pass.later);
        let reason = reason.unwrap_or_else(|| "the hub ended the stream".to_owned());
        let Some(pause) = left.next() else { return Ok(Some(reason)) };
        bar.set_message(reason.lines().next().unwrap_or_default().to_owned());
        tokio::time::sleep(pause).await;
        bar.set_message("");
    }
    Ok(None)
}

/// Sends the rows that have no answer yet down one stream.
async fn pass(
    client: &Client,
    schema: &Schema,
    question: &wire::QueryRequest,
    rows: &Rows,
    answers: &mut Answers,
    bar: &ProgressBar,
) -> anyhow::Result<Pass> {
    let mut pass = Pass { answered: 0, cut: None, later: None };
    let question = question.clone();
    let answered = answers.answered();
    let items = rows.read()?.filter(move |row| !answered.contains(row.number)).map(move |row| {
        wire::BatchQueryRequest { item_id: row.number.to_string(), query: Some(row.question(&question)) }
    });
    let mut service = QueryServiceClient::new(client.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
    let stream = match service.batch_query(client.request_without_end(stream::iter(items))).await {
        Ok(stream) => stream,
        Err(status) => return Ok(Pass { cut: Some(status), ..pass }),
    };
    let mut stream = stream.into_inner();
    loop {
        let answer = match stream.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(pass),
            Err(status) => return Ok(Pass { cut: Some(status), ..pass }),
        };
        if let Some(reason) = answered_later(&answer) {
            pass.later = Some(reason);
        } else if answers.add(schema, &answer)? {
            pass.answered += 1;
            bar.inc(1);
        }
    }
}

/// Whether a broken stream may be followed by another.
fn passes(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
    )
}

/// Why an item should be asked again: what kept it from being answered passes.
fn answered_later(answer: &wire::BatchQueryResponse) -> Option<String> {
    let Some(wire::batch_query_response::Result::Error(error)) = &answer.result else { return None };
    matches!(Code::from(error.code), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
        .then(|| format!("{} ({})", error.message_en, error.reason))
}

/// What makes a batch this one and no other: its rows and its question.
fn batch_digest(rows: &Rows, question: &wire::QueryRequest) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&rows.digest);
    context.update(&question.encode_to_vec());
    hex::encode(context.finish())
}

fn bar(rows: &Rows, answers: &Answers) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} {per_sec} {eta} {msg}")?;
    Ok(ProgressBar::new(rows.count).with_style(style).with_position(answers.done()))
}
