//! What columns beside a field's own, and names and comments, may say of its value: how exact a date is, what money is meant.

use super::{
    guess::{From, Named, NamedColumn},
    render::{plain, string},
    sample::Sample,
    words::{Meanings, words},
};
use crate::catalogue::ColumnType;

/// Words, folded, of columns whose amounts are counted in more than đồng or in other money.
const COUNTED_IN: [&[&str]; 8] =
    [&["trieu"], &["nghin"], &["ty", "dong"], &["ngan", "dong"], &["million"], &["billion"], &["thousand"], &["usd"]];
/// What stands for đồng in a column that says which money is meant.
const DONG: [&str; 5] = ["vnd", "dong", "đong", "d", "viet nam dong"];

/// Doubts a date beside which a column may say how exact it is: a day that only fills its place would be taken for real.
pub(super) fn exactness(convert: &str, from: &From, table: &Named<'_>) -> Option<String> {
    const SAYS: [&str; 2] = ["kind", "estimated"];
    let From::Column(date) = from else { return None };
    if !["partial_date", "birth_date"].contains(&convert) {
        return None;
    }
    let called = table.column(date)?.names.first()?;
    let other = table.columns.iter().find(|column| {
        let says = |name: &Meanings| SAYS.iter().any(|word| name.mean(word)) && name.without(&SAYS) == *called;
        column.facts.name != *date && column.names.iter().any(says)
    })?;
    let name = &other.facts.name;
    Some(format!(
        "{name} may say how exact it is: where it holds 0 for the day, 1 for the year, 2 for the month, write \
         from = {{ date = {}, precision = {} }}",
        string(date),
        string(name)
    ))
}

/// Doubts amounts whose column, or one beside it, speaks of other money than đồng, or of thousands and millions of it.
pub(super) fn money(convert: &str, from: &From, table: &Named<'_>, sample: Option<&Sample>) -> Option<String> {
    let From::Column(amount) = from else { return None };
    let own = table.column(amount).filter(|_| convert == "money")?;
    let spoken = [words(&own.facts.name), words(&own.facts.comment)];
    let counted = COUNTED_IN
        .iter()
        .find(|said| spoken.iter().any(|words| words.windows(said.len()).any(|window| window.iter().eq(said.iter()))));
    if let Some(counted) = counted {
        return Some(format!(
            "{amount} speaks of \"{}\"; amounts are given out in đồng: multiply them in a SELECT",
            counted.join(" ")
        ));
    }
    let says = |column: &&NamedColumn<'_>| column.names.iter().any(|name| name.mean("currency"));
    let other = table.columns.iter().find(says)?;
    let texts = sample.map(|sample| sample.texts(&other.facts.name)).unwrap_or_default();
    let dong = |text: &String| DONG.contains(&words(text).join(" ").as_str());
    let only_dong = !texts.is_empty() && texts.iter().all(dong);
    (!only_dong).then(|| {
        format!(
            "{} may say what money this is; amounts are given out as đồng: leave others out in a SELECT",
            plain(&other.facts.name)
        )
    })
}

/// Doubts days taken from times that are not midnight: where the rows were written they may be other days.
pub(super) fn times(convert: &str, from: &From, sample: Option<&Sample>) -> Option<String> {
    let From::Column(column) = from else { return None };
    let (others, all) = sample.filter(|_| ["partial_date", "birth_date"].contains(&convert))?.times(column);
    (others > 0).then(|| {
        format!(
            "{others} of {all} sampled values are times other than midnight: is their day the one that is meant? Midnights kept \
             in another time zone, such as UTC, are a day off: shift them in a SELECT"
        )
    })
}

/// Doubts texts that come from a column of numbers.
pub(super) fn zeros(convert: &str, from: &From, table: &Named<'_>) -> Option<String> {
    let From::Column(column) = from else { return None };
    let kind = &table.column(column).filter(|_| convert == "text")?.facts.kind;
    matches!(kind, ColumnType::Int | ColumnType::Number).then(|| {
        format!(
            "{} holds numbers, which keep no zeros at the front: a code that has some needs them back",
            plain(column)
        )
    })
}

/// Doubts percents of which none is above 1: they may be shares of 1.
pub(super) fn percent(path: &str, from: &From, sample: Option<&Sample>) -> Option<String> {
    let From::Column(column) = from else { return None };
    let held: Vec<f64> = sample?.texts(column).iter().filter_map(|text| text.replace(',', ".").parse().ok()).collect();
    let fraction = held.iter().any(|share| share.fract() != 0.0) && held.iter().all(|share| *share <= 1.0);
    (path.ends_with("percent") && fraction)
        .then(|| format!("{} holds nothing above 1: if 1 is the whole, multiply by 100 in a SELECT", plain(column)))
}
