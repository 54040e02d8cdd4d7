//! One thread, one epoll set, and a clock that decides when requests are due.

use super::answer::{Answer, Progress};
use super::numbers::Numbers;
use super::report::Report;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long answers may be late before a run gives them up.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to ask for, and how fast.
pub struct Plan {
    /// On 127.0.0.1.
    pub port: u16,
    /// With `{}` where a number goes.
    pub path: String,
    /// Requests a second; 0: as fast as the connections allow.
    pub rate: f64,
    /// How long requests become due.
    pub seconds: f64,
    /// At most so many.
    pub requests: Option<u64>,
    /// Which numbers.
    pub numbers: Numbers,
    /// Connections, kept alive.
    pub connections: usize,
    /// How long each body must be.
    pub expect: Option<u64>,
}

impl Plan {
    /// How many requests there will be.
    fn total(&self) -> u64 {
        let in_time = if self.rate > 0.0 { (self.rate * self.seconds) as u64 } else { u64::MAX };
        in_time.min(self.requests.unwrap_or(u64::MAX))
    }
}

/// Runs a plan to its end, which comes at the latest three seconds after the last request was due.
///
/// # Errors
/// When the server cannot be connected to, or the kernel refuses an epoll set.
pub fn run(plan: &Plan) -> io::Result<Report> {
    let mut run = Run::new(plan)?;
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    while let Some(pause) = run.send_what_is_due()? {
        events.clear();
        let pause = Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: i64::from(pause.subsec_nanos()) };
        match epoll::wait(&run.epoll, spare_capacity(&mut events), Some(&pause)) {
            Err(rustix::io::Errno::INTR) => {}
            other => drop(other?),
        }
        for event in &events {
            run.read(event.data.u64() as usize)?;
        }
    }
    Ok(run.end())
}

struct Run<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    began: Instant,
    total: u64,
    sent: u64,
    /// Since no connection was free, until all that was due is sent: lateness is then the server's, not ours.
    starved: bool,
    report: Report,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    answer: Answer,
    due: Option<Instant>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> io::Result<Self> {
        let mut run = Self {
            plan,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            idle: (0..plan.connections).collect(),
            began: Instant::now(),
            total: plan.total(),
            sent: 0,
            starved: false,
            report: Report::default(),
            buffer: vec![0; 256 * 1024],
        };
        for key in 0..plan.connections {
            let connection = run.connect(key)?;
            run.connections.push(connection);
        }
        run.began = Instant::now();
        Ok(run)
    }

    fn connect(&self, key: usize) -> io::Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.plan.port))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(key as u64), EventFlags::IN)?;
        Ok(Connection { stream, answer: Answer::default(), due: None })
    }

    /// When a request is due; without a rate that is always now.
    fn due(&self, index: u64, now: Instant) -> Instant {
        if self.plan.rate > 0.0 {
            self.began + Duration::from_secs_f64(index as f64 / self.plan.rate)
        } else {
            now
        }
    }

    /// Sends all that is due for which there is a connection, and tells how long to wait at most. None at the end.
    fn send_what_is_due(&mut self) -> io::Result<Option<Duration>> {
        let last = self.began + Duration::from_secs_f64(self.plan.seconds);
        loop {
            let now = Instant::now();
            if self.plan.rate == 0.0 && now > last {
                self.total = self.total.min(self.sent);
            }
            let all_sent = self.sent >= self.total;
            if now > last + PATIENCE || all_sent && self.idle.len() == self.connections.len() {
                return Ok(None);
            }
            let due = self.due(self.sent, now);
            match self.idle.pop() {
                Some(key) if !all_sent && due <= now => self.send(key, due)?,
                Some(key) => {
                    self.idle.push(key);
                    self.starved = false;
                    let until = if all_sent { last + PATIENCE } else { due };
                    return Ok(Some(until.saturating_duration_since(now)));
                }
                None => {
                    self.starved = true;
                    return Ok(Some((last + PATIENCE).saturating_duration_since(now)));
                }
            }
        }
    }

    fn send(&mut self, key: usize, due: Instant) -> io::Result<()> {
        let number = self.plan.numbers.at(self.sent);
        let path = self.plan.path.replace("{}", &number.to_string());
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.plan.port);
        self.sent += 1;
        let connection = &mut self.connections[key];
        connection.due = Some(due);
        if !self.starved {
            self.report.lags.push(due.elapsed());
        }
        if connection.stream.write(request.as_bytes()).ok() != Some(request.len()) {
            self.replace(key, "connections failed")?;
        }
        Ok(())
    }

    fn read(&mut self, key: usize) -> io::Result<()> {
        let connection = &mut self.connections[key];
        let piece = match connection.stream.read(&mut self.buffer) {
            Ok(0) => return self.replace(key, "connections closed"),
            Ok(read) => &self.buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.replace(key, "connections failed"),
        };
        let Some(due) = connection.due else { return self.replace(key, "answers that nobody asked for") };
        match connection.answer.take(piece) {
            Progress::More => {}
            Progress::Unreadable => return self.replace(key, "answers without a length, or too long"),
            Progress::Whole { ok, length } => {
                connection.due = None;
                self.idle.push(key);
                self.report.latencies.push(due.elapsed());
                self.report.answered += 1;
                if !ok {
                    self.report.trouble("answers other than 200");
                } else if self.plan.expect.is_some_and(|expect| expect != length) {
                    self.report.trouble("bodies of a wrong length");
                }
            }
        }
        Ok(())
    }

    /// Puts a new connection in the place of one that failed; what it was asked counts as answered too late.
    fn replace(&mut self, key: usize, why: &'static str) -> io::Result<()> {
        let due = self.connections[key].due;
        if let Some(due) = due {
            self.report.trouble(why);
            self.report.latencies.push(due.elapsed() + PATIENCE);
            self.idle.push(key);
        }
        self.connections[key] = self.connect(key)?;
        Ok(())
    }

    fn end(mut self) -> Report {
        let now = Instant::now();
        self.report.took = now - self.began;
        let waiting = self.connections.iter().filter_map(|connection| connection.due);
        let unsent = if self.plan.rate > 0.0 { self.sent..self.total } else { 0..0 };
        let late: Vec<Instant> = waiting.chain(unsent.map(|index| self.due(index, now))).collect();
        for due in late {
            self.report.trouble("requests not answered in time");
            self.report.latencies.push(due.elapsed());
        }
        self.report
    }
}
