//! `hookflow init`: a starter folder whose flow answers at once.

use crate::command::{Command, Verdict};
use crate::starter;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, value_parser};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) static COMMAND: Command = Command {
    name: "init",
    about: "Makes a starter folder whose flow answers at once",
    examples: "  hookflow init shop\n  hookflow serve --dir shop",
    args: |command| {
        command.arg(
            Arg::new("folder")
                .value_name("FOLDER")
                .help("The folder to make; one that is there must be empty")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let folder = matches.get_one::<PathBuf>("folder").map_or(Path::new(""), PathBuf::as_path);
    let shown = folder.display();
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("`{shown}` is not empty: name a folder that is empty, or one that is not there");
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(format!("`{shown}` cannot be used")),
    }
    for (name, content) in starter::FILES {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("`{}` cannot be made", parent.display()))?;
        fs::write(&path, content).with_context(|| format!("`{}` cannot be written", path.display()))?;
        writeln!(terminal.out, "made {}", path.display())?;
    }
    writeln!(terminal.out, "\nNow serve it, and call it from another terminal:\n")?;
    writeln!(terminal.out, "  hookflow serve --dir {shown}\n")?;
    writeln!(terminal.out, "{}", starter::curl(folder))?;
    Ok(Verdict::Holds)
}
