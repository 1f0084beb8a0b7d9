//! `hookflow check`: everything that is wrong with a folder, at once.

use crate::command::{Command, Verdict, dir, dir_arg, format_arg, secrets, switch};
use crate::project::Project;
use crate::report;
use crate::terminal::Terminal;
use clap::ArgMatches;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "check",
    about: "Says everything that is wrong with a folder: file, line, column, reason",
    examples: "  hookflow check\n  hookflow check --dir shop --strict\n  \
               hookflow check --without-secrets --format json\n  \
               hookflow check --without-secrets --format sarif > hookflow.sarif",
    args: |command| {
        command
            .arg(dir_arg())
            .arg(format_arg().value_parser(["text", "json", "github", "sarif"]))
            .arg(switch("strict", "Warnings fail too"))
            .arg(switch("without-secrets", "Read no secret: for a machine that has none"))
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, secrets(matches))?;
    let diagnostics = &project.diagnostics;
    let (errors, warnings) = diagnostics.counts();
    match matches.get_one::<String>("format").map(String::as_str) {
        Some("github") => {
            write!(terminal.out, "{}", report::to_github(diagnostics, dir(matches)))?;
        }
        Some("sarif") => {
            writeln!(terminal.out, "{:#}", report::to_sarif(diagnostics, dir(matches)))?;
        }
        Some("json") => {
            let items = report::to_json(diagnostics);
            let result = json!({
                "items": items, "next": null,
                "files": project.files, "flows": project.flows.len(), "errors": errors, "warnings": warnings,
            });
            writeln!(terminal.out, "{result:#}")?;
        }
        _ => {
            report::write_all(diagnostics, terminal)?;
            let flows = report::count(project.flows.len(), "sound flow");
            let files = report::count(project.files, "file");
            writeln!(terminal.out, "{files} read, {flows}: {}", report::counts(diagnostics))?;
        }
    }
    let fails = errors > 0 || (warnings > 0 && matches.get_flag("strict"));
    Ok(if fails { Verdict::DoesNot } else { Verdict::Holds })
}
