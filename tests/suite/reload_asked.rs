//! A reload that is asked for by the admin API, or by `forebay reload`.

use serde_json::{Value, json};

use crate::admin::admin_address;
use crate::cli::FOREBAY;
use crate::reload_rig::{PLACES, Served, site};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, respond};
use crate::support::process::{Process, run};

async fn tell(node: &Served, method: &str) -> Answer {
    let mut client = Client::connect(node.admin).await;
    client.request(method, "/v1/config/reload", &[("Host", "localhost")], b"").await;
    client.read_answer().await
}

fn value(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text()).expect("JSON")
}

async fn forebay(node: &Served, words: &[&str]) -> (Option<i32>, String, String) {
    let admin = node.admin.to_string();
    let output = run(FOREBAY, &[&["reload", "--admin", &admin], words].concat()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn status(node: &Served, host: &str) -> u16 {
    Client::connect(node.address).await.get_with("/", &[("Host", host)]).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_put_in_place_and_told() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let first = format!("{PLACES}{}", site("shop", "shop.test", &origin.url()));
    let node = Served::new(&first).await;
    node.write(&format!("{first}{}", site("blog", "blog.test", &origin.url())));
    let before = tell(&node, "GET").await;
    assert_eq!(
        (before.status, value(&before)["changed"].clone()),
        (200, json!(["site blog added"])),
        "{}",
        before.text()
    );
    assert_eq!(status(&node, "blog.test").await, 421, "nothing was changed");
    let after = tell(&node, "POST").await;
    assert_eq!((after.status, value(&after)["changed"].clone()), (200, value(&before)["changed"].clone()));
    assert_eq!(status(&node, "blog.test").await, 200);
    node.node.wait_for_line("what=\"reload the configuration\"").await;

    node.write(&format!("{first}sites = 7\n"));
    let refused = tell(&node, "POST").await;
    let told = value(&refused);
    assert_eq!((refused.status, told["type"].as_str()), (409, Some("urn:forebay:problem:not-reloaded")));
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("node.toml")), "{told}");
    assert_eq!(status(&node, "blog.test").await, 200, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_by_its_place_and_no_line_of_the_file_is_shown() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let first = format!("{PLACES}{}", site("shop", "shop.test", &origin.url()));
    let node = Served::new(&first).await;
    let pool = format!("[pools.app]\nendpoints = [\"{}\"]\n", origin.url());
    node.write(&format!("{first}{pool}send_fields = {{ X-Key = \"tell-nobody\", \"bad name\" = \"x\" }}\n"));
    for method in ["GET", "POST"] {
        let refused = tell(&node, method).await;
        let told = value(&refused);
        assert_eq!((refused.status, told["type"].as_str()), (409, Some("urn:forebay:problem:not-reloaded")));
        let complaints = told["complaints"].as_array().expect("a list");
        let one = complaints.iter().find(|one| one["warning"] == false).expect("an error");
        assert_eq!(one["line"], first.lines().count() + 3, "{told}");
        assert!(one["column"].is_u64() && one["message"].is_string(), "{told}");
        assert!(!refused.text().contains("tell-nobody"), "{told}");
    }
    let (code, _, errors) = forebay(&node, &[]).await;
    assert!(code == Some(2) && errors.contains("node.toml:") && !errors.contains("tell-nobody"), "{errors}");
    node.node.wait_for_line("nothing has changed").await;
    let lines = node.node.lines().join("\n");
    assert!(lines.contains("nothing has changed") && !lines.contains("tell-nobody"), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_tries_what_a_reload_would_make_and_says_what_it_has_not_tried() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let first = format!("{PLACES}{}", site("shop", "shop.test", &origin.url()));
    let node = Served::new(&first).await;
    std::fs::write(node.path("ca.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    let pool = "[pools.app]\nendpoints = [\"https://127.0.0.1:9\"]\ntls = { ca = \"ca.pem\" }\n";
    node.write(&format!("{first}{pool}"));
    let refused = tell(&node, "GET").await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    node.write(&first);
    let (_, out, _) = forebay(&node, &["--dry-run"]).await;
    assert!(out.contains("not tried: "), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_environment_says_of_the_log_outlives_a_reload() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let text = format!("{PLACES}{}", site("shop", "shop.test", &origin.url()));
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, &text).expect("written");
    let file = file.to_str().expect("UTF-8");
    let node =
        Process::start("env", &["FOREBAY_LOG=info,forebay::cache=debug", FOREBAY, "serve", "--config", file]);
    let admin = admin_address(&node).await;
    std::fs::write(file, format!("{text}[log]\nlevel = \"trace\"\n")).expect("written");
    let mut client = Client::connect(admin).await;
    client.request("POST", "/v1/config/reload", &[("Host", "localhost")], b"").await;
    assert_eq!(client.read_answer().await.status, 200);
    let level = client.get_with("/v1/log-level", &[("Host", "localhost")]).await.text();
    assert!(level.contains("forebay::cache=debug"), "{level}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_what_has_changed_or_what_is_wrong() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[], "page")]).await;
    let first = format!("{PLACES}{}", site("shop", "shop.test", &origin.url()));
    let node = Served::new(&first).await;
    let (code, out, _) = forebay(&node, &[]).await;
    assert_eq!((code, out.as_str()), (Some(0), "nothing is another than it was\n"));
    node.write(&first.replace("shop.test", "shop2.test"));
    let (_, out, _) = forebay(&node, &["--dry-run"]).await;
    assert!(out.starts_with("site shop changed\n"), "{out}");
    assert_eq!(status(&node, "shop2.test").await, 421);
    let (_, out, _) = forebay(&node, &["--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON")["changed"], json!(["site shop changed"]));
    assert_eq!(status(&node, "shop2.test").await, 200);
    node.write("[sites.shop]\nhots = [\"a\"]\n");
    let (code, out, errors) = forebay(&node, &[]).await;
    assert!(code == Some(2) && out.is_empty() && errors.contains("hots"), "{errors}");
}
