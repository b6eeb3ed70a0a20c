//! What the documents promise, held against the program: links lead somewhere, examples are commands that exist, rules
//! of the protocol are obeyed by code that names them and proven by tests that name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use feige_tests::program;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files below `folder` with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() && !hidden && entry.file_name() != "target" {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

fn documents() -> Vec<(PathBuf, String)> {
    let documents: Vec<_> = files(&root(), "md").into_iter().map(|path| (path.clone(), read(&path))).collect();
    assert!(documents.iter().any(|(path, _)| path.ends_with("../README.md")), "no README");
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for (path, text) in documents() {
        for (_, after) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = after.split([')', ' ', '\n']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let there = path.parent().unwrap().join(file);
            assert!(there.exists(), "{} links to {target}, which is not there", path.display());
        }
    }
}

/// What is marked as code: lines of blocks, without prompts, with continued lines joined; and words of sentences.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut within = false;
    let mut continued = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            within = !within;
        } else if !within {
            // In sentences and tables, between back-ticks.
            commands.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        } else {
            continued.push_str(line.trim().trim_start_matches("$ "));
            if continued.ends_with('\\') {
                continued.pop();
            } else {
                commands.push(std::mem::take(&mut continued));
            }
        }
    }
    commands
}

#[test]
fn every_example_is_a_command_that_exists() {
    let mut checked = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            for part in command.split('|') {
                let part = part.trim();
                let arguments = part.strip_prefix("feige ").or_else(|| part.strip_prefix("cargo run --release -- "));
                let Some(words) = arguments.and_then(shlex::split) else { continue };
                let end = words.iter().position(|word| matches!(&**word, ">" | "&" | "2>" | ">>" | "<" | "&&" | ";"));
                let words = words.iter().take(end.unwrap_or(words.len())).map(String::as_str);
                let named = words.clone().count() == 1;
                let parsed = feige::cli::Cli::try_parse_from(["feige"].into_iter().chain(words));
                if let Err(error) = parsed {
                    use clap::error::ErrorKind::{
                        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingRequiredArgument,
                    };
                    let shown = matches!(error.kind(), DisplayHelp | DisplayVersion);
                    // A sentence may name a command without the arguments that it needs.
                    let bare =
                        matches!(error.kind(), MissingRequiredArgument | DisplayHelpOnMissingArgumentOrSubcommand);
                    let named = named && bare;
                    assert!(shown || named, "{}: `{command}`: {error}", path.display());
                }
                checked += 1;
            }
        }
    }
    assert!(checked >= 5, "only {checked} examples were found: this test looks in the wrong place");
}

/// Examples that show what is printed, in blocks marked `console`, print just that.
#[test]
fn every_example_prints_what_is_shown() {
    let text = read(&root().join("README.md"));
    let mut checked = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for example in block.split("$ feige ").filter(|example| !example.is_empty()) {
            let (arguments, shown) = example.split_once('\n').expect("a command and what it prints");
            let home = TempDir::new().expect("a folder");
            let arguments = shlex::split(arguments).expect("words");
            let output = program::command(&home, arguments).output().expect("feige runs");
            assert!(output.status.success(), "feige {example}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), shown.trim_end(), "feige {example}");
            checked += 1;
        }
    }
    assert!(checked > 0, "no example was found: this test looks in the wrong place");
}

/// What rules are called, and the book in `docs/protocol` that states them.
const BOOKS: [(&str, &str); 4] =
    [("R-IP-", "ipmsg.md"), ("R-VT-", "transfer.md"), ("R-CL-", "classic.md"), ("R-FL-", "flood.md")];

/// The numbers behind each `R-IP-`, or whatever `mark` is, of a text. `R-IP-80 to 97` names its ends only.
fn rules(mark: &str, text: &str) -> BTreeSet<u32> {
    let numbers = text.match_indices(mark).map(|(at, mark)| &text[at + mark.len()..]);
    let digits = numbers.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// The rules of a book. A rule is a list item that begins with its number.
fn stated<'b>(mark: &str, book: &'b str) -> BTreeMap<u32, &'b str> {
    let item = format!("\n- **{mark}");
    let rules = book.split(&item).skip(1).map(|item| {
        let (number, rest) = item.split_once("**").expect("the number of a rule is bold");
        let rest = rest.split("\n\n").next().unwrap_or_default();
        (number.parse().expect("a number"), rest.split("\n#").next().unwrap_or_default())
    });
    let mut stated = BTreeMap::new();
    for (number, rule) in rules {
        assert!(stated.insert(number, rule).is_none(), "{mark}{number} is stated twice");
    }
    stated
}

#[test]
fn every_rule_is_obeyed_and_proven() {
    let folders = ["core", "host", "tests"].map(|folder| files(&root().join(folder), "rs"));
    let sources: Vec<String> =
        folders.iter().flatten().filter(|path| !path.ends_with("tests/tests/docs.rs")).map(|path| read(path)).collect();
    for (mark, book) in BOOKS {
        let (mut code, mut proofs) = (BTreeSet::new(), BTreeSet::new());
        for line in sources.iter().flat_map(|source| source.lines()) {
            match line.split_once("proves:") {
                Some((_, proven)) => proofs.extend(rules(mark, proven)),
                None => code.extend(rules(mark, line)),
            }
        }
        let path = root().join("docs/protocol").join(book);
        if !path.exists() && code.is_empty() && proofs.is_empty() {
            continue;
        }
        let text = read(&path);
        let stated = stated(mark, &text);
        assert!(stated.len() >= 10, "only {} rules are in {book}: this test looks in the wrong place", stated.len());
        let unknown: Vec<_> = code.union(&proofs).filter(|number| !stated.contains_key(number)).collect();
        assert!(unknown.is_empty(), "the code names rules that are not in {book}: {unknown:?}");
        let must = || stated.iter().filter(|(_, rule)| rule.contains("MUST")).map(|(number, _)| number);
        let nameless: Vec<_> = must().filter(|number| !code.contains(number)).collect();
        let unproven: Vec<_> = must().filter(|number| !proofs.contains(number)).collect();
        assert!(
            nameless.is_empty() && unproven.is_empty(),
            "{book}: no code names {nameless:?}; no test proves {unproven:?}"
        );
    }
}
