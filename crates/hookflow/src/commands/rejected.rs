//! `hookflow rejected`: the requests that the running server refused lately, and why.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::project::Project;
use crate::terminal::Terminal;
use crate::{ops_client, report};
use anyhow::bail;
use clap::{Arg, ArgMatches, value_parser};
use hookflow_text::Json;
use url::form_urlencoded::Serializer;

pub(super) static COMMAND: Command = Command {
    name: "rejected",
    about: "Lists the requests that the running server refused lately, newest first, and why",
    examples: "  hookflow rejected\n  hookflow rejected --flow orders --limit 10\n  \
               hookflow rejected --format json",
    args: |command| {
        command
            .arg(Arg::new("flow").long("flow").value_name("FLOW").help("Only those of this flow"))
            .arg(
                Arg::new("limit")
                    .long("limit")
                    .value_name("NUMBER")
                    .help("How many at most")
                    .default_value("100")
                    .value_parser(value_parser!(u32)),
            )
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let (config, diagnostics) = Project::read_service(dir(matches), &terminal.environment)?;
    if diagnostics.has_errors() {
        report::write(&diagnostics, terminal)?;
        bail!("the configuration does not say where the server is");
    }
    let mut query = Serializer::new(String::new());
    if let Some(flow) = matches.get_one::<String>("flow") {
        query.append_pair("flow", flow);
    }
    if let Some(limit) = matches.get_one::<u32>("limit") {
        query.append_pair("limit", &limit.to_string());
    }
    let list = ops_client::get(&config.ops, &format!("/api/rejected?{}", query.finish()))?;
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
        text.push_str("Nothing has been refused since the server started.\n");
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
