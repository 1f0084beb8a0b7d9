//! `hookflow credential`: what the folder's credentials are, and what a preset means.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg, switch};
use crate::project::{SecretMode, read_credentials};
use crate::report;
use crate::terminal::Terminal;
use anyhow::bail;
use clap::{Arg, ArgMatches};
use hookflow_text::{Diagnostics, Json, Source, nearest, parse};
use hookflow_trigger::{Credential, Credentials, Preset, presets};
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "credential",
    about: "Lists the folder's credentials, and shows what a credential or a preset means",
    examples: "  hookflow credential list\n  hookflow credential list --presets\n  hookflow credential show shopify",
    args: |command| {
        let list = clap::Command::new("list")
            .about("Lists the credentials of the folder")
            .arg(switch("presets", "List the presets instead"));
        let show = clap::Command::new("show")
            .about("Shows a credential of the folder, or a preset: its parameters, never a secret")
            .arg(Arg::new("name").value_name("NAME").help("A credential or a preset").required(true));
        command
            .subcommand_required(true)
            .subcommands([list, show].map(|command| command.arg(dir_arg()).arg(format_arg())))
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches, terminal),
        Some((_, matches)) => list(matches, terminal),
        None => bail!("say `list` or `show`"),
    }
}

fn list(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    if matches.get_flag("presets") {
        let items: Vec<_> = presets().iter().map(Shown::of_preset).collect();
        return write_list(&items, matches, terminal);
    }
    let mut diagnostics = Diagnostics::default();
    let credentials = load(matches, terminal, &mut diagnostics)?;
    let items: Vec<_> = credentials.iter().map(|credential| Shown::of_credential(credential)).collect();
    let verdict = write_list(&items, matches, terminal)?;
    // What is wrong is missing from the list.
    report::write(&diagnostics, terminal)?;
    Ok(if diagnostics.has_errors() { Verdict::DoesNot } else { verdict })
}

fn show(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let name = matches.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let mut diagnostics = Diagnostics::default();
    // A preset is there without any folder.
    let credentials = load(matches, terminal, &mut diagnostics).unwrap_or_default();
    let word = name.replace('-', "_");
    let shown = if let Some(credential) = credentials.get(name) {
        Shown::of_credential(credential)
    } else if credentials.names().any(|known| known == name) {
        report::write(&diagnostics, terminal)?;
        bail!("the credential `{name}` is not sound");
    } else if let Some(preset) = presets().iter().find(|preset| preset.names().any(|name| name == word)) {
        Shown::of_preset(preset)
    } else {
        let names = credentials.names().chain(presets().iter().flat_map(Preset::names));
        let near = nearest(name, names).map(|near| format!(": did you mean `{near}`?"));
        bail!("there is no credential and no preset `{name}`{}", near.unwrap_or_default());
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", shown.to_text())?,
        Format::Json => writeln!(terminal.out, "{:#}", shown.to_json())?,
    }
    Ok(Verdict::Holds)
}

fn load(
    matches: &ArgMatches,
    terminal: &Terminal,
    diagnostics: &mut Diagnostics,
) -> anyhow::Result<Credentials> {
    let read = read_credentials(dir(matches), &terminal.environment, SecretMode::Invent, diagnostics);
    read.map(|(_, credentials)| credentials)
}

/// What is told of a credential or a preset.
struct Shown<'c> {
    /// A credential's; a preset's is its own.
    name: &'c str,
    kind: &'c str,
    preset: Option<&'c Preset>,
    handshake: Option<&'static str>,
}

impl<'c> Shown<'c> {
    fn of_credential(credential: &'c Credential) -> Self {
        Self {
            name: credential.name(),
            kind: credential.scheme().name,
            preset: credential.preset(),
            handshake: credential.handshake().map(|handshake| handshake.name),
        }
    }

    fn of_preset(preset: &'c Preset) -> Self {
        Self { name: preset.name(), kind: preset.kind(), preset: Some(preset), handshake: None }
    }

    /// What a credential without the preset would write out.
    fn to_text(&self) -> String {
        let mut text = format!("# {}", self.name);
        if let Some(preset) = self.preset {
            text.push_str(&format!(": {}", preset.sender()));
        }
        text.push_str(&format!("\ntype: {}\n", self.kind));
        if let Some(preset) = self.preset {
            text.push_str(&preset.parameters());
        }
        if let Some(handshake) = self.handshake {
            text.push_str(&format!("handshake: {handshake}\n"));
        }
        text
    }

    fn to_json(&self) -> Json {
        let parameters = self.preset.and_then(|preset| {
            let mut diagnostics = Diagnostics::default();
            let root = parse(&Source::new(preset.name(), preset.parameters()), &mut diagnostics)?;
            Some(root.to_json(&mut diagnostics))
        });
        json!({
            "name": self.name,
            "type": self.kind,
            "preset": self.preset.map(Preset::name),
            "sender": self.preset.map(Preset::sender),
            "handshake": self.handshake,
            "parameters": parameters,
        })
    }
}

fn write_list(items: &[Shown<'_>], matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    match format(matches) {
        Format::Text => {
            let width = items.iter().map(|item| item.name.len()).max().unwrap_or_default();
            for Shown { name, kind, preset, handshake } in items {
                let mut line = format!("{name:width$}  {kind:7}");
                if let Some(preset) = preset {
                    line.push_str(&format!(
                        "  {}",
                        if preset.name() == *name { preset.sender() } else { preset.name() }
                    ));
                }
                if let Some(handshake) = handshake {
                    line.push_str(&format!("  handshake {handshake}"));
                }
                writeln!(terminal.out, "{}", line.trim_end())?;
            }
        }
        Format::Json => {
            let items: Vec<_> = items.iter().map(Shown::to_json).collect();
            writeln!(terminal.out, "{:#}", json!({"items": items, "next": null}))?;
        }
    }
    Ok(Verdict::Holds)
}
