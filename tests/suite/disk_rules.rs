//! Which directory is taken, how it is kept from others, and what in it is never followed or believed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::FOREBAY;
use crate::disk_rig::{binary, content_file, content_files, everything_below, slots_on_disk, until};
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Origin, respond};
use crate::support::process::{Process, run};

const SMALL: usize = 1000;
const LARGE: usize = 100_000;

/// An origin whose paths end with a length.
async fn origin() -> Origin {
    Origin::tcp(|request, _| {
        let length =
            request.path().rsplit('/').next().and_then(|length| length.parse().ok()).unwrap_or(SMALL);
        vec![respond("200 OK", &[("Cache-Control", "max-age=600")], pattern(1, length))]
    })
    .await
}

/// A directory with a place for a cache directory in it, and one beside it that no cache has business with.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(place.target()).unwrap();
        fs::write(place.target().join("precious"), "untouched").unwrap();
        place
    }

    fn cache_dir(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    #[track_caller]
    fn assert_target_untouched(&self) {
        let names: Vec<_> = everything_below(&self.target());
        assert_eq!(names, [self.target().join("precious")]);
        assert_eq!(fs::read(self.target().join("precious")).unwrap(), b"untouched");
    }
}

/// Starts a node, has it store a small and a large object, and ends it in good order.
async fn filled(origin: &Origin, cache_dir: &Path) {
    let mut node = binary(&origin.url(), cache_dir, &[]);
    let mut client = Client::connect(node.listening().await).await;
    for path in ["/secret-name/1000?token=hunter2", "/secret-name/100000"] {
        assert_eq!(client.get(path).await.status, 200);
    }
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    assert!(content_file(cache_dir, &pattern(1, LARGE)).is_some(), "the large object is on disk");
}

/// The node serves, whatever became of its disk.
async fn serves(node: &Process) {
    let mut client = Client::connect(node.listening().await).await;
    for (path, length) in [("/secret-name/1000?token=hunter2", SMALL), ("/secret-name/100000", LARGE)] {
        let answer = client.get(path).await;
        assert!(answer.status == 200 && answer.complete && answer.body == pattern(1, length), "{path}");
    }
}

/// It serves, and its disk tier stores what it is told to.
async fn serves_and_stores(node: &Process, cache_dir: &Path) {
    serves(node).await;
    until_stored(cache_dir).await;
    let lines = node.lines().join("\n");
    assert!(!lines.contains("out of use"), "{lines}");
}

async fn until_stored(cache_dir: &Path) {
    let stored =
        || content_file(cache_dir, &pattern(1, LARGE)).is_some() && slots_on_disk(cache_dir).len() >= 2;
    until("both objects are on disk", stored).await;
}

/// What is said of a directory that ends the node with 2.
async fn refusal(cache_dir: &Path) -> String {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--cache-dir", cache_dir.to_str().unwrap()];
    let output = run(FOREBAY, &arguments).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains(cache_dir.to_str().unwrap()), "{complaint}");
    complaint
}

// ---- which directory is taken ----

#[tokio::test]
async fn a_directory_in_use_is_refused_and_its_user_goes_on() {
    let (origin, place) = (origin().await, Place::new());
    let node = binary(&origin.url(), &place.cache_dir(), &[]);
    node.listening().await;
    let complaint = refusal(&place.cache_dir()).await;
    assert!(complaint.contains("is in use by another forebay: give each its own directory"), "{complaint}");
    serves_and_stores(&node, &place.cache_dir()).await;
}

