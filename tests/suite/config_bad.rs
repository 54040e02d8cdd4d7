//! A corpus of bad configurations, each with what is to be said about it.

use std::fs;
use std::path::{Path, PathBuf};

use forebay::config::file::{Configuration, Severity};

use crate::config_docs::root;

/// Set, what is said now is taken for what is to be said.
const WRITE: &str = "FOREBAY_WRITE_EXPECTED";

/// Where the corpus is, from the directory in which tests run.
const CORPUS: &str = "tests/bad_config";

/// Each `NAME.toml`, and `NAME/main.toml` where there is more than one file.
fn cases() -> Vec<PathBuf> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(root().join(CORPUS)).expect("the corpus") {
        let entry = entry.expect("an entry");
        let path = Path::new(CORPUS).join(entry.file_name());
        if entry.path().is_dir() {
            cases.push(path.join("main.toml"));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            cases.push(path);
        }
    }
    cases.sort();
    cases
}

fn expected_file(case: &Path) -> PathBuf {
    let case = if case.ends_with("main.toml") { case.parent().expect("a directory") } else { case };
    root().join(case.with_extension("expected"))
}

#[test]
fn what_is_bad_is_told_exactly() {
    let mut wrong = Vec::new();
    let all = cases();
    assert!(all.len() >= 40, "only {} cases", all.len());
    for case in all {
        let report = Configuration::read(&case);
        let said = format!("{}\n", report.complaints).replace(&format!("{CORPUS}/"), "");
        assert!(!report.complaints.is_empty(), "{}: nothing is wrong", case.display());
        assert_eq!(report.configuration.is_none(), report.complaints.has_errors(), "{}", case.display());
        let file = expected_file(&case);
        if std::env::var_os(WRITE).is_some() {
            fs::write(&file, &said).expect("written");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}--- said\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n({WRITE}=1 takes what is said now)", wrong.join("\n"));
}

#[test]
fn every_place_is_in_its_file_and_in_order() {
    for case in cases() {
        let complaints = Configuration::read(&case).complaints;
        let bytes = fs::read(root().join(&case)).expect("a case");
        let lines = String::from_utf8_lossy(&bytes).lines().count();
        for complaint in &complaints {
            let (line, column) = complaint.position().unwrap_or((1, 1));
            assert!(line >= 1 && column >= 1, "{complaint}");
            // Included files are short.
            assert!(line <= lines.max(40) + 1, "{complaint}");
            assert!(!complaint.message().is_empty() && !complaint.message().contains('\n'), "{complaint}");
        }
        let warnings =
            complaints.iter().filter(|complaint| complaint.severity() == Severity::Warning).count();
        assert_eq!(warnings, complaints.warnings());
    }
}

#[test]
fn what_is_expected_belongs_to_a_case() {
    let cases: Vec<PathBuf> = cases().iter().map(|case| expected_file(case)).collect();
    for entry in fs::read_dir(root().join(CORPUS)).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "expected") {
            assert!(cases.contains(&path), "{}", path.display());
        }
    }
}

/// A directory with these files.
fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, text).expect("written");
    }
    folder
}

fn complaints_of(folder: &tempfile::TempDir) -> String {
    Configuration::read(&folder.path().join("main.toml")).complaints.to_string()
}

#[test]
fn a_file_has_an_end() {
    let most = 1 << 20;
    let comment = |length: usize| format!("#{}\n", "x".repeat(length - 2));
    assert_eq!(complaints_of(&folder(&[("main.toml", comment(most))])), "");
    let said = complaints_of(&folder(&[("main.toml", comment(most + 1))]));
    assert!(said.ends_with("main.toml: is longer than 1MiB"), "{said}");
}

#[test]
fn files_are_counted() {
    let mut files: Vec<(String, String)> =
        (0..999).map(|nth| (format!("d/{nth:03}.toml"), String::new())).collect();
    files.push(("main.toml".into(), "include = [\"d\"]\n".into()));
    let as_given = |files: &[(String, String)]| -> tempfile::TempDir {
        let files: Vec<(&str, String)> =
            files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        folder(&files)
    };
    assert_eq!(complaints_of(&as_given(&files)), "");
    files.push(("d/999.toml".into(), String::new()));
    let said = complaints_of(&as_given(&files));
    assert!(
        said.contains("main.toml:1:12: d/999.toml is one file too many: a configuration has 1000 at most"),
        "{said}"
    );
}

