//! The files that `hookflow init` makes.

use std::path::Path;

/// Each file's name in the folder, and its content.
pub(crate) const FILES: &[(&str, &str)] = &[
    (".gitignore", "/data\n/secrets\n"),
    ("README.md", include_str!("starter/README.md")),
    ("config/credentials.yaml", include_str!("starter/credentials.yaml")),
    ("config/hookflow.yaml", include_str!("starter/hookflow.yaml")),
    ("flows/hello.yaml", include_str!("starter/hello.yaml")),
];

/// The call that the starter's flow answers, once `serve` has made its key.
pub(crate) fn curl(folder: &Path) -> String {
    format!(
        "  curl http://127.0.0.1:8080/hook/hello \\\n    -H \"X-Api-Key: $(cat {})\" \\\n    \
         -H 'Content-Type: application/json' -d '{{\"name\": \"Ada\"}}'",
        folder.join("secrets/hello").display()
    )
}
