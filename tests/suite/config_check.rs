//! `forebay check`, as a stranger meets it.

use std::process::Output;

use crate::cli::FOREBAY;
use crate::config_docs::root;
use crate::support::process::run;

async fn check(args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> =
        std::iter::once("check".to_owned()).chain(args.iter().map(|arg| (*arg).to_owned())).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Output { status, stdout, stderr } = run(FOREBAY, &args).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn path(name: &str) -> String {
    root().join(name).display().to_string()
}

#[tokio::test]
async fn what_is_well_is_told_on_standard_output() {
    let file = path("config/example/forebay.toml");
    let (code, stdout, stderr) = check(&[&file]).await;
    assert_eq!((code, stdout, stderr), (Some(0), format!("{file} is well: 2 sites\n"), String::new()));
}

#[tokio::test]
async fn what_is_wrong_is_told_on_standard_error_and_the_code_is_2() {
    let file = path("tests/bad_config/key_unknown.toml");
    let (code, stdout, stderr) = check(&[&file]).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("key_unknown.toml:2:1: "), "{stderr}");
    assert!(stderr.lines().last().expect("a line").ends_with(" errors"), "{stderr}");
}

#[tokio::test]
async fn a_warning_keeps_nothing_from_starting() {
    let (code, stdout, stderr) = check(&[&path("tests/bad_config/pool_unused.toml")]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("is well"), "{stdout}");
    assert!(stderr.contains(": warning: no site uses the pool"), "{stderr}");
}

#[tokio::test]
async fn what_is_printed_is_a_configuration() {
    let (code, printed, stderr) = check(&["--print", &path("config/example/forebay.toml")]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("printed.toml").display().to_string();
    std::fs::write(&file, &printed).expect("written");
    let (code, again, stderr) = check(&["--print", &file]).await;
    assert_eq!((code, again, stderr.as_str()), (Some(0), printed, ""));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let (code, _, stderr) = check(&["/proc/nowhere.toml"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("/proc/nowhere.toml: cannot be read: No such file"), "{stderr}");
    let (code, _, stderr) = check(&["/proc"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("/proc: is a directory, not a file"), "{stderr}");
}
