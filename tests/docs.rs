//! Every block of YAML in the documentation, as `hookflow check` sees it.
//!
//! A block says which file it is: by a comment in its first line (`# config/credentials.yaml`), by its first key (`flow:`,
//! `integration:`), or by being a part of a flow (a list of steps, or other keys of a flow), which is then completed.
//! It is laid into a folder that holds what pages speak of. One behind "Wrong:" or "Warned of:" must be told with
//! the code of its page, every other one must be sound.

#[cfg(test)]
mod docs {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    const CREDENTIALS: &str = "\
approver: {type: api_key, header: X-Api-Key, keys: [{env: SECRET}]}
github: {type: hmac, preset: github, secret: {env: SECRET}}
hello: {type: api_key, header: X-Api-Key, keys: [{env: SECRET}]}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: SECRET}]}
partner: {type: basic, username: acme, password: {env: SECRET}}
shop: {type: api_key, header: X-Api-Key, keys: [{env: SECRET}]}
stripe: {type: hmac, preset: stripe, secret: {env: SECRET}}
";

    /// What pages speak of besides.
    const BESIDE: &[(&str, &str)] = &[
        ("config/credentials.yaml", CREDENTIALS),
        ("config/hookflow.yaml", "store: {memory: {}}\n"),
        (
            "flows/mail.yaml",
            "webhook: {auth: none, allow_from: [10.0.0.1]}\nsteps:\n  - run: price-of\n  - run: sum\n",
        ),
        ("flows/price-of.yaml", "steps:\n  - return: {sum: 40}\n"),
        ("flows/sum.yaml", "steps:\n  - return: {sum: 40}\n"),
        ("samples/order.json", "{}"),
        ("schemas/order.json", "{}"),
    ];

    /// A part of a flow is completed by those of these lines whose key it has not.
    const AROUND: &[(&str, &str)] =
        &[("webhook", "webhook: {auth: shop}\n"), ("steps", "steps:\n  - log: hello\n")];
    /// A step that steps on pages speak of.
    const ORDER: &str = "  - {id: order, set: {id: A-1}}\n";

    /// Where the flows of recipes stand.
    const EXAMPLES: &str = "flows/examples/";

    /// The files of other programs.
    const FOREIGN: &[&str] = &[".github/workflows/flows.yml"];

    struct Block {
        /// Its page and its line there.
        place: String,
        /// The code whose page it stands on.
        code: Option<String>,
        /// What stands before it.
        introduction: String,
        text: String,
    }

    impl Block {
        fn is_wrong(&self) -> bool {
            ["Wrong", "Warned of"].iter().any(|word| self.introduction.contains(word))
        }
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Every page: the README, the starter's, and all in `docs`.
    fn pages() -> Vec<PathBuf> {
        let mut pages = vec![root().join("README.md"), root().join("crates/hookflow/src/starter/README.md")];
        pages.extend(
            files(&root().join("docs")).into_iter().filter(|it| it.extension() == Some("md".as_ref())),
        );
        pages
    }

    /// All files in a folder and those in it, sorted.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let (within, here): (Vec<_>, Vec<_>) = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .partition(|path| path.is_dir());
            folders.extend(within);
            files.extend(here);
        }
        files.sort();
        files
    }

    fn blocks_of(page: &Path) -> Vec<Block> {
        let text = fs::read_to_string(page).unwrap();
        let is_of_code = page.parent().is_some_and(|folder| folder.ends_with("errors"));
        let code = is_of_code.then(|| page.file_stem().unwrap().to_str().unwrap().to_owned());
        let (mut blocks, mut introduction, mut lines) = (Vec::new(), String::new(), (1..).zip(text.lines()));
        while let Some((number, line)) = lines.next() {
            // In a list a block is indented.
            let indent = line.len() - line.trim_start().len();
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let inner = lines.by_ref().map(|(_, line)| line.get(indent..).unwrap_or_default());
                let block: Vec<_> = inner.take_while(|it| *it != "```").collect();
                if language == "yaml" {
                    let place = format!("{}:{number}", page.display());
                    let (code, introduction) = (code.clone(), introduction.clone());
                    blocks.push(Block { place, code, introduction, text: block.join("\n") + "\n" });
                }
            } else if !line.trim().is_empty() {
                line.clone_into(&mut introduction);
            }
        }
        blocks
    }

    /// The keys at the left edge.
    fn keys(text: &str) -> Vec<&str> {
        let is_key = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        text.lines().filter(is_key).filter_map(|line| Some(line.split_once(':')?.0)).collect()
    }

    /// The file that a block is, and all of its content.
    fn file_of(block: &Block) -> (String, String) {
        let text = &block.text;
        let first = text.lines().next().unwrap_or_default();
        let value = first.split_once(": ").map_or("", |(_, value)| value.split(' ').next().unwrap());
        let named = first.strip_prefix("# ").and_then(|comment| comment.split([' ', ',']).next());
        if let Some(path) = named.filter(|word| word.contains('/')) {
            return (path.to_owned(), text.clone());
        }
        match *keys(text).first().unwrap_or(&"") {
            "flow" => (format!("flows/{value}.yaml"), text.clone()),
            "integration" => (format!("config/integrations/{value}.yaml"), text.clone()),
            _ if first.starts_with("- ") => {
                let steps = text.trim_end().replace('\n', "\n  ");
                let order = if text.contains("id: order\n") { "" } else { ORDER };
                ("flows/part.yaml".into(), format!("{}steps:\n{order}  {steps}\n", AROUND[0].1))
            }
            _ => {
                let present = keys(text);
                let around = AROUND.iter().filter(|(key, _)| !present.contains(key));
                (
                    "flows/part.yaml".into(),
                    text.clone() + &around.map(|(_, lines)| *lines).collect::<String>(),
                )
            }
        }
    }

    fn write(folder: &Path, name: &str, content: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A folder with what pages speak of, and the block in its place.
    fn lay_out(name: &str, content: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        if name.starts_with(EXAMPLES) {
            // A recipe stands on what is shipped beside it.
            for shipped in files(&root().join("config")) {
                let name = shipped.strip_prefix(root()).unwrap().to_str().unwrap();
                write(folder.path(), name, &fs::read_to_string(&shipped).unwrap());
            }
        } else {
            for (name, content) in BESIDE {
                write(folder.path(), name, content);
            }
            write(folder.path(), "config/integrations/warehouse.yaml", &warehouse());
        }
        write(folder.path(), name, content);
        folder
    }

    /// The integration that pages call is the one that the page on integrations shows.
    fn warehouse() -> String {
        let page = root().join("docs/integrations.md");
        let shown =
            blocks_of(&page).into_iter().find(|block| block.text.starts_with("integration: warehouse"));
        shown.unwrap().text
    }

    /// What is said of a folder.
    fn check(folder: &Path, options: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
        command.env_clear().current_dir(folder).arg("check").args(options);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    }

    /// The codes that `check` tells, as `tests/wrong` shows. Those of a refusal or a fault come while a flow runs.
    fn codes_of_files() -> BTreeSet<String> {
        let told = files(&root().join("tests/wrong"))
            .into_iter()
            .filter(|it| it.extension() == Some("txt".as_ref()));
        let told: String = told.map(|path| fs::read_to_string(path).unwrap()).collect();
        let code = |line: &str| Some(line.split_once('[')?.1.split_once("]:")?.0.to_owned());
        told.lines().filter_map(code).collect()
    }

    #[test]
    fn every_block_of_yaml_is_what_its_page_says() {
        let codes = codes_of_files();
        let (mut wrong, mut foreign, mut count) = (Vec::new(), BTreeSet::new(), 0);
        for block in pages().iter().flat_map(|page| blocks_of(page)) {
            let (name, content) = file_of(&block);
            if !name.starts_with("config/") && !name.starts_with("flows/") {
                foreign.insert(name);
                continue;
            }
            count += 1;
            let of_file = block.code.as_ref().is_some_and(|code| codes.contains(code));
            let is_wrong = block.is_wrong() && of_file;
            let folder = lay_out(&name, &content);
            let told = check(folder.path(), &["--without-secrets"]);
            let names_code =
                |told: &str| block.code.as_ref().is_some_and(|code| told.contains(&format!("[{code}]")));
            let holds = if is_wrong {
                // A certificate, for one, is read by those alone who have the secrets.
                names_code(&told) || names_code(&check(folder.path(), &[]))
            } else {
                !told.contains("error[") && !names_code(&told)
            };
            if !holds {
                let Block { place, introduction, text, .. } = block;
                wrong.push(format!("{place}: {introduction}\n{text}{told}"));
            }
        }
        assert!(count > 290, "only {count} blocks");
        assert_eq!(foreign.iter().map(String::as_str).collect::<Vec<_>>(), FOREIGN);
        assert!(wrong.is_empty(), "{}\n{} of {count} blocks", wrong.join("\n---\n"), wrong.len());
    }
}
