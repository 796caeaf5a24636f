//! `lienthong access matrix`.

use std::{io, process::ExitCode};

use chrono::SecondsFormat;

use super::{
    Files, Moment, View, disclosure, last_day,
    lines::{self, Line},
};
use crate::show;

/// Style of the HTML page, which needs nothing else.
const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #bbb;padding:.3em .5em;text-align:left;vertical-align:top}th{background:#eee;position:sticky;top:0}\
tr:nth-child(even){background:#f7f7f7}.s{color:#a00;font-weight:600}caption{text-align:left;margin-bottom:1em}";

/// Print everything as one table.
#[derive(clap::Args)]
pub(crate) struct Matrix {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    moment: Moment,
    /// Print CSV: one line for each system, purpose, action, record type, field and agreement.
    #[arg(long, conflicts_with = "html")]
    csv: bool,
    /// Print one HTML page that needs no other file.
    #[arg(long)]
    html: bool,
}

impl Matrix {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let view = self.files.view(&self.moment)?;
        let mut lines = lines::all(&view);
        lines.retain(|line| !line.conditions.never());
        if self.csv {
            show::line(csv(&view, &lines)?.trim_end())?;
        } else if self.html {
            show::line(html(&view, &lines))?;
        } else {
            terminal(&view, &lines)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn terminal(view: &View, lines: &[Line]) -> io::Result<()> {
    let mut table = show::table(["System", "Purpose", "Actions", "Opened", "Fields", "To", "Agreement"]);
    for line in lines {
        let short = line.what().rsplit('.').next().unwrap_or_default().to_owned();
        table.add_row([
            line.who(),
            line.purpose.clone(),
            line.actions.join("\n"),
            format!("{short} {}", line.count()),
            line.fields(),
            line.conditions.to_string(),
            line.agreement(view).number.clone(),
        ]);
    }
    show::line(table)?;
    show::line(format!("{}. * marks sensitive fields. What is not listed is refused.", summary(view, lines)))
}

fn summary(view: &View, lines: &[Line]) -> String {
    let cells: usize =
        lines.iter().map(|line| line.actions.len() * line.records.as_ref().map_or(1, |(_, fields)| fields.len())).sum();
    format!(
        "{} lines, {cells} cells; {} agreements, {} systems; at {}; digest {}",
        lines.len(),
        view.set.agreements().len(),
        view.set.systems().count(),
        view.now.to_rfc3339_opts(SecondsFormat::Secs, true),
        view.set.digest()
    )
}

fn csv(view: &View, lines: &[Line]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "agency",
        "system",
        "purpose",
        "action",
        "record_type",
        "field",
        "label_vi",
        "label_en",
        "sensitivity",
        "condition",
        "agreement",
        "valid_until",
        "disclosure",
        "legal_basis",
    ])?;
    for line in lines {
        let agreement = line.agreement(view);
        let fields: Vec<[&str; 5]> = match &line.records {
            None => vec![["audit log", "", "", "", ""]],
            Some((record_type, fields)) => record_type
                .fields_of(fields)
                .map(|field| {
                    let class = field.sensitivity.as_str_name();
                    [record_type.name.as_str(), &field.path, &field.label_vi, &field.label_en, class]
                })
                .collect(),
        };
        let (condition, until) = (line.conditions.to_string(), last_day(agreement));
        for action in &line.actions {
            for [record_type, path, label_vi, label_en, class] in &fields {
                writer.write_record([
                    &line.agency,
                    &line.system,
                    &line.purpose,
                    *action,
                    record_type,
                    path,
                    label_vi,
                    label_en,
                    class,
                    &condition,
                    &agreement.number,
                    &until,
                    disclosure(agreement.disclosure),
                    &agreement.legal_basis,
                ])?;
            }
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn html(view: &View, lines: &[Line]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"vi\"><head><meta charset=\"utf-8\"><title>Ai được xem gì</title>\
         <style>{STYLE}</style></head><body>\n<h1>Ai được xem gì, vì sao</h1>\n<table>\n<caption>{}. \
         <span class=\"s\">Đỏ</span>: dữ liệu cá nhân nhạy cảm. Những gì không có trong bảng đều bị từ chối.</caption>\n\
         <tr><th>Cơ quan</th><th>Hệ thống</th><th>Mục đích</th><th>Thao tác</th><th>Loại bản ghi</th>\
         <th>Trường dữ liệu</th><th>Điều kiện</th><th>Thỏa thuận</th></tr>\n",
        escape(&summary(view, lines))
    );
    for line in lines {
        let agreement = line.agreement(view);
        let agency = view.set.agencies().iter().find(|agency| agency.code.as_str() == line.agency);
        let agency = agency.map(|agency| agency.name_vi.as_str()).unwrap_or_default();
        let purpose = view.set.purpose(&line.purpose).map(|purpose| purpose.name_vi.as_str()).unwrap_or_default();
        let label = line.records.as_ref().map_or("Nhật ký truy cập", |(record_type, _)| &record_type.label_vi);
        let cells = [
            format!("{} {}", escape(&line.agency), escape(agency)),
            escape(&line.system),
            format!("{}<br>{}", escape(purpose), escape(&line.purpose)),
            line.actions.join(", "),
            format!("{}<br>{} {}", escape(label), escape(&line.what()), line.count()),
            field_labels(line),
            escape(&line.conditions.to_string()),
            format!(
                "{}<br>{}<br>đến {}<br>{}",
                escape(&agreement.number),
                escape(&agreement.title),
                last_day(agreement),
                escape(&agreement.legal_basis)
            ),
        ];
        page.push_str(&format!("<tr><td>{}</td></tr>\n", cells.join("</td><td>")));
    }
    page.push_str("</table>\n</body></html>");
    page
}

fn field_labels(line: &Line) -> String {
    let Some((record_type, fields)) = &line.records else { return String::new() };
    let labels = record_type.fields_of(fields).map(|field| {
        let class = match field.sensitivity {
            proto::options::v1::Sensitivity::Sensitive => " class=\"s\"",
            _ => "",
        };
        format!("<span{class} title=\"{}\">{}</span>", escape(&field.path), escape(&field.label_vi))
    });
    labels.collect::<Vec<_>>().join("; ")
}

/// Text as HTML shows it, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
