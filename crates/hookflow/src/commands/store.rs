//! `hookflow store`: looks whether the file of the store is whole, and moves it away.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::kept;
use crate::terminal::Terminal;
use anyhow::bail;
use clap::ArgMatches;
use hookflow_runtime::{Chance, Clock};
use hookflow_store::backends::{self, Access, Opening};
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "store",
    about: "Looks after the file in which events and runs are kept",
    examples: "  hookflow store check\n  hookflow store set-aside --dir shop",
    args: |command| {
        let check = clap::Command::new("check").about(
            "Reads all of the file, beside a running server or without one, and says what is wrong with it",
        );
        let set_aside = clap::Command::new("set-aside").about(
            "Moves the file and all that belongs to it into a folder of its own, so that a start begins with an empty one",
        );
        let own = [check, set_aside].map(|command| command.arg(dir_arg()).arg(format_arg()));
        command.subcommand_required(true).arg_required_else_help(true).subcommands(own)
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let Some((word, matches)) = matches.subcommand() else { bail!("say what is to be done") };
    let config = kept::config(dir(matches), terminal)?;
    let backend = backends::ALL.iter().find(|backend| backend.name == config.store.backend);
    let Some(care) = backend.and_then(|backend| backend.care.as_ref()) else {
        bail!("the store is `{}`, which has no file", config.store.backend);
    };
    let (path, clock) = (config.store.path(dir(matches)), Clock::system());
    if word == "set-aside" {
        let aside = (care.set_aside)(&path, clock.now())?;
        match format(matches) {
            Format::Text => writeln!(terminal.out, "{} is now in {}.", path.display(), aside.display())?,
            Format::Json => {
                writeln!(terminal.out, "{:#}", json!({"path": path, "aside": aside}))?;
            }
        }
        return Ok(Verdict::Holds);
    }
    let opening = Opening {
        path,
        access: Access::Read,
        blob_bytes: config.store.blob_bytes,
        chance: Chance::system(clock),
    };
    let problems = (care.check)(&opening)?;
    match format(matches) {
        Format::Text if problems.is_empty() => {
            writeln!(terminal.out, "{} is whole.", opening.path.display())?;
        }
        Format::Text => {
            for problem in &problems {
                writeln!(terminal.out, "{problem}")?;
            }
        }
        Format::Json => {
            writeln!(terminal.out, "{:#}", json!({"path": opening.path, "problems": problems}))?;
        }
    }
    Ok(if problems.is_empty() { Verdict::Holds } else { Verdict::DoesNot })
}
