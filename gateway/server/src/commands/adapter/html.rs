//! A check's report as one page: charts are inline SVG, and nothing is loaded from anywhere.

use std::fmt::{self, Write};

use adapter_sdk::{FieldQuality, RecordQuality};

use super::report::{Report, percent, reasons, unfindable};

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;color:#1c2733;max-width:70rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}code,td.n{font-family:ui-monospace,monospace;font-size:.85em}\
.words{display:flex;gap:1rem;flex-wrap:wrap}.word{border:1px solid #d5dce3;border-radius:.5rem;padding:.6rem 1rem;min-width:9rem}\
.word b{display:block;font-size:1.5rem}.word span{color:#5a6b7b;font-size:.85em}\
table{border-collapse:collapse;width:100%;margin-top:1rem}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #e6ebf0}\
td.n{text-align:right;white-space:nowrap}td.p{white-space:pre-line;font-size:.85em;overflow-wrap:anywhere}\
.bad{color:#a3231c}ul{padding-left:1.2rem}.key i{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 1rem;vertical-align:-1px}";

/// The parts of a field's bar, from best to worst.
const PARTS: [(&str, &str); 6] = [
    ("sạch / clean", "#2f7d4f"),
    ("đã sửa / repaired", "#8fc3a3"),
    ("mất thông tin / converted with loss", "#e0c25a"),
    ("nghi ngờ / suspect", "#e2913c"),
    ("sai / invalid", "#b8322a"),
    ("trống / absent", "#d5dce3"),
];

const BAR_WIDTH: f64 = 260.0;
const AGE_BARS: usize = 24;

/// The page.
pub(super) fn page(report: &Report) -> Result<String, fmt::Error> {
    let mut page = String::new();
    let title = format!("{}: đúng, đủ, sạch, sống", escaped(&report.source.label_vi));
    write!(
        page,
        "<!doctype html><html lang=\"vi\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>{} · {} · mapping <code>{}</code> · {}</p>",
        escaped(&report.source.owner),
        report.source.engine,
        report.source.mapping_digest,
        chrono::Utc::now().format("%Y-%m-%d %H:%M UTC")
    )?;
    fit(&mut page, report)?;
    for part in &report.records {
        record(&mut page, report, part)?;
    }
    alarms(&mut page, report)?;
    page.push_str("</body></html>\n");
    Ok(page)
}

fn fit(page: &mut String, report: &Report) -> fmt::Result {
    page.push_str("<h2>Ánh xạ / Mapping</h2>");
    if report.fits() {
        page.push_str("<p>The mapping fits the database.</p>");
    }
    let unread: Vec<_> = report.unread.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    let unmapped: Vec<_> = report
        .fit
        .unmapped
        .iter()
        .map(|(name, path)| format!("{}.{path}", name.rsplit('.').next().unwrap_or(name)))
        .collect();
    let lost: Vec<_> = report.records.iter().flat_map(unfindable).collect();
    for (what, class, lines) in [
        ("Does not fit", "bad", &report.fit.problems),
        ("Not read", "bad", &unread),
        ("Rows their number does not find", "bad", &lost),
        ("Rows a where leaves out since its column holds NULL", "bad", &report.undecided),
        ("Lookup columns without an index", "", &report.fit.unindexed),
        ("Columns nothing reads", "", &report.fit.unread),
        ("Fields without a column", "", &unmapped),
    ] {
        if lines.is_empty() {
            continue;
        }
        write!(page, "<details{}><summary class=\"{class}\">{what} ({})</summary><ul>", open(class), lines.len())?;
        for line in lines {
            write!(page, "<li><code>{}</code></li>", escaped(line))?;
        }
        page.push_str("</ul></details>");
    }
    Ok(())
}

fn open(class: &str) -> &'static str {
    if class.is_empty() { "" } else { " open" }
}

fn record(page: &mut String, report: &Report, record: &RecordQuality) -> fmt::Result {
    let name = &record.record_type;
    write!(
        page,
        "<h2>{} <code>{}</code></h2><p><code>{}</code>: {} / {} rows</p><div class=\"words\">",
        escaped(&name.label_vi),
        escaped(&name.name),
        escaped(&record.table),
        record.rows,
        record.rows_in_table
    )?;
    let live = if record.tells_age { percent(record.live(report.live_days)) } else { "-".to_owned() };
    for (word, english, value) in [
        ("đúng", "valid", percent(record.valid())),
        ("đủ", "complete", percent(record.complete())),
        ("sạch", "clean", percent(record.clean())),
        ("sống", "live", live),
    ] {
        write!(page, "<div class=\"word\"><span>{word} / {english}</span><b>{value}</b></div>")?;
    }
    write!(page, "</div><p>sống: {}</p>", escaped(&report.live_text(record)))?;
    if record.tells_age {
        ages(page, record)?;
    }
    page.push_str("<p class=\"key\">");
    for (label, colour) in PARTS {
        write!(page, "<i style=\"background:{colour}\"></i>{label}")?;
    }
    page.push_str("</p><table><thead><tr><th>Field</th><th></th><th>đúng</th><th>đủ</th><th>sạch</th><th>Found</th></tr></thead><tbody>");
    for field in &record.fields {
        let described = &name.fields[field.field];
        write!(page, "<tr><td><code>{}</code><br>{}</td><td>", escaped(&described.path), escaped(&described.label_vi))?;
        bar(page, field)?;
        write!(
            page,
            "</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"p\">{}</td></tr>",
            percent(field.valid()),
            percent(field.complete()),
            percent(field.clean()),
            escaped(&reasons(field, usize::MAX))
        )?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}

/// A field's values as one bar.
#[expect(clippy::cast_precision_loss, reason = "lengths on a screen")]
fn bar(page: &mut String, field: &FieldQuality) -> fmt::Result {
    let counts = [field.clean, field.repaired, field.lossy, field.suspect, field.invalid, field.absent()];
    let whole = counts.iter().sum::<u64>().max(1) as f64;
    write!(page, "<svg width=\"{BAR_WIDTH}\" height=\"16\" role=\"img\">")?;
    let mut at = 0.0;
    for ((label, colour), count) in PARTS.iter().zip(counts).filter(|(_, count)| *count > 0) {
        // What is there at all is seen.
        let width = (count as f64 / whole * BAR_WIDTH).max(1.5);
        write!(
            page,
            "<rect x=\"{at:.1}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"><title>{label}: {count}</title></rect>"
        )?;
        at += width;
    }
    page.push_str("</svg>");
    Ok(())
}

/// Rows by age, in equal steps up to the oldest.
#[expect(clippy::cast_precision_loss, reason = "lengths on a screen")]
fn ages(page: &mut String, record: &RecordQuality) -> fmt::Result {
    let step = record.ages.len().div_ceil(AGE_BARS).max(1);
    let bars: Vec<u64> = record.ages.chunks(step).map(|days| days.iter().sum()).collect();
    let Some(tallest) = bars.iter().copied().max().filter(|most| *most > 0) else { return Ok(()) };
    write!(page, "<svg width=\"{}\" height=\"100\" role=\"img\">", AGE_BARS * 22 + 80)?;
    for (at, rows) in bars.iter().enumerate() {
        let height = *rows as f64 / tallest as f64 * 76.0;
        write!(
            page,
            "<rect x=\"{}\" y=\"{:.1}\" width=\"18\" height=\"{height:.1}\" fill=\"#3b6ea5\"><title>{} to {} days: {rows} rows</title></rect>",
            at * 22,
            80.0 - height,
            at * step,
            (at + 1) * step - 1
        )?;
    }
    write!(
        page,
        "<text x=\"0\" y=\"96\" font-size=\"12\">0</text><text x=\"{}\" y=\"96\" font-size=\"12\">{} ngày / days</text></svg>",
        bars.len() * 22 - 22,
        record.ages.len()
    )
}

fn alarms(page: &mut String, report: &Report) -> fmt::Result {
    let alarms = report.encoding_alarms();
    if alarms.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Bảng mã / Encoding alarms</h2><table><thead><tr><th>Field</th><th>Declared</th><th>Values</th><th>In alarm</th></tr></thead><tbody>");
    for (record, path, encoding, values, count) in alarms {
        write!(
            page,
            "<tr><td><code>{}.{}</code></td><td>{}</td><td class=\"n\">{values}</td><td class=\"n\">{count}</td></tr>",
            escaped(record),
            escaped(path),
            escaped(encoding)
        )?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
