//! Wrong files, each with what `hookflow check` says of it: what a person reads who has made that mistake.
//!
//! `wrong/<topic>/<case>.yaml` is a flow, in `wrong/credentials` the credentials and in `wrong/service` the service's
//! configuration, in a folder that is sound but for it; a folder in `wrong/folders` is all there is. `<case>.txt` is
//! what is said. `UPDATE_DOCS=1 cargo test -p hookflow --test wrong` writes it anew.

#[cfg(test)]
mod wrong {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// What a case may name as a secret.
    const SECRETS: &[(&str, &str)] = &[
        ("SECRET", "00112233445566778899aabbccddeeff"),
        ("SHORT", "hunter2"),
        ("SHORT_HEX", "00112233445566778899"),
        ("WORDS", "a secret of many words"),
        ("EMPTY", ""),
    ];
    const CREDENTIALS: &str = "\
github: {type: hmac, preset: github, secret: {env: SECRET}}
shop: {type: api_key, header: X-Api-Key, keys: [{env: SECRET}]}
stripe: {type: hmac, preset: stripe, secret: {env: SECRET}}
";
    /// Names every credential, so that none is unused.
    const OTHER: &str = "webhook: {auth: [github, shop, stripe]}\nsteps:\n  - log: hello\n";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wrong")
    }

    /// What stands in a folder, sorted.
    fn entries(folder: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    fn word(path: &Path) -> String {
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    }

    /// Every case: its topic, and its file or folder.
    fn cases() -> Vec<(String, PathBuf)> {
        let topics = entries(&root()).into_iter();
        let cases =
            topics.flat_map(|topic| entries(&topic).into_iter().map(move |path| (word(&topic), path)));
        cases.filter(|(_, path)| path.extension().is_none_or(|it| it == "yaml")).collect()
    }

    fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn copy(from: &Path, to: &Path) {
        for path in entries(from) {
            let to = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &to);
            } else {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(&path, &to).unwrap();
            }
        }
    }

    /// A folder with the mistake in it.
    fn lay_out(topic: &str, case: &Path) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        if case.is_dir() {
            copy(case, folder.path());
            return folder;
        }
        write(folder.path(), "config/credentials.yaml", CREDENTIALS);
        write(folder.path(), "flows/other.yaml", OTHER);
        let name = match topic {
            "credentials" => "config/credentials.yaml".to_owned(),
            "service" => "config/hookflow.yaml".to_owned(),
            _ => format!("flows/{}.yaml", word(case)),
        };
        if topic == "credentials" {
            write(folder.path(), "flows/other.yaml", "webhook: {auth: a}\n");
        }
        write(folder.path(), &name, fs::read(case).unwrap());
        folder
    }

    /// What is said of a folder: to standard error, then to standard output.
    fn check(folder: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
        command.env_clear().envs(SECRETS.iter().copied()).current_dir(folder).arg("check").args(arguments);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stderr), text(output.stdout), output.status.code())
    }

    #[test]
    fn each_is_told_as_it_is_written_down() {
        let update = std::env::var_os("UPDATE_DOCS").is_some();
        let (mut differ, mut odd, cases) = (Vec::new(), Vec::new(), cases());
        assert!(cases.len() >= 150, "only {} cases", cases.len());
        for (topic, case) in &cases {
            let (told, counted, status) = check(lay_out(topic, case).path(), &[]);
            let (said, expected_at) = (format!("{told}{counted}"), case.with_extension("txt"));
            let is_wrong = said.contains("error[") || said.contains("warning[");
            if !is_wrong || status != Some(i32::from(said.contains("error["))) {
                odd.push(format!("{}: {status:?} {said}", case.display()));
            }
            let expected = fs::read_to_string(&expected_at).unwrap_or_default();
            if said != expected {
                differ.push(format!("{}:\n{said}", expected_at.display()));
                if update {
                    fs::write(&expected_at, said).unwrap();
                }
            }
        }
        assert!(odd.is_empty(), "nothing is wrong with them, or the exit code is:\n{}", odd.join("\n"));
        assert!(
            update || differ.is_empty(),
            "{}\n`UPDATE_DOCS=1 cargo test -p hookflow --test wrong` writes them",
            differ.join("\n")
        );
    }

    /// Those that take a file too large to be kept, or one that is not there.
    #[test]
    fn what_is_too_large_is_told() {
        let steps = format!("webhook: {{auth: shop}}\nsteps:\n{}", "  - log: a\n".repeat(2_001));
        let nodes = format!("webhook: {{auth: shop}}\nsteps:\n{}", "  - x\n".repeat(100_001));
        for (content, code) in [
            (steps, "flow.too-many-steps"),
            (nodes, "yaml.too-large"),
            (" ".repeat((4 << 20) + 1), "yaml.unreadable"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "config/credentials.yaml", CREDENTIALS);
            write(folder.path(), "flows/large.yaml", content);
            let (told, _, status) = check(folder.path(), &[]);
            assert!(told.contains(&format!("error[{code}]")) && told.contains("flows/large.yaml"), "{told}");
            assert_eq!(status, Some(1));
            assert!(COVERED_HERE.contains(&code), "{code}");
        }
    }

    /// Codes that need more than files, or larger ones.
    const COVERED_HERE: &[&str] =
        &["config.environment", "flow.too-many-steps", "yaml.too-large", "yaml.unreadable"];

    /// Codes with these beginnings are of refusals, faults and answers: what happens at run time.
    const NOT_OF_FILES: &[&str] = &[
        "attempt.unknown",
        "auth.certificate-unavailable",
        "auth.unauthorized",
        "body.",
        "connection.",
        "delivery.",
        "event.",
        "expects.",
        "expr.failed",
        "expr.fuel",
        "expr.missing",
        "expr.output",
        "expr.type",
        "file.bytes",
        "file.unknown",
        "file.unreadable",
        "flow-",
        "flow.paused",
        "flow.unknown",
        "handshake.",
        "http.bytes",
        "http.header-value",
        "http.too-many-parts",
        "http.url-refused",
        "http.xml",
        "ops.",
        "queue.",
        "rate.",
        "reload.",
        "request.",
        "respond.file-too-large",
        "respond.header-value",
        "respond.status",
        "respond.xml",
        "resume.",
        "route.",
        "run.",
        "service.",
        "step.",
        "store.",
        "subscription.unknown",
    ];

    #[test]
    fn every_code_of_a_diagnostic_has_a_case() {
        let pages = root().join("../../docs/errors");
        let codes: BTreeSet<_> = entries(&pages).iter().map(|path| word(path)).collect();
        let told =
            cases().into_iter().filter_map(|(_, case)| fs::read_to_string(case.with_extension("txt")).ok());
        let told: String = told.collect();
        let has_case = |code: &str| {
            told.contains(&format!("error[{code}]")) || told.contains(&format!("warning[{code}]"))
        };
        let of_run_time = |code: &str| {
            NOT_OF_FILES
                .iter()
                .any(|known| *known == code || known.ends_with(['.', '-']) && code.starts_with(known))
        };
        let missing: Vec<_> = codes
            .iter()
            .filter(|code| !of_run_time(code) && !COVERED_HERE.contains(&code.as_str()) && !has_case(code))
            .collect();
        assert!(missing.is_empty(), "no case in tests/wrong shows {missing:?}");
        let stale: Vec<_> = codes.iter().filter(|code| of_run_time(code) && has_case(code)).collect();
        assert!(stale.is_empty(), "these are told of files: {stale:?}");
    }

    #[test]
    fn the_documentation_lists_the_warnings() {
        let told =
            cases().into_iter().filter_map(|(_, case)| fs::read_to_string(case.with_extension("txt")).ok());
        let told: String = told.collect();
        let warned = told.lines().filter_map(|line| line.strip_prefix("warning[")?.split(']').next());
        let warned: BTreeSet<_> = warned.map(str::to_owned).collect();
        let page = fs::read_to_string(root().join("../../docs/checking.md")).unwrap();
        let listed = page.lines().filter_map(|line| line.strip_prefix("| [`")?.split('`').next());
        let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
        assert_eq!(listed, warned);
    }
}
