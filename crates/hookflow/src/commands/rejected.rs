//! `hookflow rejected`: the requests that were refused, and why. It reads the store, beside a running server or without one.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg, word};
use crate::kept::{Kept, list_args};
use crate::terminal::Terminal;
use clap::ArgMatches;
use hookflow_text::Json;

pub(super) static COMMAND: Command = Command {
    name: "rejected",
    about: "Lists the requests that were refused, newest first, and why",
    examples: "  hookflow rejected\n  hookflow rejected --flow orders --limit 10\n  \
               hookflow rejected --format json",
    args: |command| {
        command
            .arg(word("flow", "FLOW", "Only those of this flow"))
            .args(list_args("100", 1_000))
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let limit = matches.get_one::<u16>("limit").map(u16::to_string);
    let words = [
        ("flow", matches.get_one::<String>("flow")),
        ("limit", limit.as_ref()),
        ("before", matches.get_one("before")),
    ];
    let query: Vec<_> =
        words.iter().filter_map(|(name, word)| Some((*name, word.as_ref()?.as_str()))).collect();
    let list = match kept.rejected(&query)? {
        Ok(list) => list,
        Err(why) => {
            writeln!(terminal.err, "hookflow rejected: {why}")?;
            return Ok(Verdict::DoesNot);
        }
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", table(&list))?,
        Format::Json => writeln!(terminal.out, "{list:#}")?,
    }
    Ok(Verdict::Holds)
}

/// One line for each, for people.
fn table(list: &Json) -> String {
    let items = list.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for item in items {
        let word = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or("-");
        let status = item.get("status").and_then(Json::as_u64).unwrap_or_default();
        let (at, code, method, path) = (word("at"), word("code"), word("method"), word("path"));
        let (ip, request) = (word("ip"), word("request"));
        text.push_str(&format!("{at}  {status}  {code}  {method} {path}  from {ip}  request {request}\n"));
        if let Some(reason) = item.get("reason").and_then(Json::as_str) {
            text.push_str(&format!("    {reason}\n"));
        }
    }
    if text.is_empty() {
        text.push_str("Nothing that was refused is kept.\n");
    }
    if let Some(next) = list.get("next").and_then(Json::as_str) {
        text.push_str(&format!("There are more: `--before {next}`\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_has_a_line_and_its_reason() {
        let list = json!({"items": [
            {"at": "2026-11-20T12:00:00Z", "status": 401, "code": "auth.unauthorized", "method": "POST", "path": "/hook/shop",
             "ip": "203.0.113.9", "request": "r-1", "reason": "shop: no secret fits", "flow": "shop"},
            {"at": "2026-11-20T11:00:00Z", "status": 400, "code": "request.malformed", "request": "r-0"},
        ]});
        assert_eq!(
            table(&list),
            "2026-11-20T12:00:00Z  401  auth.unauthorized  POST /hook/shop  from 203.0.113.9  request r-1\n    \
             shop: no secret fits\n\
             2026-11-20T11:00:00Z  400  request.malformed  - -  from -  request r-0\n"
        );
        assert!(table(&json!({"items": []})).starts_with("Nothing"));
    }
}
