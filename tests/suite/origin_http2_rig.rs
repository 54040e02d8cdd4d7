//! An origin of HTTP/2, which answers by a function, over in-memory pipes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use forebay::origin::{HttpVersion, Pool, Settings};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, watch};

use crate::pool_rig::{made, pool_settings};

/// What a request is answered by; the number says which request of all it is.
type Serve = dyn Fn(Asked, usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A request, and the way to answer it.
pub struct Asked {
    pub request: Request<RecvStream>,
    pub respond: SendResponse<Bytes>,
    /// The connection that it came on.
    pub connection: usize,
}

impl Asked {
    /// Answers with a status, fields and content, which is the end if it is empty.
    /// Whoever asked may have left.
    pub fn answer(&mut self, status: u16, fields: &[(&str, &str)], content: &str) {
        if let Ok(mut stream) = self.try_begin(status, fields, content.is_empty())
            && !content.is_empty()
        {
            let _ = stream.send_data(Bytes::copy_from_slice(content.as_bytes()), true);
        }
    }

    /// Sends the head of an answer.
    pub fn begin(&mut self, status: u16, fields: &[(&str, &str)], ends: bool) -> SendStream<Bytes> {
        self.try_begin(status, fields, ends).expect("a head")
    }

    fn try_begin(
        &mut self,
        status: u16,
        fields: &[(&str, &str)],
        ends: bool,
    ) -> Result<SendStream<Bytes>, h2::Error> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        self.respond.send_response(response.body(()).expect("a response"), ends)
    }

    /// The content of the request, to its end.
    pub async fn content(&mut self) -> Result<Vec<u8>, h2::Error> {
        let body = self.request.body_mut();
        let mut content = Vec::new();
        while let Some(bytes) = body.data().await {
            let bytes = bytes?;
            body.flow_control().release_capacity(bytes.len()).expect("room");
            content.extend_from_slice(&bytes);
        }
        Ok(content)
    }
}

/// An origin.
pub struct Http2Origin {
    serve: Box<Serve>,
    builder: server::Builder,
    /// Connections are made when there is a permit.
    pub gate: Semaphore,
    opened: AtomicUsize,
    hits: AtomicUsize,
    under_way: Arc<AtomicUsize>,
    /// What its connections are told to do.
    told: watch::Sender<Told>,
    /// Why each connection has ended.
    pub ended: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Http2Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http2Origin")
    }
}

impl Http2Origin {
    pub fn new<F>(serve: impl Fn(Asked, usize) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::built(|_| {}, serve)
    }

    pub fn built<F>(
        change: impl FnOnce(&mut server::Builder),
        serve: impl Fn(Asked, usize) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut builder = server::Builder::new();
        change(&mut builder);
        Arc::new(Self {
            serve: Box::new(move |asked, number| Box::pin(serve(asked, number))),
            builder,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            opened: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
            under_way: Arc::default(),
            told: watch::Sender::new(Told::Serve),
            ended: Mutex::default(),
        })
    }

    /// Connections that were made.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Requests that came.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Requests that are being answered.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Closes all connections that there are.
    pub fn hang_up(&self) {
        self.told.send_replace(Told::HangUp);
        self.told.send_replace(Told::Serve);
    }

    /// Says farewell on all connections that there are, and serves what has begun on them.
    pub fn say_farewell(&self) {
        self.told.send_replace(Told::SayFarewell);
    }

    async fn serve(self: Arc<Self>, far: DuplexStream, connection: usize) {
        let ended = self.speak(far, connection).await;
        self.ended.lock().push(ended);
    }

    async fn speak(self: &Arc<Self>, io: impl Io, connection: usize) -> String {
        let mut speaking = match self.builder.handshake::<_, Bytes>(io).await {
            Ok(speaking) => speaking,
            Err(error) => return error.to_string(),
        };
        let mut told = self.told.subscribe();
        loop {
            let asked = tokio::select! {
                Ok(()) = told.changed() => {
                    if *told.borrow_and_update() == Told::SayFarewell {
                        speaking.graceful_shutdown();
                        continue;
                    }
                    return "hung up".to_owned();
                }
                asked = speaking.accept() => asked,
            };
            let Some(asked) = asked else { return "in good order".to_owned() };
            match asked {
                Ok((request, respond)) => {
                    let number = self.hits.fetch_add(1, Ordering::SeqCst);
                    let answering = (self.serve)(Asked { request, respond, connection }, number);
                    let under_way = UnderWay::new(&self.under_way);
                    tokio::spawn(async move {
                        answering.await;
                        drop(under_way);
                    });
                }
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// What connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Serve,
    SayFarewell,
    HangUp,
}

/// A request that is being answered.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How the pool reaches it.
#[derive(Debug)]
pub struct Reach(pub Arc<Http2Origin>);

impl Connect for Reach {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        let origin = Arc::clone(&self.0);
        Box::pin(async move {
            origin.gate.acquire().await.map_err(|_| io::ErrorKind::ConnectionRefused)?.forget();
            let (near, far) = tokio::io::duplex(64 << 10);
            let connection = origin.opened.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(origin.serve(far, connection));
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

/// Settings of a pool of one endpoint that is spoken to in HTTP/2.
pub fn http2_settings(url: &str) -> Settings {
    let mut settings = pool_settings(&[url]);
    settings.http_version = HttpVersion::Http2;
    settings
}

/// A pool of this origin alone.
pub fn pool_of(origin: &Arc<Http2Origin>) -> Arc<Pool> {
    pool_with(http2_settings("http://a.test"), origin)
}

pub fn pool_with(settings: Settings, origin: &Arc<Http2Origin>) -> Arc<Pool> {
    Arc::new(made(settings, Arc::new(Reach(Arc::clone(origin)))).expect("a pool"))
}
