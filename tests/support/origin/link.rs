//! One connection of the origin: reads requests and acts out the script.

use super::board::{Board, SeenRequest};
use super::{Act, Tally};
use crate::support::bytes::pattern_at;
use crate::support::wire::{Decoder, Piece, framing, take_head};
use bytes::{Buf, Bytes, BytesMut};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// What to do for a request, and for its number at this origin.
pub(super) type Script = Arc<dyn Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync>;

/// In such pieces a body is made.
const MADE: usize = 64 * 1024;

/// How much is read ahead while acting, in order to notice a peer that leaves.
const READ_AHEAD: usize = 64 * 1024;

/// A byte stream that can be ended rudely.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the coming drop a reset, where there is such a thing.
    fn prepare_reset(&self);
}

impl Wire for TcpStream {
    fn prepare_reset(&self) {
        self.set_zero_linger().expect("SO_LINGER");
    }
}

impl Wire for DuplexStream {
    fn prepare_reset(&self) {}
}

/// Why a connection ends.
enum End {
    /// The peer closed or reset it.
    Peer,
    /// The script said so.
    Close,
    /// The script said so, rudely.
    Reset,
    /// The peer sent something that is not HTTP/1.1.
    Fault(String),
}

pub(super) struct Link<W> {
    io: W,
    buf: BytesMut,
    script: Script,
    board: Arc<Board>,
    connection: usize,
    /// The request at hand.
    nth: usize,
    /// What is left of its body.
    body: Decoder,
}

impl<W: Wire> Link<W> {
    pub(super) fn new(io: W, script: Script, board: Arc<Board>) -> Self {
        let connection = board.note(|tally: &mut Tally| {
            tally.opened += 1;
            tally.opened - 1
        });
        Self { io, buf: BytesMut::new(), script, board, connection, nth: 0, body: Decoder::none() }
    }

    /// Serves the connection to its end, or until the origin stops.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let board = self.board.clone();
        let (mut left, mut fault) = (false, None);
        tokio::select! {
            end = self.serve() => match end {
                End::Peer => left = true,
                End::Close => {}
                End::Reset => self.io.prepare_reset(),
                End::Fault(what) => fault = Some(what),
            },
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // The connection first, so that whoever sees it counted as ended can rely on it.
        drop(self);
        board.note(|tally| {
            tally.ended += 1;
            tally.closed_by_peer += usize::from(left);
            tally.faults.extend(fault);
        });
    }

    async fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.exchange().await {
                if matches!(end, End::Close) {
                    self.linger().await;
                }
                return end;
            }
        }
    }

    /// Reads one request and acts out its script.
    async fn exchange(&mut self) -> Result<(), End> {
        let mut request = self.read_request().await?;
        self.board.arrived(&mut request);
        self.nth = request.nth;
        if self.body.is_done() {
            self.board.exchange(self.nth, |e| e.body_whole = true);
        }
        for act in (self.script)(&request, request.nth) {
            self.act(act).await?;
        }
        self.finished();
        self.read_body().await
    }

    fn finished(&self) {
        self.board.exchange(self.nth, |e| e.finished = Some(Instant::now()));
    }

    async fn act(&mut self, act: Act) -> Result<(), End> {
        match act {
            Act::Send(bytes) => self.write(bytes).await,
            Act::Wait(time) => self.sleep(time).await,
            Act::WaitFor(gate) => self.unless_gone(gate.wait()).await,
            Act::Open(gate) => {
                gate.open();
                Ok(())
            }
            Act::Pattern { seed, first, length, sent } => {
                let end = first + length;
                for at in (first..end).step_by(MADE) {
                    let piece = (end - at).min(MADE as u64);
                    self.write(pattern_at(seed, at, usize::try_from(piece).unwrap())).await?;
                    sent.fetch_add(piece, Ordering::Relaxed);
                }
                Ok(())
            }
            Act::Count(counter) => {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Act::Stall => self.unless_gone(pending()).await,
            Act::ReadBody => self.read_body().await,
            Act::Paced { chunk, every, mut body } => loop {
                self.write(body.split_to(body.len().min(chunk.max(1)))).await?;
                if body.is_empty() {
                    return Ok(());
                }
                self.sleep(every).await?;
            },
            Act::Endless { piece, every } => loop {
                self.write(piece.clone()).await?;
                self.sleep(every).await?;
            },
            Act::Close => {
                self.finished();
                Err(End::Close)
            }
            Act::Reset => {
                self.finished();
                Err(End::Reset)
            }
        }
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), End> {
        while !bytes.is_empty() {
            let n = self.io.write(&bytes).await.map_err(|_| End::Peer)?;
            bytes.advance(n);
            self.board.note(|tally| {
                tally.written += n as u64;
                tally.exchanges[self.nth].written += n as u64;
            });
        }
        self.io.flush().await.map_err(|_| End::Peer)
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), End> {
        self.unless_gone(tokio::time::sleep(time)).await
    }

    /// Waits for `what`, unless the peer leaves first.
    async fn unless_gone(&mut self, what: impl Future<Output = ()>) -> Result<(), End> {
        tokio::pin!(what);
        while self.buf.len() < READ_AHEAD {
            tokio::select! {
                biased;
                () = &mut what => return Ok(()),
                got = self.io.read_buf(&mut self.buf) => match got {
                    Ok(0) | Err(_) => return Err(End::Peer),
                    Ok(_) => {}
                },
            }
        }
        what.await;
        Ok(())
    }

    async fn read_request(&mut self) -> Result<SeenRequest, End> {
        let head = loop {
            if let Some(head) = take_head(&mut self.buf).map_err(End::Fault)? {
                break head;
            }
            match self.io.read_buf(&mut self.buf).await {
                Ok(0) if !self.buf.is_empty() => {
                    return Err(End::Fault(format!("a connection that ended inside a head: {:?}", self.buf)));
                }
                Ok(0) | Err(_) => return Err(End::Peer),
                Ok(_) => {}
            }
        };
        self.body = framing(&head.fields).map_err(End::Fault)?.unwrap_or_else(Decoder::none);
        SeenRequest::new(head, self.connection).map_err(End::Fault)
    }

    async fn read_body(&mut self) -> Result<(), End> {
        loop {
            match self.body.next(&mut self.buf, usize::MAX).map_err(End::Fault)? {
                Piece::Data(bytes) => self.board.exchange(self.nth, |e| e.body.extend_from_slice(&bytes)),
                Piece::End => {
                    self.board.exchange(self.nth, |e| e.body_whole = true);
                    return Ok(());
                }
                Piece::More => match self.io.read_buf(&mut self.buf).await {
                    Ok(0) | Err(_) => return Err(End::Peer),
                    Ok(_) => {}
                },
            }
        }
    }

    /// Closes our direction, then swallows what comes: closing with unread bytes would make TCP send a reset.
    async fn linger(&mut self) {
        if self.io.shutdown().await.is_err() {
            return;
        }
        loop {
            self.buf.clear();
            if !matches!(self.io.read_buf(&mut self.buf).await, Ok(1..)) {
                return;
            }
        }
    }
}
