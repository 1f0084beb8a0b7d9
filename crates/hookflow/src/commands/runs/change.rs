//! `hookflow runs replay`, `cancel` and `erase`: what only the running server may do.

use super::{FILTERS, list, refused};
use crate::command::{Format, Verdict, format, text};
use crate::kept::server_config;
use crate::sections::Ops;
use crate::terminal::Terminal;
use crate::{ops_client, report};
use anyhow::bail;
use clap::ArgMatches;
use hookflow_text::Json;
use serde_json::{Map, json};
use std::time::Duration;

/// The longest pause that a full queue asks for and is waited out.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

pub(super) fn cancel(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let run = text(matches, "run").unwrap_or_default();
    let answer = ops_client::post(&config.ops, &ops_client::run_path(run, "/cancel"), &json!({}))?;
    match (answer.judge(), format(matches)) {
        (Err(why), _) => return refused(&why, terminal),
        (Ok(_), Format::Text) => writeln!(terminal.out, "The run {run} was asked to end.")?,
        (Ok(answer), Format::Json) => writeln!(terminal.out, "{answer:#}")?,
    }
    Ok(Verdict::Holds)
}

pub(super) fn erase(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let what = fields(matches, &["flow", "key"]);
    let mut erased = 0_usize;
    loop {
        let answer = match ops_client::post(&config.ops, "/api/erase", &Json::Object(what.clone()))?.judge() {
            Ok(answer) => answer,
            Err(why) => return refused(&why, terminal),
        };
        erased += answer
            .get("erased")
            .and_then(Json::as_u64)
            .map_or(0, |erased| usize::try_from(erased).unwrap_or(usize::MAX));
        if answer.get("more") != Some(&Json::Bool(true)) {
            break;
        }
    }
    match format(matches) {
        Format::Text => writeln!(terminal.out, "{} erased.", report::count(erased, "run"))?,
        Format::Json => writeln!(terminal.out, "{:#}", json!({"erased": erased, "more": false}))?,
    }
    Ok(Verdict::Holds)
}

pub(super) fn replay(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let Some(run) = text(matches, "run") else {
        if FILTERS.iter().all(|name| text(matches, name).is_none()) {
            bail!("say which run, or which runs with --flow, --status, --since, --until or --search");
        }
        return replay_many(&config.ops, matches, terminal);
    };
    let how = Json::Object(fields(matches, &["from", "version"]));
    let answer = ops_client::post(&config.ops, &ops_client::run_path(run, "/replay"), &how)?;
    match (answer.judge(), format(matches)) {
        (Err(why), _) => return refused(&why, terminal),
        (Ok(answer), Format::Text) => {
            let new = answer.get("run_id").and_then(Json::as_str).unwrap_or("-");
            writeln!(terminal.out, "The event runs again as {new}.")?;
        }
        (Ok(answer), Format::Json) => writeln!(terminal.out, "{answer:#}")?,
    }
    Ok(Verdict::Holds)
}

fn replay_many(ops: &Ops, matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let mut how = fields(matches, &[&FILTERS[..], &["version", "rate", "before"]].concat());
    let is_dry = matches.get_flag("dry-run");
    how.insert("dry_run".into(), is_dry.into());
    let (mut items, mut seen, mut replayed) = (Vec::new(), 0, 0);
    loop {
        let answer = ops_client::post(ops, "/api/runs/replay", &Json::Object(how.clone()));
        let page = match answer.map(ops_client::Answer::judge) {
            Ok(Ok(page)) => page,
            Ok(Err(why)) => return stopped(&why, &how, replayed, terminal),
            Err(error) => return stopped(&format!("{error:#}"), &how, replayed, terminal),
        };
        let found = page.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        seen += found.len();
        replayed += found.iter().filter(|item| item.get("replayed_as").is_some_and(Json::is_string)).count();
        match format(matches) {
            Format::Text if !is_dry => told(found, terminal)?,
            Format::Text => items.extend(found.iter().take(FIRST_FEW.saturating_sub(items.len())).cloned()),
            Format::Json => items.extend_from_slice(found),
        }
        let Some(next) = page.get("next").filter(|next| !next.is_null()) else { break };
        how.insert("before".into(), next.clone());
        if let Some(seconds) = page.get("retry_after").and_then(Json::as_u64) {
            let pause = Duration::from_secs(seconds).min(LONGEST_PAUSE);
            writeln!(terminal.err, "The queue is full; going on in {} s.", pause.as_secs())?;
            std::thread::sleep(pause);
        }
    }
    let left_out = if is_dry { 0 } else { seen - replayed };
    match (format(matches), is_dry) {
        (Format::Json, _) => writeln!(terminal.out, "{:#}", json!({"items": items, "next": null}))?,
        (Format::Text, true) => {
            let shown = if items.is_empty() { String::new() } else { list::table(&items, None) };
            let seen = report::count(seen, "run");
            writeln!(terminal.out, "{shown}{seen} would run again; nothing was changed.")?;
        }
        (Format::Text, false) => {
            writeln!(terminal.out, "{} replayed.", report::count(replayed, "run"))?;
            if left_out > 0 {
                let left_out = report::count(left_out, "run");
                writeln!(terminal.err, "{left_out} cannot be: their flow or version is gone.")?;
            }
        }
    }
    Ok(if left_out > 0 { Verdict::DoesNot } else { Verdict::Holds })
}

/// How many runs a dry run shows.
const FIRST_FEW: usize = 10;

fn told(found: &[Json], terminal: &mut Terminal) -> anyhow::Result<()> {
    for item in found {
        let word = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or("-");
        writeln!(terminal.out, "{}  {}  runs again as {}", word("run"), word("flow"), word("replayed_as"))?;
    }
    Ok(terminal.out.flush()?)
}

/// Nothing is lost when it ends half way: the cursor says where to go on.
fn stopped(
    why: &str,
    how: &Map<String, Json>,
    replayed: usize,
    terminal: &mut Terminal,
) -> anyhow::Result<Verdict> {
    let cursor = how.get("before").and_then(Json::as_str);
    let go_on = cursor.map(|cursor| format!("; go on with `--before {cursor}`")).unwrap_or_default();
    refused(&format!("{} replayed, then it stopped: {why}{go_on}", report::count(replayed, "run")), terminal)
}

fn fields(matches: &ArgMatches, names: &[&str]) -> Map<String, Json> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), text(matches, name)?.into()))).collect()
}
