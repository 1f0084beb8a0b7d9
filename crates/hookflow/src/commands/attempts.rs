//! `hookflow attempts`: every try of a call, read from the store beside a running server or without one; one of them
//! whole.

use super::runs::columns;
use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg, switch, text, word};
use crate::kept::{Kept, list_args, server_arg};
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};
use hookflow_console::ExportFormat;
use hookflow_text::Json;
use serde_json::json;

/// How many pages are read for one list: a search looks at so many attempts on each.
const PAGES: usize = 1_000;
/// How many attempts of an export are read at a time.
const SLICE: &str = "200";
/// How much of a message is shown in a line.
const MESSAGE: usize = 100;

pub(super) static COMMAND: Command = Command {
    name: "attempts",
    about: "Lists every try of a call, latest first, shows one whole, or takes them elsewhere",
    examples: "  hookflow attempts --integration warehouse --failed --since 2h\n  \
               hookflow attempts --run ID --format json\n  \
               hookflow attempts show ID\n  \
               hookflow attempts export --format csv --since 1d > attempts.csv",
    args: |command| {
        let export = clap::Command::new("export")
            .about("Writes all that the filters leave, one in a line")
            .args(filters())
            .arg(
                word("format", "FORMAT", "How they are written")
                    .default_value("ndjson")
                    .value_parser(ExportFormat::ALL.map(|(name, _)| name)),
            )
            .arg(server_arg())
            .arg(dir_arg());
        let show = clap::Command::new("show")
            .about("Shows a try of a call, with all that is kept of large bodies")
            .arg(
                Arg::new("id")
                    .value_name("ID")
                    .help("The attempt's ID, as lists in JSON tell it")
                    .required(true),
            )
            .arg(server_arg())
            .arg(dir_arg())
            .arg(format_arg());
        command
            .args(filters())
            .args(list_args("50", 65_535))
            .arg(dir_arg())
            .arg(format_arg())
            .args_conflicts_with_subcommands(true)
            .subcommands([show, export])
    },
    run,
};

/// What narrows the list and has a value.
const FILTERS: [&str; 5] = ["run", "flow", "integration", "since", "until"];

fn filters() -> [Arg; 6] {
    [
        word("run", "ID", "Only those of this run"),
        word("flow", "FLOW", "Only those of this flow"),
        word("integration", "NAME", "Only those that went by this integration"),
        switch("failed", "Only those that failed"),
        word("since", "WHEN", "Only those that began then or later: a moment, or `2h` ago"),
        word("until", "WHEN", "Only those that began before"),
    ]
}

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches, terminal),
        Some((_, matches)) => export(matches, terminal),
        None => list(matches, terminal),
    }
}

