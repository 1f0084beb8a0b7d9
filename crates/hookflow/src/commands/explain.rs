//! `hookflow explain`: what a code, a verb or a function means.

use crate::command::{Command, Verdict};
use crate::pages;
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};
use hookflow_text::nearest;

pub(super) static COMMAND: Command = Command {
    name: "explain",
    about: "Says what a diagnostic's code, a verb or a function means, with an example",
    examples: "  hookflow explain flow.unreachable-step\n  hookflow explain wait\n  hookflow explain toUpper",
    args: |command| {
        let word = Arg::new("word").value_name("CODE|VERB|FUNCTION").required(true);
        command.arg(word.help("As it stands in a message or in a flow"))
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let word = matches.get_one::<String>("word").map(String::as_str).unwrap_or_default();
    let pages = pages::explain(word);
    if pages.is_empty() {
        let near = nearest(word, pages::words()).map(|near| format!(": did you mean `{near}`?"));
        let near = near.unwrap_or_default();
        writeln!(terminal.err, "there is no code, verb or function `{word}`{near}")?;
        return Ok(Verdict::DoesNot);
    }
    writeln!(terminal.out, "{}", pages.join("\n").trim_end())?;
    Ok(Verdict::Holds)
}
