//! `hookflow deliveries`: what went out, what became of it, and sending it again.
//!
//! Looking reads the store itself, beside a running server or without one; sending again goes through the ops listener of
//! the running server.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg, switch, text, word};
use crate::config::Config;
use crate::kept::{Kept, list_args, server_arg, server_config};
use crate::ops_client;
use crate::terminal::Terminal;
use anyhow::bail;
use clap::{Arg, ArgMatches};
use hookflow_text::Json;
use serde_json::{Map, json};

pub(super) static COMMAND: Command = Command {
    name: "deliveries",
    about: "Lists and shows deliveries to subscriptions, and sends them again",
    examples: "  hookflow deliveries --subscription crm --state failed --since 2h\n  hookflow deliveries show ID\n  \
               hookflow deliveries resend ID\n  \
               hookflow deliveries resend --subscription crm --state failed --since 1d --rate 10/s --dry-run",
    args: |command| {
        let show = clap::Command::new("show")
            .about("Shows a delivery: its event, what it carries, and what came of each of its tries")
            .arg(id_arg().required(true))
            .arg(server_arg());
        let resend = clap::Command::new("resend")
            .about("Sends a delivery again, or all that the filters leave; each keeps its ID")
            .arg(id_arg().conflicts_with_all(FILTERS))
            .args(filters())
            .arg(switch("dry-run", "Only count the deliveries").conflicts_with("id"))
            .arg(word("rate", "RATE", "At most so many, such as 10/s").conflicts_with("id"))
            .arg(word("before", "CURSOR", "Go on where a former one has stopped").conflicts_with("id"));
        let own = [show, resend].map(|command| command.arg(dir_arg()).arg(format_arg()));
        command
            .args(filters())
            .args(list_args("50", 1_000))
            .arg(dir_arg())
            .arg(format_arg())
            .args_conflicts_with_subcommands(true)
            .subcommands(own)
    },
    run,
};

/// What narrows a list of deliveries.
const FILTERS: [&str; 5] = ["subscription", "state", "event", "since", "until"];

fn filters() -> [Arg; 5] {
    [
        word("subscription", "NAME", "Only those to this subscription"),
        word("state", "STATE", "Only those that are pending, delivered or failed"),
        word("event", "EVENT", "Only those of events of this name"),
        word("since", "WHEN", "Only those emitted then or later: a moment, or `2h` ago"),
        word("until", "WHEN", "Only those emitted before"),
    ]
}

fn id_arg() -> Arg {
    Arg::new("id").value_name("ID").help("The delivery's ID")
}

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches, terminal),
        Some((_, matches)) => resend(matches, terminal),
        None => list(matches, terminal),
    }
}

fn list(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let limit = matches.get_one::<u16>("limit").map(u16::to_string).unwrap_or_default();
    let mut query: Vec<_> = FILTERS.iter().filter_map(|name| Some((*name, text(matches, name)?))).collect();
    query.push(("limit", &limit));
    query.extend(text(matches, "before").map(|before| ("before", before)));
    let page = match kept.deliveries(&query)? {
        Ok(page) => page,
        Err(why) => return refused(&why, terminal),
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", table(&page))?,
        Format::Json => writeln!(terminal.out, "{page:#}")?,
    }
    Ok(Verdict::Holds)
}

fn show(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let shown = match kept.delivery(text(matches, "id").unwrap_or_default())? {
        Ok(shown) => shown,
        Err(why) => return refused(&why, terminal),
    };
    match format(matches) {
        Format::Text => {
            writeln!(terminal.out, "{}", line(&shown))?;
            if let Some(run) = shown.get("run").and_then(Json::as_str) {
                writeln!(terminal.out, "emitted by the run {run}")?;
            }
            write!(terminal.out, "{}", tries(&shown))?;
            let data = shown.get("data").unwrap_or(&Json::Null);
            writeln!(terminal.out, "{data:#}")?;
        }
        Format::Json => writeln!(terminal.out, "{shown:#}")?,
    }
    Ok(Verdict::Holds)
}

fn resend(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let Some(id) = text(matches, "id") else {
        if FILTERS.iter().all(|name| text(matches, name).is_none()) {
            bail!(
                "say which delivery, or which ones with --subscription, --state, --event, --since or --until"
            );
        }
        return resend_many(&config, matches, terminal);
    };
    let path = ops_client::path("deliveries", id, "/resend");
    match (ops_client::post(&config.ops, &path, &json!({}))?.judge(), format(matches)) {
        (Err(why), _) => return refused(&why, terminal),
        (Ok(_), Format::Text) => writeln!(terminal.out, "{id} is sent again.")?,
        (Ok(answer), Format::Json) => writeln!(terminal.out, "{answer:#}")?,
    }
    Ok(Verdict::Holds)
}

