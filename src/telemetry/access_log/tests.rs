//! Lines that stay lines, and a log that outlives its sink's faults.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use tokio::time::Instant;

use super::escape::LONGEST_TEXT;
use super::queue::PART_BYTES;
use super::*;
use crate::base::clock::Timestamp;

/// A request by the wickedest of clients that hyper lets through, and some that it does not.
struct Asked {
    host: &'static str,
    target: String,
    user_agent: &'static [u8],
}

impl Default for Asked {
    fn default() -> Self {
        Self { host: "test", target: "/".into(), user_agent: b"curl/8" }
    }
}

const ENDING: Ending = Ending { sent: 5, complete: true, broken: None };

/// The line of a request.
fn line(settings: &Settings, asked: &Asked, ending: &Ending) -> String {
    let (log, writer) = AccessLog::start_on(settings, io::sink(), None).expect("a thread");
    let mut fields = HeaderMap::new();
    fields.insert("user-agent", HeaderValue::from_bytes(asked.user_agent).expect("a value"));
    let draft = log.begin(&Head {
        time: Timestamp::from_millis(951_782_400_123),
        started: Instant::now(),
        peer: Some(IpAddr::from([127, 0, 0, 1])),
        site: Some("shop"),
        method: &Method::GET,
        scheme: "http",
        host: Some(asked.host),
        target: &asked.target,
        version: Version::HTTP_11,
        fields: &fields,
        status: StatusCode::OK,
        cache: "hit",
        detail: None,
        head_ms: 1,
    });
    let line = String::from_utf8(draft.whole(ending)).expect("UTF-8");
    drop((draft, log));
    writer.thread.join().expect("the thread ends with the log");
    assert_eq!(line.matches(['\n', '\r']).count(), 1, "one line: {line:?}");
    assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line:?}");
    line
}

fn fields(fields: &[Field]) -> Settings {
    Settings { format: Format::Fields, fields: fields.to_vec(), ..Settings::default() }
}

fn json(asked: &Asked, ending: &Ending) -> serde_json::Value {
    serde_json::from_str(&line(&Settings::default(), asked, ending)).expect("JSON")
}

#[test]
fn a_line_is_json_whatever_the_client_sent() {
    let target = "/\u{1}\r\n?x=\u{7f}\u{85}\u{9b}31m";
    let json = json(&Asked { host: "a\"b\\c", target: target.into(), ..Asked::default() }, &ENDING);
    assert_eq!(json["host"], "a\"b\\c");
    assert_eq!(json["target"], target);
    assert_eq!(json["time"], "2000-02-29T00:00:00.123Z");
    assert_eq!(json["version"], "HTTP/1.1");
    assert_eq!(json["site"], "shop");
    assert_eq!((json["bytes"].as_u64(), json["complete"].as_bool()), (Some(5), Some(true)));
    assert!(json.get("detail").is_none() && json.get("broken").is_none());
}

#[test]
fn json_says_why_a_body_broke_off() {
    let json = json(&Asked::default(), &Ending { sent: 3, complete: false, broken: Some("stalled") });
    assert_eq!((json["complete"].as_bool(), json["broken"].as_str()), (Some(false), Some("stalled")));
    let names: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| JSON.iter().any(|field| field.name() == *name)), "{names:?}");
}

#[test]
fn a_very_long_target_is_cut() {
    let json = json(&Asked { target: "/é".repeat(20_000), ..Asked::default() }, &ENDING);
    let target = json["target"].as_str().expect("a text");
    assert!(target.starts_with("/é/é") && target.ends_with('…'), "{target}");
    assert!(target.len() <= LONGEST_TEXT + '…'.len_utf8());
}

#[test]
fn combined_is_what_other_servers_write() {
    let settings = Settings { format: Format::Combined, ..Settings::default() };
    let asked = Asked { target: "/a?b".into(), user_agent: b"M\"oz\\ \xff (x)", ..Asked::default() };
    assert_eq!(
        line(&settings, &asked, &ENDING),
        "127.0.0.1 - - [29/Feb/2000:00:00:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"M\\x22oz\\x5c \\xff (x)\"\n"
    );
}

#[test]
fn chosen_fields_stand_in_their_order_between_spaces() {
    let settings =
        fields(&[Field::Bytes, Field::Target, Field::Detail, Field::Complete, Field::Status, Field::Time]);
    let asked = Asked { target: "/a b\"\n\\".into(), ..Asked::default() };
    assert_eq!(
        line(&settings, &asked, &ENDING),
        "5 /a\\x20b\\x22\\x0a\\x5c - true 200 2000-02-29T00:00:00.123Z\n"
    );
}

#[test]
fn what_is_sent_is_told_from_what_is_absent() {
    let settings = fields(&[Field::UserAgent, Field::Referer]);
    let said = |user_agent| line(&settings, &Asked { user_agent, ..Asked::default() }, &ENDING);
    assert_eq!(said(b"-"), "\\x2d -\n");
    assert_eq!(said(b""), "\"\" -\n");
}

#[test]
fn every_field_has_a_place_in_a_line() {
    let line = line(&fields(&Field::ALL), &Asked::default(), &ENDING);
    assert_eq!(line.split(' ').count(), Field::ALL.len(), "{line}");
}

type Written = Arc<parking_lot::Mutex<Vec<u8>>>;

