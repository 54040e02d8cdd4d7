//! The commands that ask a running node, and tell it something.

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::admin::{admin_address, get};
use crate::cli::FOREBAY;
use crate::support::authority::Authority;
use crate::support::client::Client;
use crate::support::origin::{Origin, refusing_addr, respond};
use crate::support::process::{Process, run};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// Exit code, standard output and standard error.
async fn forebay(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(FOREBAY, args).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn well(args: &[&str]) -> String {
    let (code, out, errors) = forebay(args).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{args:?}: {out}");
    out
}

async fn json(args: &[&str]) -> Value {
    serde_json::from_str(&well(&[args, &["--json"]].concat()).await).expect("JSON")
}

#[tokio::test]
async fn they_tell_people_and_programs() {
    let origin = Origin::tcp(|_, _| vec![respond("200 OK", &[FRESH], "page")]).await;
    let url = origin.url();
    let args = ["serve", "--listen", "127.0.0.1:0", "--admin", "0", "--access-log", "off", "--origin", &url];
    let node = Process::start(FOREBAY, &args);
    let (address, admin) = (node.listening().await, admin_address(&node).await);
    let at = admin.to_string();
    let with = |command: &[&'static str]| -> Vec<String> {
        command.iter().map(ToString::to_string).chain(["--admin".to_owned(), at.clone()]).collect()
    };
    macro_rules! args {
        ($($word:expr),*) => { &with(&[$($word),*]).iter().map(String::as_str).collect::<Vec<_>>()[..] };
    }
    for _ in 0..2 {
        Client::connect(address).await.get_with("/a", &[("Host", "shop.test")]).await;
    }
    let stats = well(args!["stats"]).await;
    assert!(stats.contains("hit ratio") && stats.contains("memory tier"), "{stats}");
    assert!(json(args!["stats"]).await["tiers"]["memory"]["limit_bytes"].is_u64());
    let stored = well(args!["objects", "http://shop.test/a"]).await;
    assert!(stored.contains("http://shop.test/a (key ") && stored.contains("200, fresh"), "{stored}");
    assert_eq!(json(args!["objects", "http://shop.test/a"]).await["variants"][0]["status"], 200);
    let nothing = well(args!["objects", "http://shop.test/b", "-H", "X-Kind: a"]).await;
    assert!(nothing.contains("nothing is stored"), "{nothing}");
    well(args!["objects", "--limit", "5"]).await;
    assert_eq!(json(args!["objects"]).await["sampled_one_in"], 64);
    let endpoints = well(args!["endpoints"]).await;
    assert!(
        endpoints.contains("STATE") && endpoints.contains(&url) && endpoints.contains("up"),
        "{endpoints}"
    );
    let drain = |more: &[&str]| -> Vec<String> {
        let words = ["drain", "default", &url, "--admin", &at];
        words.iter().chain(more).map(ToString::to_string).collect()
    };
    let words = |owned: &[String]| -> Vec<String> { owned.to_vec() };
    for (more, state) in [(&[][..], "drained"), (&["--undo"], "up")] {
        let owned = words(&drain(more));
        let said = well(&owned.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(said.contains(state), "{said}");
    }
    assert!(well(args!["drain"]).await.contains("serves on"));
    assert_eq!(get(admin, "/readyz").await.status, 503);
    assert_eq!(json(args!["drain", "--undo"]).await["ready"], true);
    assert_eq!(get(admin, "/readyz").await.status, 200);
    assert_eq!(well(args!["log-level"]).await, "info\n");
    assert_eq!(well(args!["log-level", "debug"]).await, "debug\n");
    assert_eq!(json(args!["log-level"]).await["level"], "debug");
    // What is said wrong is 2.
    for wrong in [
        args!["drain", "default", "http://127.0.0.1:1"],
        args!["drain", "default"],
        args!["objects", "nonsense"],
        args!["log-level", "loud"],
    ] {
        let (code, out, said) = forebay(wrong).await;
        assert!(code == Some(2) && out.is_empty() && !said.is_empty(), "{wrong:?}: {said}");
    }
}

#[tokio::test]
async fn a_token_comes_from_a_file_the_environment_or_the_configuration() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    let authority = Authority::new();
    let pair = authority.pair("admin", &["127.0.0.1"], 2099);
    let (right, wrong) = (file("token", "0123456789abcdef0123\n"), file("wrong", "0123456789abcdef0124\n"));
    let port = refusing_addr().port();
    let config = file(
        "main.toml",
        &format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"0.0.0.0:{port}\"\ntoken = {{ file = \"token\" }}\n\
             certificate = {:?}\nkey = {:?}\n[log]\naccess = \"off\"\n",
            pair.chain, pair.key
        ),
    );
    let node = Process::start(FOREBAY, &["serve", "--config", &config]);
    node.wait_for_line("admin on https://").await;
    let (admin, ca) = (port.to_string(), authority.file());
    let ca = ca.to_str().expect("UTF-8");
    let stats = ["stats", "--admin-ca", ca];
    assert!(well(&[&stats[..], &["--config", &config]].concat()).await.contains("requests"));
    assert!(
        well(&[&stats[..], &["--admin", &admin, "--token-file", &right]].concat()).await.contains("requests")
    );
    for (token, why) in [(Some(&wrong), "not the token"), (None, "a token is needed")] {
        let token = token.map_or_else(Vec::new, |file| vec!["--token-file", file]);
        let (code, _, said) = forebay(&[&stats[..], &["--admin", &admin], &token].concat()).await;
        assert!(code == Some(2) && said.contains(why) && said.contains("--token-file"), "{said}");
    }
    let missing = folder.path().join("missing");
    let missing = missing.to_str().expect("UTF-8");
    let (code, _, said) = forebay(&["stats", "--admin", &admin, "--token-file", missing]).await;
    assert!(code == Some(2) && said.contains("cannot be read"), "{said}");
    // Without TLS, or trusting others, there is nobody.
    let others = Authority::called("others");
    let others = others.file();
    for more in [&[][..], &["--admin-ca", others.to_str().expect("UTF-8")]] {
        let (code, _, said) = forebay(&[&["stats", "--admin", &admin][..], more].concat()).await;
        assert_eq!(code, Some(1), "{said}");
    }
    let nobody = refusing_addr().to_string();
    let (code, _, said) = forebay(&["stats", "--admin", &nobody]).await;
    assert!(code == Some(1) && said.contains("no node answers at"), "{said}");
}

