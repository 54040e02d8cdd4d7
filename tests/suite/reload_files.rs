//! Files that are read anew: what is wrong with them changes nothing and is told, and those that are watched are read when they
//! have changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::admin::{scrape, value};
use crate::cli::FOREBAY;
use crate::reload_rig::{PLACES, Served, replace, site};
use crate::support::client::Client;
use crate::support::origin::{Origin, respond};
use crate::support::process::Process;
use crate::support::{ms, within};

async fn origin() -> Origin {
    Origin::tcp(|_, _| vec![respond("200 OK", &[("Cache-Control", "max-age=60")], "it")]).await
}

/// How the node calls itself.
async fn name(served: &Served) -> String {
    let status = served.client().await.get("/").await.cache_status();
    status.split(';').next().expect("a name").to_owned()
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where() {
    let origin = origin().await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let successful = "forebay_config_last_reload_successful";
    let since = "forebay_config_last_reload_success_timestamp_seconds";
    let before = scrape(served.admin).await;
    assert_eq!(value(&before, successful), Some(1.0));
    let bad = [
        ("[node]\nname = \"edge\"\n[client]\nmax_hed = \"8KiB\"\n", "max_head"),
        ("[node]\nname = \"edge\"\n[sites.b]\nhosts = [\"b.test\"]\n", "origins"),
        ("[node]\nname = \"edge\"\ninclude = [\"nowhere.toml\"]\n", "include"),
        ("[node]\nname = \"edge", "no closing quote"),
    ];
    for (nth, (more, said)) in bad.into_iter().enumerate() {
        served.refuses(&format!("{text}{more}")).await;
        served.node.wait_for_line(said).await;
        let told = served.node.lines().join("\n");
        let (_, told) = told.rsplit_once("nothing has changed: ").expect("it is told");
        assert!(told.contains("node.toml:") && told.contains(said), "{nth}: {told}");
        assert_eq!(name(&served).await, "forebay");
        let now = scrape(served.admin).await;
        assert_eq!(value(&now, successful), Some(0.0));
        assert_eq!(value(&now, since), value(&before, since));
    }
    // A file that was lost, or cut off at its beginning, is no wish for the demo site.
    served.refuses("").await;
    served.node.wait_for_line("does not turn into the demo site").await;
    fs::remove_file(served.path("node.toml")).expect("removed");
    assert!(!served.signal().await);
    // What is wrong with what is made of it is as bad.
    served.refuses(&format!("{text}[log]\naccess = \"/nowhere/at/all\"\n[node]\nname = \"edge\"\n")).await;
    served.node.wait_for_line("cannot write the access log /nowhere/at/all").await;
    assert_eq!(name(&served).await, "forebay");
    served.reload(&format!("{text}[node]\nname = \"edge\"\n")).await;
    assert_eq!(name(&served).await, "edge");
    assert_eq!(value(&scrape(served.admin).await, successful), Some(1.0));
}

#[tokio::test]
async fn without_a_file_a_node_ends_when_its_terminal_goes() {
    let origin = origin().await;
    let mut node = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0", "--origin", &origin.url()]);
    let address = node.listening().await;
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
    node.signal("HUP");
    assert_eq!(node.exit_code().await, Some(0));
    node.wait_for_line("draining").await;
}

#[tokio::test]
async fn the_demo_site_stays_until_there_is_another() {
    let origin = origin().await;
    let served = Served::new(PLACES).await;
    served.node.wait_for_line("demo").await;
    served.reload(&format!("{PLACES}[node]\nname = \"edge\"\n")).await;
    assert_eq!(name(&served).await, "edge");
    served.reload(&format!("{PLACES}{}", site("a", "*", &origin.url()))).await;
    assert_eq!(served.client().await.get("/").await.text(), "it");
}

/// That a node that watches its files has read them for so many times, and calls itself so.
async fn becomes(served: &Served, expected: &str) {
    let becomes = async {
        while name(served).await != expected {
            tokio::time::sleep(ms(5)).await;
        }
    };
    within(ms(20_000), becomes).await;
}

fn named(text: &str, name: &str) -> String {
    format!("{text}[node]\nwatch = \"20ms\"\nname = \"{name}\"\n")
}

#[tokio::test]
async fn a_watched_file_is_read_when_it_was_replaced_or_written() {
    let origin = origin().await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&named(&text, "first")).await;
    served.write(&named(&text, "renamed"));
    becomes(&served, "renamed").await;
    fs::write(served.path("node.toml"), named(&text, "written")).expect("written");
    becomes(&served, "written").await;
    // What is wrong is told once, and not until it has changed again.
    served.write(&format!("{}nonsense", named(&text, "wrong")));
    served.node.wait_for_line("nothing has changed").await;
    let failed = served.reloads().await.1;
    served.write(&named(&text, "mended"));
    becomes(&served, "mended").await;
    assert!(served.reloads().await.1 <= failed);
    // Once it is off, nobody looks; a signal is heard still.
    served.write(&format!("{text}[node]\nname = \"off\"\n"));
    becomes(&served, "off").await;
    served.reload(&named(&text, "on")).await;
    assert_eq!(name(&served).await, "on");
    served.write(&named(&text, "last"));
    becomes(&served, "last").await;
}

