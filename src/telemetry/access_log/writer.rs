//! The thread that writes lines, and the end of it.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Queue, Taken};

/// How long lines may gather between two writes.
const GATHER: Duration = Duration::from_millis(20);

/// How often the end of the writing thread is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Opens the file anew: after it was moved away, its name means another one.
pub(super) type Reopen<W> = Box<dyn FnMut() -> io::Result<W> + Send>;

/// The thread that writes.
#[derive(Debug)]
pub struct LogWriter {
    pub(super) thread: JoinHandle<()>,
    queue: Arc<Queue>,
}

impl LogWriter {
    pub(super) fn start<W: Write + Send + 'static>(
        queue: Arc<Queue>,
        sink: W,
        reopen: Option<Reopen<W>>,
    ) -> io::Result<Self> {
        let output = Output { sink, reopen, queue: Arc::clone(&queue), torn: false, warned: false };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || output.run())?;
        queue.adopt(thread.thread().clone());
        Ok(Self { thread, queue })
    }

    /// Whether it has written its last line.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until all lines are written, once every clone of the log is dropped, and tells what was lost. One
    /// who does not read what we write cannot keep us from ending: after `limit` the rest is lost too.
    pub fn finish(self, limit: Duration) {
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < limit {
            std::thread::sleep(POLL);
        }
        if !self.thread.is_finished() {
            let bytes = self.queue.bytes();
            tracing::warn!(bytes, "the end of the access log could not be written in time");
        }
        let lines = self.queue.dropped();
        if lines > 0 {
            tracing::warn!(lines, "the access log is not complete: lines were dropped");
        }
    }
}

/// The writing end. An error loses the lines that it hits and no others.
struct Output<W> {
    sink: W,
    reopen: Option<Reopen<W>>,
    queue: Arc<Queue>,
    /// Whether the last thing written is a part of a line.
    torn: bool,
    warned: bool,
}

impl<W: Write> Output<W> {
    fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        // Whoever came before the thread was known could not wake it.
        queue.adopt(std::thread::current());
        let mut taken = Taken::default();
        loop {
            if queue.takes_reopen() {
                self.open_anew();
            }
            // Looked at first: what came before is taken below.
            let closed = queue.is_closed();
            queue.take(&mut taken);
            let any = !taken.is_empty();
            taken.in_order(|lines| self.write(lines));
            taken.clear();
            match (any, closed) {
                (true, false) => std::thread::park_timeout(GATHER),
                (true, true) => {}
                (false, true) => return,
                (false, false) => queue.sleep(),
            }
        }
    }

    /// What is taken from now on goes to the new file; if there is none, to the old one still.
    fn open_anew(&mut self) {
        let Some(reopen) = &mut self.reopen else { return };
        match reopen() {
            Ok(sink) => {
                (self.sink, self.torn, self.warned) = (sink, false, false);
                tracing::info!("the access log was opened anew");
            }
            Err(error) => {
                tracing::warn!(%error, "the access log cannot be opened anew; writing on to the old file");
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        if let Err(error) = self.mend().and_then(|()| self.write_all(&mut rest)) {
            // Each line has one end: so many did not reach theirs.
            self.queue.lost(rest.split(|byte| *byte == b'\n').count().saturating_sub(1) as u64);
            if !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(%error, "the access log cannot be written; lines are lost until it can");
            }
        }
    }

    /// Ends a line that was cut by an error, so that it does not spoil the next one.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.sink.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes and flushes; whatever happens, `rest` is what was not written.
    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let written = match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (done, left) = rest.split_at_checked(written).unwrap_or((rest, &[]));
            self.torn = done.last() != Some(&b'\n');
            *rest = left;
        }
        self.sink.flush()
    }
}