fn resend_many(config: &Config, matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let names = FILTERS.iter().chain(&["rate", "before"]);
    let mut how: Map<String, Json> =
        names.filter_map(|name| Some(((*name).to_owned(), text(matches, name)?.into()))).collect();
    let is_dry = matches.get_flag("dry-run");
    how.insert("dry_run".into(), is_dry.into());
    let mut items = Vec::new();
    loop {
        let answer = ops_client::post(&config.ops, "/api/deliveries/resend", &Json::Object(how.clone()));
        let page = match answer.map(ops_client::Answer::judge) {
            Ok(Ok(page)) => page,
            Ok(Err(why)) => return stopped(&why, &how, items.len(), terminal),
            Err(error) => return stopped(&format!("{error:#}"), &how, items.len(), terminal),
        };
        let found = page.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        // Of each only what stands in a line, for there may be many.
        items.extend(found.iter().map(|item| item.get("delivery").cloned().unwrap_or_default()));
        match page.get("next").filter(|next| !next.is_null()) {
            Some(next) => drop(how.insert("before".into(), next.clone())),
            None => break,
        }
    }
    let count = match items.len() {
        1 => "1 delivery".to_owned(),
        count => format!("{count} deliveries"),
    };
    match (format(matches), is_dry) {
        (Format::Json, _) => writeln!(terminal.out, "{:#}", json!({"items": items, "next": null}))?,
        (Format::Text, true) => {
            writeln!(terminal.out, "{count} would be sent again; nothing was changed.")?;
        }
        (Format::Text, false) => writeln!(terminal.out, "{count} sent again.")?,
    }
    Ok(Verdict::Holds)
}

/// Nothing is lost when it ends half way: the cursor says where to go on.
fn stopped(
    why: &str,
    how: &Map<String, Json>,
    resent: usize,
    terminal: &mut Terminal,
) -> anyhow::Result<Verdict> {
    let cursor = how.get("before").and_then(Json::as_str);
    let go_on = cursor.map(|cursor| format!("; go on with `--before {cursor}`")).unwrap_or_default();
    refused(&format!("{resent} resent, then it stopped: {why}{go_on}"), terminal)
}

/// One line for each, for people.
fn table(page: &Json) -> String {
    let items = page.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut text: String = items.iter().map(|item| line(item) + "\n").collect();
    if let Some(next) = page.get("next").and_then(Json::as_str) {
        text.push_str(&format!("There may be more: `--before {next}`\n"));
    }
    if text.is_empty() {
        text.push_str("No delivery is kept that fits.\n");
    }
    text
}

fn line(item: &Json) -> String {
    let word = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or("-");
    let tries = item.get("attempts").and_then(Json::as_u64).unwrap_or_default();
    let last = item.get("last").and_then(|last| {
        let status = last.get("status").and_then(Json::as_u64).map(|status| format!("  status {status}"));
        status.or_else(|| Some(format!("  {}", last.get("message")?.as_str()?)))
    });
    let next = match item.get("next_at").and_then(Json::as_str) {
        Some(next) => format!("  next {next}"),
        None => String::new(),
    };
    let (at, state, event) = (word("created_at"), word("state"), word("event"));
    let (to, last) = (word("subscription"), last.unwrap_or_default());
    format!("{at}  {state}  {event} to {to}  attempts {tries}{last}{next}  {}", word("delivery"))
}

/// One line for each try, the oldest first.
fn tries(shown: &Json) -> String {
    let tries = shown.get("tries").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let line = |told: &Json| {
        let word = |key: &str| told.get(key).and_then(Json::as_str);
        let came = match told.get("status").and_then(Json::as_u64) {
            Some(status) => format!("status {status}"),
            None => format!("{}: {}", word("kind").unwrap_or("failed"), word("message").unwrap_or("-")),
        };
        let took = told.get("took_ms").and_then(Json::as_u64).map(|took| format!("  {took} ms"));
        // A stranger wrote it: one line, and nothing that a terminal obeys.
        let answer = word("answer").map(|answer| format!("  {answer:?}"));
        let (at, took, answer) =
            (word("at").unwrap_or("-"), took.unwrap_or_default(), answer.unwrap_or_default());
        format!("  {at}  {came}{took}{answer}\n")
    };
    if tries.is_empty() {
        String::new()
    } else {
        format!("tries\n{}", tries.iter().map(line).collect::<String>())
    }
}

/// Says why something does not hold.
fn refused(why: &str, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    writeln!(terminal.err, "hookflow deliveries: {why}")?;
    Ok(Verdict::DoesNot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_has_a_line() {
        let page = json!({"next": "7", "items": [
            {"created_at": "2026-11-22T08:00:00Z", "state": "pending", "event": "order.created", "subscription": "crm",
             "attempts": 2, "last": {"status": 503}, "next_at": "2026-11-22T08:01:00Z", "delivery": "e1_crm"},
            {"created_at": "2026-11-22T07:00:00Z", "state": "failed", "event": "order.created", "subscription": "erp",
             "attempts": 5, "last": {"status": null, "message": "erp.example: nobody listens"}, "delivery": "e0_erp"},
        ]});
        assert_eq!(
            table(&page),
            "2026-11-22T08:00:00Z  pending  order.created to crm  attempts 2  status 503  next 2026-11-22T08:01:00Z  e1_crm\n\
             2026-11-22T07:00:00Z  failed  order.created to erp  attempts 5  erp.example: nobody listens  e0_erp\n\
             There may be more: `--before 7`\n"
        );
        assert!(table(&json!({"items": []})).starts_with("No delivery"));
    }

    #[test]
    fn each_try_has_a_line() {
        let shown = json!({"tries": [
            {"at": "2026-11-22T08:00:00Z", "status": null, "kind": "connect", "message": "crm.example: nobody listens", "answer": null,
             "took_ms": 2},
            {"at": "2026-11-22T08:00:05Z", "status": 503, "kind": "status", "message": null, "answer": "busy\n\u{1b}[2J", "took_ms": 12},
        ]});
        assert_eq!(
            tries(&shown),
            "tries\n  2026-11-22T08:00:00Z  connect: crm.example: nobody listens  2 ms\n  \
             2026-11-22T08:00:05Z  status 503  12 ms  \"busy\\n\\u{1b}[2J\"\n"
        );
        assert_eq!(tries(&json!({"tries": []})), "");
    }
}
