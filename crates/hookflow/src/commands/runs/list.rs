//! `hookflow runs`.

use super::{FILTERS, refused};
use crate::command::{Format, Verdict, format, text};
use crate::kept::Kept;
use crate::terminal::Terminal;
use clap::ArgMatches;
use hookflow_text::Json;
use serde_json::json;

/// How many pages are read for one list: a search looks at so many runs on each.
const PAGES: usize = 1_000;
/// How much of a message is shown in a line.
const MESSAGE: usize = 100;

pub(super) fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let limit = usize::from(matches.get_one::<u16>("limit").copied().unwrap_or(1));
    let (mut items, mut next) = (Vec::new(), text(matches, "before").map(str::to_owned));
    for _ in 0..PAGES {
        let left = (limit - items.len()).to_string();
        let mut query: Vec<_> =
            FILTERS.iter().filter_map(|name| Some((*name, text(matches, name)?))).collect();
        query.push(("limit", &left));
        query.extend(next.as_deref().map(|before| ("before", before)));
        let page = match kept.runs(&query)? {
            Ok(page) => page,
            Err(why) => return refused(&why, terminal),
        };
        items.extend(page.get("items").and_then(Json::as_array).into_iter().flatten().cloned());
        next = page.get("next").and_then(Json::as_str).map(str::to_owned);
        if next.is_none() || items.len() >= limit {
            break;
        }
    }
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", table(&items, next.as_deref()))?,
        Format::Json => writeln!(terminal.out, "{:#}", json!({"items": items, "next": next}))?,
    }
    Ok(Verdict::Holds)
}

/// One line for each, in columns.
pub(super) fn table(items: &[Json], next: Option<&str>) -> String {
    if items.is_empty() && next.is_none() {
        return "No run is kept that fits.\n".into();
    }
    let head = ["CAME", "FLOW", "STATUS", "ATTEMPT", "TOOK", "RUN", "ERROR"].map(str::to_owned);
    let mut out = columns(std::iter::once(head).chain(items.iter().map(row)));
    if let Some(next) = next {
        out.push_str(&format!("There may be more: `--before {next}`\n"));
    }
    out
}

/// Rows in columns, as wide as they need.
pub(in super::super) fn columns<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let (rows, mut widths): (Vec<_>, _) = (rows.collect(), [0; N]);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn row(item: &Json) -> [String; 7] {
    let word = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or("-").to_owned();
    let error = item.get("error").filter(|error| !error.is_null());
    [
        seconds(&word("started_at")),
        word("flow"),
        status(item),
        item.get("attempt").map_or_else(|| "-".into(), Json::to_string),
        took(item.get("started_at"), item.get("ended_at")),
        word("run"),
        error.map(|error| short(&fault(error))).unwrap_or_default(),
    ]
}

/// With a mark when the run is in memory only.
pub(super) fn status(item: &Json) -> String {
    let word = |key: &str| item.get(key).and_then(Json::as_str);
    let mark = if word("durability") == Some("relaxed") { " (relaxed)" } else { "" };
    format!("{}{mark}", word("status").unwrap_or("-"))
}

/// A fault in one line.
pub(super) fn fault(error: &Json) -> String {
    let word = |key: &str| error.get(key).and_then(Json::as_str);
    let step = word("step").map(|step| format!(" at `{step}`")).unwrap_or_default();
    format!("{}{step}: {}", word("code").unwrap_or("-"), word("message").unwrap_or("-"))
}

/// A moment without its fraction.
pub(super) fn seconds(moment: &str) -> String {
    match moment.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => moment.to_owned(),
    }
}

/// The time between two moments.
pub(super) fn took(from: Option<&Json>, to: Option<&Json>) -> String {
    let moment = |json: Option<&Json>| json?.as_str()?.parse::<jiff::Timestamp>().ok();
    let Some((from, to)) = moment(from).zip(moment(to)) else { return "-".into() };
    let millis = to.duration_since(from).as_millis();
    match millis {
        ..1_000 => format!("{millis}ms"),
        1_000..120_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{}m{:02}s", millis / 60_000, millis / 1_000 % 60),
    }
}

fn short(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    match text.char_indices().nth(MESSAGE).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start}…"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stand_in_columns() {
        let items = [
            json!({"run": "r-1", "flow": "shop", "status": "failed", "attempt": 1,
                "started_at": "2026-11-20T12:00:00.25Z", "ended_at": "2026-11-20T12:00:01.5Z",
                "error": {"code": "step.fail", "step": "order", "message": "none\nleft"}}),
            json!({"run": "r-0", "flow": "a-flow", "status": "running", "attempt": 2,
                "started_at": "2026-11-20T11:00:00Z", "ended_at": null, "error": null, "durability": "relaxed"}),
        ];
        assert_eq!(
            table(&items, Some("7")),
            "CAME                  FLOW    STATUS             ATTEMPT  TOOK  RUN  ERROR\n\
             2026-11-20T12:00:00Z  shop    failed             1        1.2s  r-1  step.fail at `order`: none left\n\
             2026-11-20T11:00:00Z  a-flow  running (relaxed)  2        -     r-0\n\
             There may be more: `--before 7`\n"
        );
        assert!(table(&[], None).starts_with("No run"));
    }

    #[test]
    fn times_are_short() {
        let took = |to: &str| took(Some(&json!("2026-11-20T12:00:00Z")), Some(&json!(to)));
        assert_eq!(took("2026-11-20T12:00:00.012Z"), "12ms");
        assert_eq!(took("2026-11-20T12:01:59.99Z"), "119.9s");
        assert_eq!(took("2026-11-20T13:00:05Z"), "60m05s");
        assert_eq!(took("soon"), "-");
    }
}