fn list(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let limit = usize::from(matches.get_one::<u16>("limit").copied().unwrap_or(1));
    let (mut items, mut next) = (Vec::new(), matches.get_one::<String>("before").cloned());
    for _ in 0..PAGES {
        let left = (limit - items.len()).to_string();
        match page(&kept, matches, &left, next.as_deref())? {
            Ok((more, cursor)) => {
                items.extend(more);
                next = cursor;
            }
            Err(why) => return refused(&why, terminal),
        }
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

/// One of them, whole.
fn show(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let shown = match kept.attempt(text(matches, "id").unwrap_or_default())? {
        Ok(shown) => shown,
        Err(why) => return refused(&why, terminal),
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", page_of(&shown))?,
        Format::Json => writeln!(terminal.out, "{shown:#}")?,
    }
    Ok(Verdict::Holds)
}

/// Page after page, none of which is kept.
fn export(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let word = matches.get_one::<String>("format");
    let format = ExportFormat::ALL.iter().find(|(name, _)| word.is_some_and(|word| word == name));
    let format = format.map_or(ExportFormat::Ndjson, |(_, format)| *format);
    write!(terminal.out, "{}", format.head())?;
    let mut next = None;
    loop {
        match page(&kept, matches, SLICE, next.as_deref())? {
            Ok((items, cursor)) => {
                for item in &items {
                    write!(terminal.out, "{}", format.line(item))?;
                }
                next = cursor;
            }
            Err(why) => return refused(&why, terminal),
        }
        if next.is_none() {
            return Ok(Verdict::Holds);
        }
    }
}

type Items = (Vec<Json>, Option<String>);

/// A page of what the filters leave, and where the next one begins.
fn page(
    kept: &Kept,
    matches: &ArgMatches,
    limit: &str,
    before: Option<&str>,
) -> anyhow::Result<Result<Items, String>> {
    let value = |name: &&'static str| Some((*name, matches.get_one::<String>(name)?.as_str()));
    let mut query: Vec<_> = FILTERS.iter().filter_map(value).collect();
    query.push(("limit", limit));
    query.extend(matches.get_flag("failed").then_some(("failed", "true")));
    query.extend(before.map(|before| ("before", before)));
    Ok(kept.attempts(&query)?.map(|mut page| {
        let items = match page.get_mut("items").map(Json::take) {
            Some(Json::Array(items)) => items,
            _ => Vec::new(),
        };
        (items, page.get("next").and_then(Json::as_str).map(str::to_owned))
    }))
}

/// Its line, and what was sent and what was answered.
fn page_of(shown: &Json) -> String {
    let mut out = table(std::slice::from_ref(shown), None);
    for part in ["request", "answer"] {
        let of = shown.get(part).filter(|of| !of.is_null());
        let of = of.map(|of| super::runs::plain(&Json::String(format!("\n{part} {of:#}\n"))));
        out.push_str(&of.unwrap_or_default());
    }
    out
}

/// One line for each, in columns.
fn table(items: &[Json], next: Option<&str>) -> String {
    if items.is_empty() && next.is_none() {
        return "No attempt is kept that fits.\n".into();
    }
    let head = ["AT", "FLOW", "STEP", "WEBHOOK", "TRY", "CALL", "CAME", "TOOK", "RUN"].map(str::to_owned);
    let mut out = columns(std::iter::once(head).chain(items.iter().map(row)));
    if let Some(next) = next {
        out.push_str(&format!("There may be more: `--before {next}`\n"));
    }
    out
}

fn row(item: &Json) -> [String; 9] {
    let at = |path: &str| item.pointer(path).filter(|value| !value.is_null());
    let word = |path: &str| at(path).map_or_else(|| "-".into(), super::runs::plain);
    let by = match (at("/integration"), at("/webhook")) {
        (Some(_), Some(_)) => format!("{}.{}", word("/integration"), word("/webhook")),
        _ => word("/integration"),
    };
    let failed = || format!("{}: {}", word("/kind"), word("/message"));
    [
        word("/at"),
        word("/flow"),
        word("/step"),
        by,
        word("/attempt"),
        short(&format!("{} {}", word("/request/method"), word("/request/url"))),
        at("/kind").map_or_else(|| word("/status"), |_| short(&failed())),
        at("/took_ms").map_or_else(|| "-".into(), |took| format!("{took}ms")),
        word("/run"),
    ]
}

/// In one line.
fn short(text: &str) -> String {
    super::runs::short(&text.replace('\n', " "), MESSAGE)
}

/// Says why something does not hold.
fn refused(why: &str, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    writeln!(terminal.err, "hookflow attempts: {why}")?;
    Ok(Verdict::DoesNot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_stand_in_columns() {
        let items = [
            json!({"at": "T2", "flow": "shop", "step": "stock", "integration": "warehouse", "webhook": "reserve", "attempt": 2,
                "request": {"method": "POST", "url": "http://a/"}, "status": 201, "took_ms": 12, "run": "r-1"}),
            json!({"at": "T1", "flow": "shop", "step": "2", "integration": null, "webhook": null, "attempt": 1,
                "request": {"method": "GET", "url": "http://b/"}, "status": null, "kind": "timeout", "message": "late\u{1b}",
                "took_ms": null, "run": "r-0"}),
        ];
        assert_eq!(
            table(&items, Some("7")),
            "AT  FLOW  STEP   WEBHOOK            TRY  CALL            CAME           TOOK  RUN\n\
             T2  shop  stock  warehouse.reserve  2    POST http://a/  201            12ms  r-1\n\
             T1  shop  2      -                  1    GET http://b/   timeout: late  -     r-0\n\
             There may be more: `--before 7`\n"
        );
        assert!(table(&[], None).starts_with("No attempt"));
        let page = page_of(&items[1]);
        assert!(page.starts_with("AT ") && page.contains("\nrequest {\n  \"method\": \"GET\",\n"), "{page}");
        assert!(!page.contains("answer"), "{page}");
    }
}
