//! The table of commands. To add one: a file in `commands/`, a `mod` line and a line in [`ALL`].

mod attempts;
mod call;
mod check;
mod completions;
mod copy;
mod credential;
mod deliveries;
mod explain;
mod init;
mod pause;
mod plan;
mod preview;
mod rejected;
mod resume;
mod runs;
mod schema;
mod serve;
mod sign;
mod store;
mod subscriptions;
mod test;
mod r#try;
mod urls;
mod verify;

use crate::command::{Command, Verdict};
use crate::terminal::Terminal;
use clap::ArgMatches;
use std::io;
use std::process::ExitCode;

/// Every command, by name.
static ALL: &[&Command] = &[
    &attempts::COMMAND,
    &call::COMMAND,
    &check::COMMAND,
    &completions::COMMAND,
    &copy::COMMAND,
    &credential::COMMAND,
    &deliveries::COMMAND,
    &explain::COMMAND,
    &init::COMMAND,
    &pause::COMMAND,
    &plan::COMMAND,
    &preview::COMMAND,
    &rejected::COMMAND,
    &resume::COMMAND,
    &runs::COMMAND,
    &schema::COMMAND,
    &serve::COMMAND,
    &sign::COMMAND,
    &store::COMMAND,
    &subscriptions::COMMAND,
    &test::COMMAND,
    &r#try::COMMAND,
    &urls::COMMAND,
    &verify::COMMAND,
];

/// What the command line looks like.
pub(crate) fn cli() -> clap::Command {
    // Without a command it serves, so it takes the arguments of `serve` as well.
    let root = (serve::COMMAND.args)(clap::Command::new("hookflow"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Receives webhooks and runs flows: verify, decode, decide, answer.")
        .after_help(
            "Examples:\n  hookflow init shop             a starter folder whose flow answers at once\n  \
             hookflow serve --dir shop      serve it (also what `hookflow` alone does)\n  \
             hookflow check --dir shop      say everything that is wrong with it\n\n\
             Exit codes: 0 it holds, 1 it does not, 2 the command could not run.",
        )
        .args_conflicts_with_subcommands(true);
    ALL.iter().fold(root, |root, command| {
        let own = clap::Command::new(command.name)
            .about(command.about)
            .after_help(format!("Examples:\n{}", command.examples));
        root.subcommand((command.args)(own))
    })
}

/// Runs what the command line says.
pub(crate) fn run(matches: &ArgMatches, terminal: &mut Terminal) -> ExitCode {
    let (command, matches) = matches
        .subcommand()
        .and_then(|(name, matches)| Some((*ALL.iter().find(|command| command.name == name)?, matches)))
        .unwrap_or((&serve::COMMAND, matches));
    let verdict =
        (command.run)(matches, terminal).and_then(|verdict| Ok(terminal.out.flush().map(|()| verdict)?));
    match verdict {
        Ok(Verdict::Holds) => ExitCode::SUCCESS,
        Ok(Verdict::DoesNot) => ExitCode::from(1),
        Err(error) => {
            // Who reads only the head of a result closes the pipe; that needs no words.
            let pipe =
                error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe);
            if !pipe && writeln!(terminal.err, "hookflow {}: {error:#}", command.name).is_err() {
                // Nowhere is left to say it.
            }
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_the_command_line_is_sound() {
        assert!(ALL.is_sorted_by_key(|command| command.name));
        cli().debug_assert();
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        for command in ALL {
            assert!(command.examples.contains(&format!("hookflow {}", command.name)), "{}", command.name);
        }
    }

    #[test]
    fn without_a_command_the_arguments_are_those_of_serve() {
        let matches = cli().try_get_matches_from(["hookflow", "--dir", "x"]).unwrap();
        assert!(matches.subcommand().is_none());
        assert_eq!(crate::command::dir(&matches), std::path::Path::new("x"));
    }
}
