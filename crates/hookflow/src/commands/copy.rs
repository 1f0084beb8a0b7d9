//! `hookflow copy`: a flow, or an outbound webhook, under another name. What is copied is the text, with its comments.

mod entry;

use crate::command::{Command, Verdict, dir, dir_arg};
use crate::project::{Project, SecretMode};
use crate::report;
use crate::secrets::FolderSecrets;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches};
use hookflow_flow::{Flow, Integrations, Surroundings};
use hookflow_text::{Diagnostics, NodeValue, Source, parse};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

pub(super) static COMMAND: Command = Command {
    name: "copy",
    about: "Copies an outbound webhook or a flow under another name, with its comments",
    examples: "  hookflow copy warehouse.reserve_stock warehouse.reserve_fast\n  hookflow copy orders orders-test",
    args: |command| {
        command
            .arg(Arg::new("from").value_name("FROM").help("A flow, or `integration.webhook`").required(true))
            .arg(Arg::new("to").value_name("TO").help("The name of the copy").required(true))
            .arg(dir_arg())
    },
    run,
};

/// A file that is to be written, and what is then said.
struct Copy {
    name: String,
    text: String,
    /// Whether there was none.
    new: bool,
}

/// A copy; or why there is none, with what is wrong when that was found by reading.
type Made = Result<Copy, (String, Diagnostics)>;

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let word = |name| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let (from, to, folder) = (word("from"), word("to"), dir(matches));
    let project = Project::load(folder, &terminal.environment, SecretMode::Invent)?;
    let made = match (from.split_once('.'), to.split_once('.')) {
        (None, None) => flow(&project, from, to, folder),
        (Some((integration, webhook)), Some((same, name))) if integration == same => {
            let secrets = FolderSecrets::new(folder, &terminal.environment, SecretMode::Invent);
            self::webhook(&project, integration, (webhook, name), &secrets)
        }
        (Some(_), Some(_)) => {
            bail!("a webhook is copied within its integration: shared headers and roots differ")
        }
        _ => bail!("a flow is copied to a flow, and `integration.webhook` to a webhook"),
    };
    match made {
        Ok(copy) => {
            write(&folder.join(&copy.name), &copy)?;
            writeln!(terminal.out, "`{to}` stands in `{}`.", copy.name)?;
            Ok(Verdict::Holds)
        }
        Err((why, found)) => {
            // Who asks for what cannot be read wants to know why.
            let all = if found.is_empty() { &project.diagnostics } else { &found };
            if all.has_errors() {
                report::write(all, terminal)?;
            }
            writeln!(terminal.err, "hookflow copy: {why}")?;
            Ok(Verdict::DoesNot)
        }
    }
}

fn refused(why: String) -> (String, Diagnostics) {
    (why, Diagnostics::default())
}

fn flow(project: &Project, from: &str, to: &str, folder: &Path) -> Made {
    let Some(loaded) = project.flow(from) else {
        let near = project.nearest_flow(from).map(|near| format!(": did you mean `{near}`?"));
        return Err(refused(format!("there is no sound flow `{from}`{}", near.unwrap_or_default())));
    };
    let source = &loaded.flow.span.source;
    let place = Path::new(&source.name).with_file_name(format!("{to}.yaml"));
    let name = place.to_string_lossy().into_owned();
    if project.flow(to).is_some() || folder.join(&place).exists() {
        return Err(refused(format!("there is a flow `{to}` already")));
    }
    let mut found = Diagnostics::default();
    let root = parse(source, &mut found);
    let id = root.as_ref().and_then(|root| match &root.value {
        NodeValue::Map(entries) => entries.iter().find(|(key, _)| key.text() == "flow"),
        _ => None,
    });
    let mut text = source.text.to_string();
    if let Some((_, id)) = id {
        text.replace_range(id.span.range.clone(), to);
    }
    let surroundings = Surroundings {
        credentials: &project.credentials,
        integrations: &project.integrations,
        body_limit: project.config.public.limits.body,
        read_file: &|path| fs::read(folder.join(path)).map_err(|error| error.to_string()),
    };
    let mut found = Diagnostics::default();
    let root = parse(&Source::new(&name, text.as_str()), &mut found);
    let copy = root.and_then(|root| Flow::load(&root, &surroundings, &mut found));
    match copy {
        Some(copy) if !found.has_errors() && *copy.id == *to => Ok(Copy { name, text, new: true }),
        _ => Err((format!("there can be no flow `{to}`"), found)),
    }
}

fn webhook(project: &Project, integration: &str, (from, to): (&str, &str), secrets: &FolderSecrets) -> Made {
    let Some(whole) = project.integrations.get(integration) else {
        return Err(refused(format!("there is no sound integration `{integration}`")));
    };
    let Some(webhook) = whole.webhooks.get(from) else {
        return Err(refused(format!("the integration `{integration}` has no webhook `{from}`")));
    };
    if whole.webhooks.contains_key(to) {
        return Err(refused(format!("the integration `{integration}` has a webhook `{to}` already")));
    }
    let source = &webhook.span.source;
    let Some(text) = entry::doubled(&source.text, webhook.span.range.clone(), to) else {
        let why = format!("`{from}` does not begin a line of its own, so copy it by hand");
        return Err(refused(why));
    };
    // What was written must be read as what was meant.
    let (mut found, mut read) = (Diagnostics::default(), Integrations::default());
    if let Some(root) = parse(&Source::new(&source.name, text.as_str()), &mut found) {
        read.load(&root, secrets, &mut found);
    }
    let names = |integrations: &Integrations| -> Vec<Arc<str>> {
        let webhooks = integrations.get(integration).map(|it| it.webhooks.keys().cloned());
        webhooks.into_iter().flatten().filter(|name| **name != *to).collect()
    };
    let has = read.get(integration).is_some_and(|it| it.webhooks.contains_key(to));
    if found.has_errors() || !has || names(&read) != names(&project.integrations) {
        return Err((format!("there can be no webhook `{integration}.{to}`"), found));
    }
    Ok(Copy { name: source.name.clone(), text, new: false })
}

/// Writes the file whole or not at all.
fn write(path: &Path, copy: &Copy) -> anyhow::Result<()> {
    let fault = || format!("`{}` cannot be written", path.display());
    if copy.new {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(fault)?;
        return file.write_all(copy.text.as_bytes()).and_then(|()| file.sync_all()).with_context(fault);
    }
    // A link stays a link.
    let path = fs::canonicalize(path).with_context(fault)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let written = || {
        let mut file = File::create_new(&beside)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(copy.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    written().map_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            drop(fs::remove_file(&beside));
        }
        anyhow::Error::new(error).context(fault())
    })
}