#[tokio::test]
async fn what_a_watched_file_includes_is_watched_too() {
    let origin = origin().await;
    let text = format!("include = [\"more\"]\n{PLACES}[node]\nwatch = \"20ms\"\n");
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("more")).expect("made");
    fs::write(path("node.toml"), text).expect("written");
    fs::write(path("more/a.toml"), site("a", "a.test", &origin.url())).expect("written");
    let served = Served::in_folder(folder, &[]).await;
    let answers = |host: &'static str, status: u16| {
        let served = &served;
        async move {
            let asked = async {
                while served.client().await.get_with("/", &[("Host", host)]).await.status != status {
                    tokio::time::sleep(ms(5)).await;
                }
            };
            within(ms(20_000), asked).await;
        }
    };
    answers("a.test", 200).await;
    answers("b.test", 421).await;
    replace(&served.path("more/b.toml"), &site("b", "b.test", &origin.url()));
    answers("b.test", 200).await;
    replace(&served.path("more/a.toml"), &site("a", "c.test", &origin.url()));
    answers("c.test", 200).await;
    fs::remove_file(served.path("more/b.toml")).expect("removed");
    answers("b.test", 421).await;
}

/// A version of a configuration as Kubernetes puts it there: files in a folder of their own, to which a link leads by which they
/// are reached.
fn version(folder: &Path, version: &str, text: &str) {
    let path = |name: &str| folder.join(name);
    fs::create_dir(path(version)).expect("made");
    fs::write(path(version).join("node.toml"), text).expect("written");
    symlink(version, path("..data_tmp")).expect("a link");
    fs::rename(path("..data_tmp"), path("..data")).expect("renamed");
}

#[tokio::test]
async fn a_link_that_leads_to_another_version_is_a_change() {
    let origin = origin().await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let folder: TempDir = tempfile::tempdir().expect("a directory");
    version(folder.path(), "..1", &named(&text, "first"));
    symlink("..data/node.toml", folder.path().join("node.toml")).expect("a link");
    let served = Served::in_folder(folder, &[]).await;
    assert_eq!(name(&served).await, "first");
    version(served.folder.path(), "..2", &named(&text, "second"));
    fs::remove_dir_all(served.path("..1")).expect("removed");
    becomes(&served, "second").await;
}

#[tokio::test]
async fn a_secret_that_has_changed_is_sent() {
    let origin = origin().await;
    let pool = format!(
        "[pools.app]\nendpoints = [\"{}\"]\nsend_fields = {{ x-key = {{ file = \"key\" }} }}\n",
        origin.url()
    );
    let text =
        format!("{PLACES}{pool}[sites.a]\nhosts = [\"*\"]\npool = \"app\"\n[node]\nwatch = \"20ms\"\n");
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("node.toml"), text).expect("written");
    fs::write(folder.path().join("key"), "one\n").expect("written");
    let served = Served::in_folder(folder, &[]).await;
    served.client().await.get("/1").await;
    replace(&served.path("key"), "two\n");
    served.has_reloaded(1.0, 0.0).await;
    served.client().await.get("/2").await;
    let sent: Vec<_> = origin.seen().iter().map(|seen| seen.header("x-key").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("one".into()), Some("two".into())]);
    served.node.lines().iter().for_each(|line| assert!(!line.contains("two"), "{line}"));
}
