//! Lines that are JSON, and a log that outlives its sink's faults.

use std::net::IpAddr;

use http::{Method, StatusCode, Version};

use super::record::LONGEST_TEXT;
use super::*;
use crate::base::clock::Timestamp;

#[test]
fn a_line_is_json_whatever_the_client_sent() {
    let (log, writer) = AccessLog::start(io::sink()).expect("a thread");
    let record = Record { host: "a\"b\\c".into(), target: "/\u{1}\r\n?x=\u{7f}".into(), ..record(log) };
    let line = String::from_utf8(record.to_json()).expect("UTF-8");
    assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(json["host"], "a\"b\\c");
    assert_eq!(json["target"], "/\u{1}\r\n?x=\u{7f}");
    assert_eq!(json["time"], "2000-02-29T00:00:00.123Z");
    assert_eq!(json["version"], "HTTP/1.1");
    drop(record);
    writer.thread.join().expect("the thread ends with the log");
}

#[test]
fn a_very_long_target_is_cut() {
    let (log, _writer) = AccessLog::start(io::sink()).expect("a thread");
    let record = Record { target: "/é".repeat(20_000), ..record(log) };
    let json: serde_json::Value = serde_json::from_slice(&record.to_json()).expect("JSON");
    let target = json["target"].as_str().expect("a text");
    assert!(target.starts_with("/é/é") && target.ends_with('…'), "{target}");
    assert!(target.len() <= LONGEST_TEXT + '…'.len_utf8());
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
    let (log, writer) = AccessLog::start(sink).expect("a thread");
    let wait_for = |dropped| {
        while log.dropped() < dropped {
            std::thread::yield_now();
        }
    };
    log.write(b"none of it\n".to_vec());
    script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
    wait_for(1);
    log.write(b"half of it\n".to_vec());
    script.send(Ok(4)).expect("a listener");
    script.send(Err(io::ErrorKind::StorageFull.into())).expect("a listener");
    wait_for(2);
    log.write(b"all of it\n".to_vec());
    drop((script, log));
    writer.finish(Duration::from_secs(10));
    assert_eq!(String::from_utf8_lossy(&written.lock()), "half\nall of it\n");
}

#[test]
fn lines_that_nobody_takes_are_bounded_in_bytes_and_do_not_hold_up_the_end() {
    let (_script, sink, _written) = scripted();
    let (log, writer) = AccessLog::start(sink).expect("a thread");
    for _ in 0..2 * QUEUE_BYTES / BATCH {
        log.write(vec![b'x'; BATCH]);
    }
    assert!(log.queue.bytes.load(Ordering::Relaxed) <= QUEUE_BYTES);
    assert!(log.dropped() >= (QUEUE_BYTES / BATCH) as u64 - 2, "{}", log.dropped());
    drop(log);
    let begun = Instant::now();
    writer.finish(Duration::from_millis(50));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn record(log: AccessLog) -> Record {
    Record {
        log,
        time: Timestamp::from_millis(951_782_400_123),
        started: Instant::now(),
        peer: IpAddr::from([127, 0, 0, 1]),
        method: Method::GET,
        host: "test".into(),
        target: "/".into(),
        version: Version::HTTP_11,
        status: StatusCode::OK,
        cache: "hit",
        detail: None,
        head_ms: 1,
        promised: Some(5),
        sent: 5,
        complete: true,
        broken: None,
    }
}
