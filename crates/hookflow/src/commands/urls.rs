//! `hookflow urls`: the public URL of every flow.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::project::{Project, SecretMode};
use crate::terminal::Terminal;
use crate::{listing, report};
use clap::ArgMatches;
use hookflow_text::Json;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "urls",
    about: "Lists the public URL of every flow, its methods and its credentials",
    examples: "  hookflow urls\n  hookflow urls --dir shop --format json",
    args: |command| command.arg(dir_arg()).arg(format_arg()),
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, SecretMode::Invent)?;
    let public = &project.config.public;
    let base_url = public.root(public.listen);
    let lines = listing::lines(&project, &base_url);
    match format(matches) {
        Format::Text => {
            write!(terminal.out, "{}", listing::table(&lines))?;
            if let Some(warning) = listing::open_doors(&lines) {
                writeln!(terminal.err, "{warning}")?;
            }
        }
        Format::Json => {
            let items: Vec<Json> = lines.iter().map(listing::Line::to_json).collect();
            writeln!(terminal.out, "{:#}", json!({"items": items, "next": null}))?;
        }
    }
    if !project.diagnostics.has_errors() {
        return Ok(Verdict::Holds);
    }
    // What is wrong is missing from the list.
    report::write(&project.diagnostics, terminal)?;
    Ok(Verdict::DoesNot)
}