/// A directory with these files in it is refused, and stays as it is.
async fn refused_untouched(names: &[&str]) {
    let place = Place::new();
    fs::create_dir(place.cache_dir()).unwrap();
    fs::set_permissions(place.cache_dir(), Permissions::from_mode(0o755)).unwrap();
    let mut files: Vec<_> = names.iter().map(|name| place.cache_dir().join(name)).collect();
    for file in &files {
        fs::write(file, "mine").unwrap();
    }
    let complaint = refusal(&place.cache_dir()).await;
    assert!(complaint.contains("was not made by forebay: give an empty or a new directory"), "{complaint}");
    let mut found = everything_below(&place.cache_dir());
    files.sort();
    found.sort();
    assert_eq!(found, files);
    assert!(files.iter().all(|file| fs::read(file).unwrap() == b"mine"));
    let mode = fs::metadata(place.cache_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[tokio::test]
async fn a_directory_with_other_things_in_it_is_refused_and_untouched() {
    refused_untouched(&["photo.jpg"]).await;
    refused_untouched(&[".hidden", "index", "content"]).await;
}

/// Many programs keep a file of the name `lock`, and `format` is not rare: neither makes a directory ours.
#[tokio::test]
async fn a_directory_of_another_program_with_a_lock_of_its_own_is_refused() {
    refused_untouched(&["lock", "status"]).await;
    refused_untouched(&["format", "photo.jpg"]).await;
}

#[tokio::test]
async fn a_file_in_place_of_the_directory_is_refused() {
    let place = Place::new();
    fs::write(place.cache_dir(), "a file").unwrap();
    let complaint = refusal(&place.cache_dir()).await;
    assert!(complaint.contains("is not a directory"), "{complaint}");
    assert_eq!(fs::read(place.cache_dir()).unwrap(), b"a file");
}

#[tokio::test]
async fn an_empty_directory_and_a_new_one_below_others_are_taken() {
    let (origin, place) = (origin().await, Place::new());
    fs::create_dir(place.cache_dir()).unwrap();
    filled(&origin, &place.cache_dir()).await;
    let deep = place.directory.path().join("one/two/three");
    filled(&origin, &deep).await;
}

// ---- kept from others ----

#[tokio::test]
async fn directories_have_mode_0700_and_files_0600() {
    let (origin, place) = (origin().await, Place::new());
    filled(&origin, &place.cache_dir()).await;
    let mut wrong = Vec::new();
    for path in everything_below(&place.cache_dir()).into_iter().chain([place.cache_dir()]) {
        let found = fs::symlink_metadata(&path).unwrap();
        let (mode, wanted) =
            (found.permissions().mode() & 0o7777, if found.is_dir() { 0o700 } else { 0o600 });
        if mode != wanted {
            wrong.push(format!("{mode:o} {}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_name_comes_from_a_url() {
    let (origin, place) = (origin().await, Place::new());
    filled(&origin, &place.cache_dir()).await;
    let fixed = [
        "lock",
        "format",
        "epoch",
        "ended",
        "index",
        "ledger",
        "content",
        "spill",
        "tmp",
        "content-v2",
        "sha256",
    ];
    for path in everything_below(&place.cache_dir()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let hash = [2, 8, 60].contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(hash || fixed.contains(&name), "{}", path.display());
    }
}

// ---- what is not believed ----

/// A directory in which a note was changed is set aside and removed, and the node serves and stores.
async fn set_aside(changed: &str, text: &str, said: &str) {
    let (origin, place) = (origin().await, Place::new());
    let cache_dir = place.cache_dir();
    filled(&origin, &cache_dir).await;
    fs::write(cache_dir.join(changed), text).unwrap();
    let node = binary(&origin.url(), &cache_dir, &[]);
    node.wait_for_line(said).await;
    assert_eq!(origin.hits(), 2);
    serves_and_stores(&node, &cache_dir).await;
    assert_eq!(origin.hits(), 4, "nothing of it was believed");
    let is_left =
        || everything_below(&cache_dir).iter().any(|path| path.to_string_lossy().contains("/aside-"));
    until("what was set aside is removed", || !is_left()).await;
    assert_eq!(content_files(&cache_dir).len(), 1);
}

#[tokio::test]
async fn a_directory_of_another_version_is_set_aside() {
    let said =
        "the cache directory was made by another version of forebay: it is set aside and will be removed";
    set_aside("format", "forebay cache 999\n", said).await;
    set_aside("format", "", said).await;
}

#[tokio::test]
async fn a_directory_without_its_ledger_is_set_aside() {
    set_aside("ledger/00000001", "", "the cache directory has lost its ledger of purges").await;
}

#[tokio::test]
async fn a_directory_with_a_damaged_epoch_is_set_aside() {
    let said =
        "the cache directory has a ledger's epoch that cannot be read: it is set aside and will be removed";
    set_aside("epoch", "1 0000000000000000\n", said).await;
    set_aside("epoch", "", said).await;
    set_aside("epoch", "\u{0}\u{0}\u{0}\u{0}", said).await;
}

/// Puts something else in the place of a note, and expects the node to serve and to store all the same.
async fn replaced_note(name: &str, replace: impl Fn(&Path, &Place)) {
    let (origin, place) = (origin().await, Place::new());
    filled(&origin, &place.cache_dir()).await;
    let path = place.cache_dir().join(name);
    fs::remove_file(&path).unwrap();
    replace(&path, &place);
    let node = binary(&origin.url(), &place.cache_dir(), &[]);
    serves_and_stores(&node, &place.cache_dir()).await;
    place.assert_target_untouched();
}

#[tokio::test]
async fn a_note_that_is_a_link_or_a_directory_is_as_good_as_damaged() {
    for note in ["epoch", "format"] {
        replaced_note(note, |path, place| symlink(place.target().join("precious"), path).unwrap()).await;
        replaced_note(note, |path, _| fs::create_dir(path).unwrap()).await;
    }
}

// ---- what is not followed ----

/// Fills a directory, has `plant` put a link into it, and starts again: the node serves, and nothing happens where
/// the link leads. Gives the node, to see what became of its disk.
async fn planted(origin: &Origin, place: &Place, plant: impl FnOnce(&Path, &Path)) -> Process {
    filled(origin, &place.cache_dir()).await;
    plant(&place.cache_dir(), &place.target());
    let node = binary(&origin.url(), &place.cache_dir(), &[]);
    serves(&node).await;
    node
}

/// Ends a node, after which all that it would do has been done.
async fn ended(mut node: Process) {
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
}

/// The upper and the lower directory of the shelf of the large object.
fn shelf(cache_dir: &Path) -> (PathBuf, PathBuf) {
    let file = content_file(cache_dir, &pattern(1, LARGE)).expect("the large object");
    let lower = file.parent().unwrap().to_owned();
    (lower.parent().unwrap().to_owned(), lower)
}

#[tokio::test]
async fn a_link_in_place_of_an_upper_shelf_is_not_followed() {
    let (origin, place) = (origin().await, Place::new());
    let node = planted(&origin, &place, |cache_dir, target| {
        let (upper, _) = shelf(cache_dir);
        fs::remove_dir_all(&upper).unwrap();
        symlink(target, upper).unwrap();
    })
    .await;
    ended(node).await;
    place.assert_target_untouched();
}

#[tokio::test]
async fn a_link_in_place_of_a_lower_shelf_is_not_followed() {
    let (origin, place) = (origin().await, Place::new());
    let node = planted(&origin, &place, |cache_dir, target| {
        let (_, lower) = shelf(cache_dir);
        fs::remove_dir_all(&lower).unwrap();
        symlink(target, lower).unwrap();
    })
    .await;
    ended(node).await;
    place.assert_target_untouched();
}

#[tokio::test]
async fn a_link_in_place_of_a_content_is_not_followed() {
    let (origin, place) = (origin().await, Place::new());
    let node = planted(&origin, &place, |cache_dir, target| {
        let file = content_file(cache_dir, &pattern(1, LARGE)).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(target.join("precious"), file).unwrap();
    })
    .await;
    serves_and_stores(&node, &place.cache_dir()).await;
    ended(node).await;
    place.assert_target_untouched();
}

#[tokio::test]
async fn a_link_in_the_index_is_not_followed() {
    let (origin, place) = (origin().await, Place::new());
    let node = planted(&origin, &place, |cache_dir, target| {
        for number in 1..4 {
            let segment = cache_dir.join(format!("index/{number:08x}"));
            let _ = fs::remove_file(&segment);
            symlink(target.join("precious"), segment).unwrap();
        }
        symlink(target.join("new"), cache_dir.join("index/00000004")).unwrap();
    })
    .await;
    ended(node).await;
    place.assert_target_untouched();
}

/// A link to a directory outside, in place of one of our own: it is refused, and nothing happens there.
#[tokio::test]
async fn a_link_in_place_of_an_inner_directory_is_refused() {
    for inner in
        ["content/tmp", "content/content-v2/sha256", "content/content-v2", "content", "index", "spill"]
    {
        let (origin, place) = (origin().await, Place::new());
        filled(&origin, &place.cache_dir()).await;
        let path = place.cache_dir().join(inner);
        fs::remove_dir_all(&path).unwrap();
        symlink(place.target(), path).unwrap();
        let complaint = refusal(&place.cache_dir()).await;
        assert!(
            complaint.contains("is a link: inside a cache directory no links are followed"),
            "{complaint}"
        );
        place.assert_target_untouched();
    }
}

// ---- what does not put the whole tier out of use ----

/// Puts something that does not belong there into a filled directory: the tier does without it and goes on.
async fn goes_on_despite(plant: impl FnOnce(&Path, &Path)) {
    let (origin, place) = (origin().await, Place::new());
    let node = planted(&origin, &place, plant).await;
    node.wait_for_line("disk tier: serving").await;
    serves_and_stores(&node, &place.cache_dir()).await;
    ended(node).await;
    place.assert_target_untouched();
}

#[tokio::test]
async fn a_directory_in_place_of_a_content_costs_that_content() {
    goes_on_despite(|cache_dir, _| {
        let file = content_file(cache_dir, &pattern(1, LARGE)).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_in_place_of_a_shelf_costs_that_shelf() {
    goes_on_despite(|cache_dir, _| {
        let (_, lower) = shelf(cache_dir);
        fs::remove_dir_all(&lower).unwrap();
        fs::write(lower, "a file").unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_link_in_place_of_a_shelf_costs_that_shelf() {
    goes_on_despite(|cache_dir, target| {
        let (upper, _) = shelf(cache_dir);
        fs::remove_dir_all(&upper).unwrap();
        symlink(target, upper).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_foreign_directory_on_a_shelf_costs_nothing() {
    goes_on_despite(|cache_dir, _| {
        let (_, lower) = shelf(cache_dir);
        fs::create_dir_all(lower.join("not-a-hash/with/more")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_directory_in_content_tmp_costs_nothing() {
    goes_on_despite(|cache_dir, _| fs::create_dir_all(cache_dir.join("content/tmp/one/two")).unwrap()).await;
}

#[tokio::test]
async fn a_link_in_place_of_a_segment_costs_that_segment() {
    goes_on_despite(|cache_dir, target| {
        let segment = cache_dir.join("index/00000001");
        fs::remove_file(&segment).unwrap();
        symlink(target.join("precious"), segment).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_directory_in_place_of_a_segment_costs_that_segment() {
    goes_on_despite(|cache_dir, _| {
        let segment = cache_dir.join("index/00000001");
        fs::remove_file(&segment).unwrap();
        fs::create_dir(segment).unwrap();
    })
    .await;
}
