//! One coded stream for all who wait for an answer and take the same coding: it is coded once, however many they are.

use std::future::poll_fn;

use parking_lot::Mutex;

use super::Fetcher;
use super::flight::Announced;
use crate::body::Body;
use crate::body::busy::{BusyBody, Retention, Writer};
use crate::body::coded::Coded;
use crate::body::coded::encoder::Effort;
use crate::semantics::coding::Coding;

/// The coded streams of one answer.
#[derive(Debug, Default)]
pub struct CodedStreams(Mutex<Vec<(Coding, BusyBody)>>);

impl Fetcher {
    /// The content of an answer, of which `plain` is what this client would read: in this coding, by the stream of the others if
    /// it has not been read too far, else by one of its own. As it is, if there is no memory for that. Cancel-safe: nothing
    /// waits, and the stream has a task of its own, which ends with its last reader.
    pub fn code(
        &self,
        announced: &Announced,
        plain: Body,
        (coding, effort): (Coding, Effort),
    ) -> Result<Body, Box<Body>> {
        let mut streams = announced.coded.0.lock();
        let known = streams.iter().find(|(of, _)| *of == coding).map(|(_, body)| body);
        if let Some(reader) = known.and_then(BusyBody::reader) {
            return Ok(Body::Busy(reader));
        }
        let begun = known.is_some();
        let coded = Coded::over(plain, effort, &self.shared.means.budget)?;
        if begun {
            return Ok(coded.into());
        }
        // All of it is kept until its end where those who come later may join.
        let retention = if announced.storing { Retention::Store } else { Retention::Spool };
        let (body, writer, reader) = BusyBody::with_reader(self.shared.means.clone(), retention);
        streams.push((coding, body));
        self.shared.tasks.spawn(run(coded, writer));
        Ok(Body::Busy(reader))
    }
}

/// Dropped at any await, the stream breaks off, which the writer says by being dropped.
async fn run(mut coded: Coded, mut writer: Writer) {
    loop {
        let next = tokio::select! {
            next = poll_fn(|cx| coded.poll_next(cx)) => next,
            // Nobody stores it, and an encoder is dear: who comes after the last one has his own.
            () = writer.unread() => return,
        };
        match next {
            Some(Ok(bytes)) => {
                if writer.append(bytes).await.is_err() {
                    return;
                }
            }
            Some(Err(error)) => return writer.fail(error),
            None => {
                writer.finish(None);
                return;
            }
        }
    }
}
