//! What a command is: a name, its arguments, and what it does. The table is `commands.rs`.

use crate::project::SecretMode;
use crate::terminal::Terminal;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use std::path::{Path, PathBuf};

/// One command of the binary.
pub(crate) struct Command {
    /// The word on the command line.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    /// A few lines a person can copy, shown under the help.
    pub(crate) examples: &'static str,
    /// Adds its arguments.
    pub(crate) args: fn(clap::Command) -> clap::Command,
    /// Does it. An error means that it could not run at all.
    pub(crate) run: fn(&ArgMatches, &mut Terminal) -> anyhow::Result<Verdict>,
}

/// What a command that ran has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds: exit 0.
    Holds,
    /// It does not: a diagnostic, a failed flow. Exit 1.
    DoesNot,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `--dir`, which every command has that reads a folder.
pub(crate) fn dir_arg() -> Arg {
    Arg::new("dir")
        .long("dir")
        .value_name("FOLDER")
        .help("The folder that holds config/ and flows/")
        .default_value(".")
        .value_parser(value_parser!(PathBuf))
}

/// `--format`, which every command has that lists or reports.
pub(crate) fn format_arg() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .help("How the result is written")
        .default_value("text")
        .value_parser(["text", "json"])
}

/// A switch without a value.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// An option with a value.
pub(crate) fn word(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// The text behind an argument.
pub(crate) fn text<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// The value of `--dir`.
pub(crate) fn dir(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("dir").map_or(Path::new("."), PathBuf::as_path)
}

/// The value of `--format`.
pub(crate) fn format(matches: &ArgMatches) -> Format {
    match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

/// The secrets of a command that may be asked to do without.
pub(crate) fn secrets(matches: &ArgMatches) -> SecretMode {
    if matches.get_flag("without-secrets") { SecretMode::Invent } else { SecretMode::Read }
}
