//! The connections, driven by one thread.
//!
//! A connection is opening until it has had its first answer, then idle until all others have too; that is when the
//! clock starts. From then on it is busy, one request after the other, until there is none left to send: then it is
//! done. One that fails is closed, counted, and not opened again; the others go on.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::arguments::{Amount, Load};
use crate::exchange::{Answer, Exchange};
use crate::link::{Link, Opener, Sent};
use crate::process;
use crate::report::{Report, Tally};

const BUFFER_BYTES: usize = 256 << 10;
const EVENTS_AT_ONCE: usize = 256;

pub fn run<E: Exchange>(plan: &Load, exchange: impl Fn(usize) -> E) -> Result<Report, String> {
    process::allow_many_sockets();
    if let Some(cpu) = plan.cpu {
        process::pin(cpu)?;
    }
    let opener = Opener::new(plan.tls.as_ref())?;
    let mut generator = Generator::open(plan, &opener, exchange)?;
    generator.answers_from_all()?;
    generator.measure(plan.amount)?;
    Ok(generator.tally.report(plan.connections, plan.cpu))
}

struct Connection<E> {
    link: Link,
    exchange: E,
    state: State,
    sent: usize,
    began: Instant,
    /// Whether the poller looks for room to write as well.
    watched_for_room: bool,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum State {
    Opening,
    Idle,
    Busy,
    Done,
}

struct Generator<E> {
    poller: OwnedFd,
    connections: Vec<Option<Connection<E>>>,
    /// Connections that wait for an answer.
    waiting: usize,
    timeout: Duration,
    /// Requests that may still be begun.
    left: u64,
    /// When no more may be begun.
    deadline: Option<Instant>,
    tally: Tally,
}

impl<E: Exchange> Generator<E> {
    fn open(plan: &Load, opener: &Opener, exchange: impl Fn(usize) -> E) -> Result<Self, String> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("epoll: {error}"))?;
        let mut generator = Self {
            poller,
            connections: Vec::with_capacity(plan.connections),
            waiting: 0,
            timeout: plan.timeout,
            left: 0,
            deadline: None,
            tally: Tally::new(),
        };
        for index in 0..plan.connections {
            let failed = |error: &dyn std::fmt::Display| format!("connection to {}: {error}", plan.address);
            let socket = TcpStream::connect_timeout(&plan.address, plan.timeout).map_err(|e| failed(&e))?;
            socket.set_nodelay(true).map_err(|error| failed(&error))?;
            socket.set_nonblocking(true).map_err(|error| failed(&error))?;
            let link = opener.over(socket).map_err(|error| failed(&error))?;
            epoll::add(
                &generator.poller,
                &link.socket,
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN,
            )
            .map_err(|error| failed(&error))?;
            generator.connections.push(Some(Connection {
                link,
                exchange: exchange(index),
                state: State::Opening,
                sent: 0,
                began: Instant::now(),
                watched_for_room: false,
            }));
        }
        Ok(generator)
    }

    /// Every connection has been opened at the other end too, and has had an answer that is not counted.
    fn answers_from_all(&mut self) -> Result<(), String> {
        for index in 0..self.connections.len() {
            self.begin(index, State::Opening);
        }
        self.until_nobody_waits()
    }

    fn measure(&mut self, amount: Amount) -> Result<(), String> {
        let used = process::time_used();
        let start = Instant::now();
        (self.left, self.deadline) = match amount {
            Amount::Requests(count) => (count, None),
            Amount::Time(time) => (u64::MAX, Some(start + time)),
        };
        for index in 0..self.connections.len() {
            self.begin_next(index, start);
        }
        self.until_nobody_waits()?;
        self.tally.took(start.elapsed(), process::time_used() - used);
        Ok(())
    }

    fn begin_next(&mut self, index: usize, now: Instant) {
        let none_left = self.left == 0 || self.deadline.is_some_and(|deadline| now >= deadline);
        let Some(connection) = &mut self.connections[index] else { return };
        if none_left {
            connection.state = State::Done;
            return;
        }
        connection.began = now;
        self.left -= 1;
        self.begin(index, State::Busy);
    }

    fn begin(&mut self, index: usize, state: State) {
        let Some(connection) = &mut self.connections[index] else { return };
        connection.state = state;
        connection.exchange.begin();
        connection.sent = 0;
        self.waiting += 1;
        self.push(index);
    }

    /// Sends what the socket takes of the request, and has the poller say when it takes more.
    fn push(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        let sent = connection.link.send(connection.exchange.request(), &mut connection.sent);
        let blocked = match sent {
            Ok(sent) => sent == Sent::Part,
            Err(error) => return self.fail(index, &error.to_string()),
        };
        if blocked != connection.watched_for_room {
            connection.watched_for_room = blocked;
            let room = if blocked { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let watched = epoll::modify(
                &self.poller,
                &connection.link.socket,
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN | room,
            );
            if let Err(error) = watched {
                self.fail(index, &error.to_string());
            }
        }
    }

    fn until_nobody_waits(&mut self) -> Result<(), String> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut plain = Vec::new();
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        let timeout = Timespec::try_from(self.timeout).map_err(|error| format!("--timeout: {error}"))?;
        while self.waiting > 0 {
            events.clear();
            match epoll::wait(&self.poller, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(0) => {
                    let (waiting, seconds) = (self.waiting, self.timeout.as_secs_f64());
                    return Err(format!(
                        "nothing came for {seconds} s, and {waiting} requests are unanswered"
                    ));
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("epoll: {error}")),
            }
            for event in &events {
                let index = event.data.u64() as usize;
                let flags = event.flags; // copied: the event is packed
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.pull(index, &mut buffer, &mut plain);
                }
                self.push(index);
            }
        }
        Ok(())
    }

    fn pull(&mut self, index: usize, buffer: &mut [u8], plain: &mut Vec<u8>) {
        let Some(connection) = &mut self.connections[index] else { return };
        let exchange = &mut connection.exchange;
        let mut waits = matches!(connection.state, State::Opening | State::Busy);
        let waited = waits;
        let mut total = 0;
        let received = connection.link.receive(buffer, plain, |bytes| {
            if !waits {
                return Err(format!("{} bytes came that nothing asked for", bytes.len()));
            }
            total += bytes.len() as u64;
            waits = exchange.receive(bytes)? == Answer::Incomplete;
            Ok(())
        });
        if connection.state == State::Busy {
            self.tally.received(total);
        }
        if let Err(why) = received {
            return self.fail(index, &why);
        }
        if waits || !waited {
            return;
        }
        self.waiting -= 1;
        if connection.sent < connection.exchange.request().len() {
            return self.fail(index, "the answer came before the request was sent");
        }
        if connection.state == State::Opening {
            connection.state = State::Idle;
            return;
        }
        let now = Instant::now();
        self.tally.answered(now - connection.began);
        self.begin_next(index, now);
    }

    /// Closes the connection, which the poller forgets.
    fn fail(&mut self, index: usize, why: &str) {
        let Some(connection) = self.connections[index].take() else { return };
        if matches!(connection.state, State::Opening | State::Busy) {
            self.waiting -= 1;
        }
        self.tally.failed(format!("connection {index}: {why}"));
    }
}
