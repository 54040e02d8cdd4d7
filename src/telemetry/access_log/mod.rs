//! The access log: one line a request, written off the hot path.
//!
//! A line is made by the worker, handed through a bounded queue to one thread, and written with others. A full queue
//! drops lines and counts them: logging never slows an answer.

mod draft;
mod escape;
mod field;
mod layout;
mod queue;
mod settings;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::time::Instant;

pub use draft::{Draft, Ending, Head};
pub use field::{Field, UnknownField};
pub use layout::JSON;
pub use settings::{FieldsError, Format, Layout, Settings, Sink, check};
pub use writer::LogWriter;

use queue::Queue;
use writer::Reopen;

/// Where the lines of finished requests go, in the order of their ends. Cloning shares the log, which ends with its last clone
/// and the last log that [goes on](Self::laid_out) where it does.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    layout: layout::Layout,
    open: Arc<Open>,
}

/// A queue that has a writer, until it is dropped.
#[derive(Debug)]
struct Open(Arc<Queue>);

impl AccessLog {
    /// Opens the sink and starts the thread that writes to it until every clone of the log is dropped; nothing if the
    /// log is off. Blocking, for as long as it takes to open a file.
    pub fn start(settings: &Settings) -> io::Result<Option<(Self, LogWriter)>> {
        match &settings.sink {
            Sink::Off => Ok(None),
            // Not `Stdout`, which keeps what could not be written.
            Sink::Stdout => {
                let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                Self::start_on(settings, stdout, None).map(Some)
            }
            Sink::File(path) => {
                let file = append_to(path)?;
                let path = path.clone();
                Self::start_on(settings, file, Some(Box::new(move || append_to(&path)))).map(Some)
            }
        }
    }

    /// The same with any sink, and a way to open it anew.
    fn start_on<W: Write + Send + 'static>(
        settings: &Settings,
        sink: W,
        reopen: Option<Reopen<W>>,
    ) -> io::Result<(Self, LogWriter)> {
        let queue = Arc::new(Queue::new());
        let writer = LogWriter::start(Arc::clone(&queue), sink, reopen)?;
        let (layout, open) = (layout::Layout::new(settings), Arc::new(Open(queue)));
        Ok((Self(Arc::new(Shared { layout, open })), writer))
    }

    /// A log that writes to the same place, its lines as `settings` say.
    #[must_use]
    pub fn laid_out(&self, settings: &Settings) -> Self {
        let (layout, open) = (layout::Layout::new(settings), Arc::clone(&self.0.open));
        Self(Arc::new(Shared { layout, open }))
    }

    /// Begins the line of a request whose answer has its head.
    pub fn begin(&self, head: &Head<'_>) -> Draft {
        Draft::new(self, head)
    }

    /// A handle that does not keep the log from ending.
    pub fn control(&self) -> Control {
        let control = Control::default();
        control.turn_to(Some(self));
        control
    }

    fn layout(&self) -> &layout::Layout {
        &self.0.layout
    }

    /// `at`: when the line was done.
    fn write(&self, size: usize, at: Instant, line: impl FnOnce(&mut Vec<u8>)) {
        self.0.open.0.add(size, at, line);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is asked of an access log beside lines, whichever it is now. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Mutex<Controlled>>);

#[derive(Debug, Default)]
struct Controlled {
    queue: Option<Arc<Queue>>,
    /// Lost by those that were there before.
    dropped: u64,
}

impl Control {
    /// Lines lost because the queue was full or could not be written.
    pub fn dropped(&self) -> u64 {
        let Controlled { queue, dropped } = &*self.0.lock();
        dropped + queue.as_ref().map_or(0, |queue| queue.dropped())
    }

    /// Has the file opened anew by its name, so that a file that was moved away is let go of. No line is lost or
    /// written twice; one that is on its way may go to either. If it cannot be opened, the old one is kept.
    pub fn reopen(&self) {
        if let Some(queue) = &self.0.lock().queue {
            queue.ask_to_reopen();
        }
    }

    /// From now on it is about this log, or about none.
    pub fn turn_to(&self, log: Option<&AccessLog>) {
        let mut controlled = self.0.lock();
        let new = log.map(|log| Arc::clone(&log.0.open.0));
        let same = |old: &Arc<Queue>| new.as_ref().is_some_and(|new| Arc::ptr_eq(old, new));
        if let Some(old) = controlled.queue.take_if(|old| !same(old)) {
            controlled.dropped += old.dropped();
        }
        controlled.queue = new;
    }
}

/// Opens a file to append to. A pipe that nobody reads is an error: to wait for its reader could take for ever.
fn append_to(path: &Path) -> io::Result<File> {
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = OpenOptions::new().create(true).append(true).custom_flags(at_once).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => io::Error::new(error.kind(), "it is a pipe that nobody reads"),
        _ => error,
    })?;
    // Its writing may wait: that is done by a thread of its own.
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}