/// A sink that is told by the test what to do with each write.
struct Scripted {
    does: Receiver<io::Result<usize>>,
    written: Written,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.does.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        self.written.lock().extend_from_slice(&bytes[..most]);
        Ok(most)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn scripted() -> (SyncSender<io::Result<usize>>, Scripted, Written) {
    let (script, does) = sync_channel(8);
    let written = Written::default();
    (script, Scripted { does, written: Arc::clone(&written) }, written)
}

#[test]
fn an_error_loses_the_lines_that_it_hits_and_no_others() {
    let (script, sink, written) = scripted();
    let (log, writer) = AccessLog::start_on(&Settings::default(), sink, None).expect("a thread");
    let wait_for = |dropped| {
        while log.control().dropped() < dropped {
            std::thread::yield_now();
        }
    };
    log.write(16, Instant::now(), |line| line.extend_from_slice(b"none of it\n"));
    script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
    wait_for(1);
    log.write(16, Instant::now(), |line| line.extend_from_slice(b"half of it\n"));
    script.send(Ok(4)).expect("a listener");
    script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
    wait_for(2);
    log.write(16, Instant::now(), |line| line.extend_from_slice(b"all of it\n"));
    drop((script, log));
    writer.finish(Duration::from_secs(10));
    assert_eq!(String::from_utf8_lossy(&written.lock()), "half\nall of it\n");
}

#[test]
fn lines_that_nobody_takes_are_bounded_in_bytes_and_do_not_hold_up_the_end() {
    let (_script, sink, _written) = scripted();
    let (log, writer) = AccessLog::start_on(&Settings::default(), sink, None).expect("a thread");
    let line = [b'x'; 1 << 10];
    // One part waits, another may be in the writer's hands.
    for _ in 0..3 * PART_BYTES / line.len() {
        log.write(line.len(), Instant::now(), |part| part.extend_from_slice(&line));
    }
    assert!(log.0.open.0.bytes() <= PART_BYTES);
    assert!(log.control().dropped() >= (PART_BYTES / line.len()) as u64, "{}", log.control().dropped());
    drop(log);
    let begun = Instant::now();
    writer.finish(Duration::from_millis(50));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_sink_that_cannot_be_opened_anew_is_kept() {
    let (script, first, old) = scripted();
    let (_, second, new) = scripted();
    let mut sinks = vec![Ok(second), Err(io::ErrorKind::PermissionDenied.into())];
    let (tell, told) = sync_channel(2);
    let reopen: Reopen<Scripted> = Box::new(move || {
        tell.send(()).expect("a listener");
        sinks.pop().expect("tried twice")
    });
    let (log, writer) = AccessLog::start_on(&Settings::default(), first, Some(reopen)).expect("a thread");
    drop(script);
    let say = |log: &AccessLog, text: &'static [u8]| {
        log.write(text.len(), Instant::now(), |line| line.extend_from_slice(text));
    };
    log.control().reopen();
    told.recv().expect("a try");
    say(&log, b"to the old one\n");
    while old.lock().is_empty() {
        std::thread::yield_now();
    }
    log.control().reopen();
    told.recv().expect("a try");
    say(&log, b"to the new one\n");
    drop(log);
    writer.finish(Duration::from_secs(10));
    let text = |written: &Written| String::from_utf8_lossy(&written.lock()).into_owned();
    assert_eq!((text(&old), text(&new)), ("to the old one\n".into(), "to the new one\n".into()));
}

#[test]
fn lines_of_several_threads_come_in_the_order_of_their_ends() {
    let (script, sink, written) = scripted();
    let (log, writer) = AccessLog::start_on(&Settings::default(), sink, None).expect("a thread");
    let say =
        |text: &str| log.write(text.len(), Instant::now(), |line| line.extend_from_slice(text.as_bytes()));
    for number in 0..100 {
        // Each by a thread of its own, one after the other.
        std::thread::scope(|scope| {
            scope.spawn(|| say(&format!("{number}\n")));
        });
    }
    drop((script, log));
    writer.finish(Duration::from_secs(10));
    let text = String::from_utf8(written.lock().clone()).expect("UTF-8");
    assert!(text.lines().map(str::parse).eq((0..100).map(Ok)), "{text}");
}

#[test]
fn lines_of_many_threads_all_arrive_whole() {
    let (script, sink, written) = scripted();
    drop(script);
    let (log, writer) = AccessLog::start_on(&Settings::default(), sink, None).expect("a thread");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..500 {
                    let text = format!("{thread} {number}\n");
                    log.write(text.len(), Instant::now(), |line| line.extend_from_slice(text.as_bytes()));
                    if number % 100 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    drop(log);
    writer.finish(Duration::from_secs(10));
    let text = String::from_utf8(written.lock().clone()).expect("UTF-8");
    for thread in 0..4 {
        let begin = format!("{thread} ");
        let own = text.lines().filter_map(|line| line.strip_prefix(&begin)?.parse::<usize>().ok());
        assert!(own.eq(0..500), "thread {thread} in order, each once");
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_refused_and_one_that_somebody_reads_is_written_to() {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, mknodat};

    let folder = tempfile::tempdir().expect("a directory");
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let error = append_to(&pipe).expect_err("nobody reads");
    assert_eq!(error.to_string(), "it is a pipe that nobody reads");
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
    let mut reader =
        std::fs::OpenOptions::new().read(true).custom_flags(at_once).open(&pipe).expect("opened");
    let mut log = append_to(&pipe).expect("somebody reads");
    assert!(!fcntl_getfl(&log).expect("flags").contains(OFlags::NONBLOCK), "a full pipe is waited for");
    log.write_all(b"line\n").expect("written");
    drop(log);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    assert_eq!(text, "line\n");
}
