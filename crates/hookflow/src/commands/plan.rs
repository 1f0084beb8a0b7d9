//! `hookflow plan`: what a reload would change on the running server.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg, secrets, switch};
use crate::inventory::{Changes, Inventory};
use crate::project::Project;
use crate::terminal::Terminal;
use crate::{ops_client, report};
use anyhow::Context as _;
use clap::ArgMatches;
use hookflow_text::Json;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "plan",
    about: "Shows what a reload of this folder would change on the running server",
    examples: "  hookflow plan\n  hookflow plan --dir shop --format json\n  \
               HOOKFLOW_OPS__LISTEN=127.0.0.1:9081 hookflow plan --without-secrets",
    args: |command| {
        command
            .arg(dir_arg())
            .arg(format_arg())
            .arg(switch("without-secrets", "Read no secret: for a machine that has none"))
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, secrets(matches))?;
    let diagnostics = &project.diagnostics;
    report::write(diagnostics, terminal)?;
    if diagnostics.has_errors() {
        let counts = report::counts(diagnostics);
        match format(matches) {
            Format::Text => writeln!(terminal.out, "A reload would be refused: {counts}")?,
            Format::Json => {
                let items = report::to_json(diagnostics);
                writeln!(terminal.out, "{:#}", json!({"refused": true, "diagnostics": items}))?;
            }
        }
        return Ok(Verdict::DoesNot);
    }
    let ops = &project.config.ops;
    let (flows, generation) = (ops_client::get(ops, "/api/flows")?, ops_client::get(ops, "/api/generation")?);
    let running = Inventory::from_json(&flows, &generation).context("the server is of another version")?;
    let number = generation.get("generation").and_then(Json::as_u64).unwrap_or_default();
    let changes = Changes::between(&running, &project.inventory);
    match format(matches) {
        Format::Text if changes.is_empty() => {
            writeln!(
                terminal.out,
                "Nothing changes: the folder holds what is in force, generation {number}."
            )?;
        }
        Format::Text => {
            let summary = changes.summary();
            writeln!(terminal.out, "{changes}\nAgainst generation {number}: {summary}.")?;
        }
        Format::Json => {
            let mut result = changes.to_json();
            if let Json::Object(result) = &mut result {
                result.insert("refused".into(), json!(false));
                result.insert("generation".into(), json!(number));
                result.insert("diagnostics".into(), report::to_json(diagnostics).into());
            }
            writeln!(terminal.out, "{result:#}")?;
        }
    }
    Ok(Verdict::Holds)
}
