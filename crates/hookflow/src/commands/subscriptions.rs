//! `hookflow subscriptions`: who gets events from the running server, how their endpoints are doing, and turning one off.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg};
use crate::kept::server_config;
use crate::ops_client;
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};
use hookflow_text::Json;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "subscriptions",
    about: "Lists the subscriptions of the running server, and turns one off or on",
    examples: "  hookflow subscriptions\n  hookflow subscriptions off crm\n  hookflow subscriptions on crm",
    args: |command| {
        let name = || Arg::new("subscription").value_name("NAME").help("Its name").required(true);
        let off = clap::Command::new("off")
            .about(
                "Turns a subscription off, across restarts and reloads; what it would get is kept and waits",
            )
            .arg(name());
        let on = clap::Command::new("on")
            .about("Turns a subscription on again, and tries its endpoint at once")
            .arg(name());
        let own = [off, on].map(|command| command.arg(dir_arg()).arg(format_arg()));
        command.arg(dir_arg()).arg(format_arg()).args_conflicts_with_subcommands(true).subcommands(own)
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let Some((verb, matches)) = matches.subcommand() else { return list(matches, terminal) };
    let config = server_config(matches, terminal)?;
    let name = matches.get_one::<String>("subscription").map(String::as_str).unwrap_or_default();
    let path = ops_client::path("subscriptions", name, &format!("/{verb}"));
    let answer = match ops_client::post(&config.ops, &path, &json!({}))?.judge() {
        Ok(answer) => answer,
        Err(why) => return refused(&why, terminal),
    };
    match format(matches) {
        Format::Text => writeln!(terminal.out, "The subscription {name} is {verb}.")?,
        Format::Json => writeln!(terminal.out, "{answer:#}")?,
    }
    Ok(Verdict::Holds)
}

fn list(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let list = match ops_client::ask(&config.ops, "/api/subscriptions")?.judge() {
        Ok(list) => list,
        Err(why) => return refused(&why, terminal),
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
        let pending = item.get("pending").and_then(Json::as_u64).unwrap_or_default();
        let (name, state, endpoint) = (word("subscription"), word("state"), word("endpoint"));
        text.push_str(&format!("{name}  {state}  {endpoint}  pending {pending}\n"));
        let within = |key: &str, inner: &str| item.get(key)?.get(inner)?.as_str();
        if let (Some(since), Some(why)) = (within("off", "since"), within("off", "why")) {
            text.push_str(&format!("    since {since}: {why}\n"));
        }
        if let Some(until) = within("set_aside", "until") {
            text.push_str(&format!("    its endpoint fails; the next try is at {until}\n"));
        }
    }
    if text.is_empty() {
        text.push_str("There is no subscription.\n");
    }
    text
}

fn refused(why: &str, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    writeln!(terminal.err, "hookflow subscriptions: {why}")?;
    Ok(Verdict::DoesNot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_has_a_line_and_what_is_wrong_with_it() {
        let list = json!({"items": [
            {"subscription": "crm", "state": "on", "endpoint": "https://crm.example", "pending": 3, "off": null},
            {"subscription": "erp", "state": "off", "endpoint": "https://erp.example", "pending": 0,
             "off": {"since": "2026-11-22T08:00:00Z", "why": "gone"}, "set_aside": {"until": "2026-11-22T09:00:00Z"}},
        ]});
        assert_eq!(
            table(&list),
            "crm  on  https://crm.example  pending 3\nerp  off  https://erp.example  pending 0\n    \
             since 2026-11-22T08:00:00Z: gone\n    its endpoint fails; the next try is at 2026-11-22T09:00:00Z\n"
        );
        assert!(table(&json!({"items": []})).starts_with("There is no"));
    }
}
