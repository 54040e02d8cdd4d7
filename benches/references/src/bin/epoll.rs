//! The floor: threads with an epoll loop each that look for the blank line and write an answer made beforehand. Of the
//! request only the digits after `GET /` are looked at, for the size.
//!
//!     epoll --port 8080 --workers 2

use references::{answers, arguments::Arguments, threads};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

const LISTENER: u64 = u64::MAX;

fn main() -> io::Result<()> {
    let arguments = Arguments::read(&["port", "workers"]);
    let port = arguments.need("port");
    threads::run(arguments.need("workers"), move || Loop::new(threads::listen(port)?)?.run())
}

struct Loop {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: HashMap<u64, Connection>,
    answers: HashMap<usize, Rc<[u8]>>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
    writing: Option<(Rc<[u8]>, usize)>,
    waits_to_write: bool,
}

impl Loop {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let (connections, answers, buffer) = (HashMap::new(), HashMap::new(), vec![0; 16 * 1024]);
        Ok(Self { epoll, listener, connections, answers, buffer })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    key => self.turn(key),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let key = u64::try_from(stream.as_raw_fd()).map_err(io::Error::other)?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
            let connection = Connection { stream, head: Vec::new(), writing: None, waits_to_write: false };
            self.connections.insert(key, connection);
        }
        Ok(())
    }

    fn turn(&mut self, key: u64) {
        let Some(mut connection) = self.connections.remove(&key) else { return };
        // Dropped when it ends or fails, which takes it out of the epoll set.
        if let Ok(true) = self.go_on(key, &mut connection) {
            self.connections.insert(key, connection);
        }
    }

    /// Writes what is to be written, or else reads and answers. False at the connection's end.
    fn go_on(&mut self, key: u64, connection: &mut Connection) -> io::Result<bool> {
        if connection.writing.is_none() {
            let read = connection.stream.read(&mut self.buffer)?;
            if read == 0 {
                return Ok(false);
            }
            connection.head.extend_from_slice(&self.buffer[..read]);
            if !connection.head.ends_with(b"\r\n\r\n") {
                return Ok(true);
            }
            connection.writing = Some((self.answer(size_asked(&connection.head)), 0));
            connection.head.clear();
        }
        let waits = !connection.write()?;
        if waits != connection.waits_to_write {
            let flags = if waits { EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(key), flags)?;
            connection.waits_to_write = waits;
        }
        Ok(true)
    }

    /// The whole answer of a size, made at its first use.
    fn answer(&mut self, size: usize) -> Rc<[u8]> {
        let make = || {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
            let end = answer.len() + size;
            while answer.len() < end {
                answer.extend_from_slice(answers::start_of_filling(end - answer.len()));
            }
            answer.into()
        };
        Rc::clone(self.answers.entry(size).or_insert_with(make))
    }
}

impl Connection {
    /// Writes as much as goes; true when nothing is left.
    fn write(&mut self) -> io::Result<bool> {
        while let Some((answer, at)) = &mut self.writing {
            match self.stream.write(&answer[*at..]) {
                Ok(written) => *at += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if *at == answer.len() {
                self.writing = None;
            }
        }
        Ok(true)
    }
}

fn size_asked(head: &[u8]) -> usize {
    let digits = head.iter().skip("GET /".len()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |size: usize, byte| size.saturating_mul(10).saturating_add(usize::from(byte - b'0')))
}