/// What comes to a socket until nobody connects any more.
async fn received(listener: TcpListener, ended: impl Future<Output = ()>) -> Vec<u8> {
    let mut seen = Vec::new();
    let take = async {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read_buf(&mut seen).await;
        }
    };
    tokio::select! {
        () = take => {}
        () = ended => {}
    }
    seen
}

#[tokio::test]
async fn a_token_is_not_sent_in_the_clear_to_a_listener_that_is_said_to_speak_tls() {
    let folder = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let pair = authority.pair("admin", &["elsewhere.test"], 2099);
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123\n").expect("written");
    let config = |name: &str, port: u16| {
        let file = folder.path().join(name);
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"0.0.0.0:{port}\"\ntoken = {{ file = \"token\" }}\n\
             certificate = {:?}\nkey = {:?}\n[log]\naccess = \"off\"\n",
            pair.chain, pair.key
        );
        std::fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    // The certificate that the configuration names is trusted, whatever name it is for.
    let real = config("real.toml", refusing_addr().port());
    let node = Process::start(FOREBAY, &["serve", "--config", &real]);
    node.wait_for_line("admin on https://").await;
    assert!(well(&["stats", "--config", &real]).await.contains("requests"));
    // Somebody else at the address learns nothing, whether he speaks TLS or not.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let other = config("other.toml", listener.local_addr().expect("an address").port());
    let asked = async {
        let (code, _, said) = forebay(&["stats", "--config", &other]).await;
        assert_eq!(code, Some(1), "{said}");
    };
    let seen = received(listener, asked).await;
    assert!(
        seen.first() == Some(&22) && !seen.windows(10).any(|text| text == b"0123456789"),
        "a handshake alone"
    );
    let others = Authority::called("others");
    let stranger = others.pair("admin", &["elsewhere.test"], 2099);
    let text = std::fs::read_to_string(&real).expect("a file");
    let text = text.replace(&format!("{:?}", pair.chain), &format!("{:?}", stranger.chain));
    let mistaken = folder.path().join("mistaken.toml");
    std::fs::write(&mistaken, text).expect("written");
    let (code, _, said) = forebay(&["stats", "--config", mistaken.to_str().expect("UTF-8")]).await;
    assert_eq!(code, Some(1), "another certificate than the one that is named: {said}");
    // Off this machine nothing is sent that could be read, nor is anybody connected to (192.0.2.0/24 is nobody's).
    let token = folder.path().join("token");
    let (code, _, said) =
        forebay(&["stats", "--admin", "192.0.2.1:9090", "--token-file", token.to_str().expect("UTF-8")])
            .await;
    assert!(code == Some(2) && said.contains("in the clear") && said.contains("--admin-ca"), "{said}");
}