#[test]
fn files_are_weighed_together() {
    let text = format!("#{}\n", "x".repeat((1 << 20) - 2));
    let mut files: Vec<(String, String)> =
        (0..33).map(|nth| (format!("d/{nth:02}.toml"), text.clone())).collect();
    files.push(("main.toml".into(), "include = [\"d\"]\n".into()));
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let said = complaints_of(&folder(&files));
    assert!(said.contains("d/31.toml is too much: all files together have 32MiB at most"), "{said}");
}

#[test]
fn files_include_files_only_so_deep() {
    let chain = |length: usize| {
        let mut files = vec![("main.toml".to_owned(), "include = [\"1.toml\"]\n".to_owned())];
        for nth in 1..=length {
            let next =
                if nth == length { String::new() } else { format!("include = [\"{}.toml\"]\n", nth + 1) };
            files.push((format!("{nth}.toml"), next));
        }
        let files: Vec<(&str, String)> =
            files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        complaints_of(&folder(&files))
    };
    assert_eq!(chain(8), "");
    let said = chain(9);
    assert!(said.contains("8.toml:1:12: files include files more than 8 deep"), "{said}");
}

#[test]
fn tables_deeper_than_sense_are_refused() {
    let mut text = "a = ".to_owned() + &"[".repeat(500);
    text += &"]".repeat(500);
    let report = Configuration::read_text(Path::new("deep.toml"), &text);
    assert!(report.configuration.is_none());
    let text = format!("[{}]\n", vec!["a"; 500].join("."));
    assert!(Configuration::read_text(Path::new("deep.toml"), &text).configuration.is_none());
}

#[test]
fn of_very_many_complaints_some_are_told_and_all_are_counted() {
    let text = (0..30_000).map(|nth| format!("key{nth} = 1")).collect::<Vec<_>>().join("\n");
    let complaints = Configuration::read_text(Path::new("many.toml"), &text).complaints;
    assert_eq!((complaints.iter().count(), complaints.errors()), (1000, 30_000));
    assert!(complaints.to_string().ends_with("and 29000 more"));
}

#[test]
fn nothing_that_is_told_steers_a_terminal() {
    let text = "\"\\u001b[31mred\" = 1\n[client]\nmax_body = \"\\u001b[2J\"\nx = \"\u{7f}\"\n";
    let said = Configuration::read_text(Path::new("a\u{1b}.toml"), text).complaints.to_string();
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7f}'), "{said:?}");
}

#[test]
fn a_long_line_is_cut_around_what_is_meant() {
    let text =
        format!("[log]\nfields = [{}\"tiem\", {}]\n", "\"time\", ".repeat(500), "\"time\", ".repeat(500));
    let said = Configuration::read_text(Path::new("long.toml"), &text).complaints.to_string();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("long.toml:2:4011: "), "{said}");
    assert!(lines[1].len() < 200, "{said}");
    let at = lines[2].find('^').expect("a mark");
    assert_eq!(&lines[1][at..at + 6], "\"tiem\"", "{said}");
}

#[test]
fn secrets_are_read_from_where_they_are_kept_and_never_shown() {
    let folder = folder(&[
        ("main.toml", "[pools.a]\nendpoints = [\"http://a\"]\n[pools.a.send_fields]\nX-Key = { file = \"key\" }\nX-Path = { env = \"PATH\" }\nX-Plain = \"seen\"\n[sites.a]\nhosts = [\"*\"]\npool = \"a\"\n".to_owned()),
        ("key", "hush-hush\n".to_owned()),
    ]);
    let configuration = Configuration::load(&folder.path().join("main.toml")).expect("well");
    let headers = configuration.pools["a"].headers();
    assert_eq!(headers["x-key"], "hush-hush");
    assert!(headers["x-key"].is_sensitive() && !headers["x-plain"].is_sensitive());
    let shown = configuration.to_toml();
    assert!(!shown.contains("hush") && !format!("{configuration:?}").contains("hush"), "{shown}");
    assert!(shown.contains("x-path = { env = \"PATH\" }") && shown.contains("x-plain = \"seen\""), "{shown}");
    crate::config_docs::reads_back(&configuration);
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let text = "[sites.a]\nhosts = [\"*\"]\norigins = [\"http://me:hush@a\", \"http://b/c\"]\n";
    let said = Configuration::read_text(Path::new("a.toml"), text).complaints.to_string();
    assert!(said.contains("[\"http://*******@a\", \"http://b/c\"]") && !said.contains("hush"), "{said}");
}
