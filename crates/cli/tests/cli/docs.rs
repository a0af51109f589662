//! What the documents say of the code holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of the tests in a file.
fn tests_in(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        marked |= line == "#[test]" || line.starts_with("#[tokio::test");
        // A scenario, of which there is one for each database.
        marked |= line.starts_with("async fn ") && line.contains("(test: Test)");
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(name) = name.filter(|_| marked) {
            found.insert(name.split('(').next().unwrap().to_owned());
            marked = false;
        }
    }
    found
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let guarantees: Vec<&str> = text.split("\n## ").skip(1).collect();
    let (numbered, rest): (Vec<&str>, Vec<&str>) =
        guarantees.iter().partition(|section| section.starts_with(|c: char| c.is_ascii_digit()));
    assert!(numbered.len() >= 12 && rest.len() == 1, "{numbered:?}");
    for (number, section) in numbered.iter().enumerate() {
        let title = section.lines().next().unwrap();
        assert!(title.starts_with(&format!("{}. ", number + 1)), "{title} has another number");
        let tests = section.split_once("*Tests.*").unwrap_or_else(|| panic!("{title}: no tests")).1;
        let mut file = None;
        let mut named = 0;
        // Between backticks.
        for word in tests.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                let path =
                    word.strip_prefix("cli/").map(|name| format!("crates/cli/tests/cli/{name}"));
                let path = path.unwrap_or_else(|| word.to_owned());
                assert!(root().join(&path).is_file(), "{title}: {word} does not exist");
                file = Some(path);
            } else if word.matches('_').count() > 1 {
                let path = file.as_ref().unwrap_or_else(|| panic!("{title}: {word} has no file"));
                let there = tests_in(&root().join(path));
                assert!(there.contains(word), "{title}: {path} has no test {word}");
                named += 1;
            }
        }
        assert!(named > 0, "{title} names no test");
    }
}
