//! The one credential that a command is about: of a folder, or of a file by itself.

use crate::command::dir;
use crate::outlets;
use crate::project::{SecretMode, read_credentials};
use crate::report;
use crate::secrets::FolderSecrets;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, value_parser};
use hookflow_outbound::Policy;
use hookflow_text::{Diagnostics, Source, nearest, parse};
use hookflow_trigger::{Credential, Credentials};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A credential and the address under which its senders know us.
pub(crate) struct NamedCredential {
    pub(crate) credential: Arc<Credential>,
    pub(crate) base_url: Arc<str>,
    /// How far calls may reach.
    pub(crate) outbound: Policy,
}

/// `CREDENTIAL`.
pub(crate) fn name_arg() -> Arg {
    Arg::new("credential").value_name("CREDENTIAL").help("The credential's name").required(true)
}

/// `--credential-file`.
pub(crate) fn file_arg() -> Arg {
    Arg::new("credential-file")
        .long("credential-file")
        .value_name("FILE")
        .help("Read the credential from this file, and no folder and no configuration")
        .value_parser(value_parser!(PathBuf))
}

/// The value of `--credential-file`.
pub(crate) fn file(matches: &ArgMatches) -> Option<&Path> {
    matches.get_one::<PathBuf>("credential-file").map(PathBuf::as_path)
}

impl NamedCredential {
    /// Loads it with its secrets. An error when it is not there, or not sound.
    pub(crate) fn load(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Self> {
        let name = matches.get_one::<String>("credential").map(String::as_str).unwrap_or_default();
        let mut diagnostics = Diagnostics::default();
        let mut outbound = Policy::default();
        let (credentials, base_url) = if let Some(path) = file(matches) {
            (read_file(path, terminal, &mut diagnostics)?, "http://127.0.0.1:8080".to_owned())
        } else {
            let environment = &terminal.environment;
            let (config, credentials) =
                read_credentials(dir(matches), environment, SecretMode::Exact, &mut diagnostics)?;
            let public = config.public;
            outbound.allow = config.outbound.allow;
            outbound.proxy = config.outbound.proxy.as_ref().map(outlets::proxy);
            (credentials, public.root(public.listen))
        };
        match credentials.get(name) {
            Some(credential) => {
                Ok(Self { credential: Arc::clone(credential), base_url: base_url.into(), outbound })
            }
            // One that has mistakes stands in the file all the same, unless the file cannot be read at all.
            None if diagnostics.has_errors()
                && (credentials.names().any(|known| known == name)
                    || credentials.names().next().is_none()) =>
            {
                report::write(&diagnostics, terminal)?;
                bail!("there is no sound credential `{name}`")
            }
            None => {
                let near = nearest(name, credentials.names()).map(|near| format!(": did you mean `{near}`?"));
                bail!("there is no credential `{name}`{}", near.unwrap_or_default())
            }
        }
    }
}

/// Secret files stand relative to the file itself.
fn read_file(path: &Path, terminal: &Terminal, diagnostics: &mut Diagnostics) -> anyhow::Result<Credentials> {
    let text = fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let secrets = FolderSecrets::new(folder, &terminal.environment, SecretMode::Exact);
    let root = parse(&Source::new(path.display().to_string(), text), diagnostics);
    Ok(root.map(|root| Credentials::load(&root, &secrets, diagnostics)).unwrap_or_default())
}
