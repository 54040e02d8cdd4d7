//! Damages copies of a small store and sees what a process makes of them.

use crate::data::{Rng, Shape};
use crate::{child, fill, store};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const OBJECTS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(20);
const PAGE: u64 = 4096;
/// In turn, so that a multiple of six rounds has as many of each. The flips are in files of any size alike,
/// and so always in small ones such as manifests, or evenly over all bytes.
const WAYS: [&str; 6] = [
    "flip 64 bytes in any files",
    "truncate",
    "delete",
    "append",
    "flip 64 bytes by size",
    "zero 64 pages by size",
];

pub fn run(kind: &str, rounds: u64, root: &Path) {
    let shape = Shape { bodies: 40 };
    let (whole, copy) = (root.join("whole"), root.join("copy"));
    fs::create_dir_all(&whole).unwrap();
    let store = store::open(kind, &whole).unwrap();
    fill(store.as_ref(), shape, 0..OBJECTS);
    store.close().unwrap();

    let mut rng = Rng::new(1);
    let mut counts = BTreeMap::new();
    let mut messages = BTreeMap::new();
    for round in 0..rounds {
        copy_all(&whole, &copy);
        let way = WAYS[round as usize % WAYS.len()];
        damage(way, &copy, &mut rng);
        let (class, message) = classify(kind, &copy);
        *counts.entry((way, class)).or_insert(0) += 1;
        if !message.is_empty() {
            *messages.entry(message).or_insert(0) += 1;
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    println!("damage to {kind}, {rounds} rounds:");
    for ((way, class), count) in &counts {
        println!("  {way}: {class}: {count}");
    }
    for (message, count) in &messages {
        println!("  {count} x {message}");
    }
    fs::remove_dir_all(root).unwrap();
}

fn damage(way: &str, dir: &Path, rng: &mut Rng) {
    let mut files = Vec::new();
    list(dir, &mut files);
    files.sort();
    let path = any(&files, rng);
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    match way {
        "truncate" => file.set_len(rng.below(length.max(1))).unwrap(),
        "delete" => fs::remove_file(path).unwrap(),
        "append" => {
            let garbage: Vec<u8> = (0..4096).map(|_| rng.below(256) as u8).collect();
            file.write_all_at(&garbage, length).unwrap();
        }
        _ => {
            for _ in 0..64 {
                let path = if way.ends_with("by size") { by_size(&files, rng) } else { any(&files, rng) };
                let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
                let length = file.metadata().unwrap().len();
                if length == 0 {
                    continue;
                }
                let at = rng.below(length);
                if way.starts_with("zero") {
                    let start = at / PAGE * PAGE;
                    file.write_all_at(&vec![0; PAGE.min(length - start) as usize], start).unwrap();
                } else {
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, at).unwrap();
                    file.write_all_at(&[byte[0] ^ (1 + rng.below(255) as u8)], at).unwrap();
                }
            }
        }
    }
}

fn any<'a>(files: &'a [PathBuf], rng: &mut Rng) -> &'a Path {
    &files[rng.below(files.len() as u64) as usize]
}

/// A file, the likelier the larger it is.
fn by_size<'a>(files: &'a [PathBuf], rng: &mut Rng) -> &'a Path {
    let lengths: Vec<u64> = files.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    let mut at = rng.below(lengths.iter().sum());
    for (path, length) in files.iter().zip(lengths) {
        if at < length {
            return path;
        }
        at -= length;
    }
    unreachable!("the place is within the sum of the lengths")
}

/// What a process that opens the copy and reads all of it comes to, and its last words if it failed.
fn classify(kind: &str, dir: &Path) -> (String, String) {
    let (out, err) = (dir.with_extension("out"), dir.with_extension("err"));
    let mut process = child(&["check", kind, dir.to_str().unwrap(), "40", "0", &OBJECTS.to_string()])
        .stdout(Stdio::from(File::create(&out).unwrap()))
        .stderr(Stdio::from(File::create(&err).unwrap()))
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => {
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (mut said, mut complained) = (String::new(), String::new());
    File::open(&out).unwrap().read_to_string(&mut said).unwrap();
    File::open(&err).unwrap().read_to_string(&mut complained).unwrap();
    // The line of the check itself: only there if reading got to its end.
    let read = said.lines().find_map(|line| line.strip_prefix("class ")).unwrap_or("");
    let after = if read.is_empty() { "" } else { ", in the commit after reading" };
    let class = match status {
        None => format!("HANG{after}"),
        Some(status) if status.code() == Some(0) => read.to_owned(),
        Some(status) if status.code() == Some(2) => format!("error{after}"),
        Some(status) if status.code() == Some(101) => format!("PANIC{after}"),
        Some(status) => format!("ABORT by signal {:?}{after}", status.signal()),
    };
    let class = if after.is_empty() || class == read { class } else { format!("{read}; {class}") };
    let message: String =
        complained.lines().filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>().join(" ");
    let message =
        message.split_once(") panicked").map_or(message.clone(), |(_, rest)| format!("panicked{rest}"));
    // Lengths and the like differ between rounds of one and the same message.
    let message = message.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
    let message = message.collect::<Vec<_>>().join("N");
    (class, message.chars().take(260).collect())
}

fn list(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, into) } else { into.push(path) }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
