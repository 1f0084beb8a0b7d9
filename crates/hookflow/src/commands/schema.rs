//! `hookflow schema`: what may stand in a file, for editors.

use crate::command::{Command, Verdict};
use crate::schemas;
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};
use hookflow_text::Json;

pub(super) static COMMAND: Command = Command {
    name: "schema",
    about: "Prints the JSON Schema (2020-12) of a kind of file, or of all of them by name",
    examples: "  hookflow schema flow > schemas/flow.json\n  hookflow schema credentials > schemas/credentials.json",
    args: |command| {
        let names = schemas::ALL.iter().map(|kind| kind.name).collect::<Vec<_>>();
        command.arg(
            Arg::new("kind")
                .value_name("KIND")
                .help("The kind of file; without it, all of them")
                .value_parser(names),
        )
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let name = matches.get_one::<String>("kind");
    let kinds = schemas::ALL.iter().filter(|kind| name.is_none_or(|name| name == kind.name));
    let mut written = kinds.map(|kind| (kind.name.to_owned(), kind.json_schema()));
    let schema = match name {
        Some(_) => written.next().map_or(Json::Null, |(_, schema)| schema),
        None => Json::Object(written.collect()),
    };
    writeln!(terminal.out, "{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(Verdict::Holds)
}
