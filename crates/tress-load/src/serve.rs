//! An echo server with nothing to it: what comes from a socket goes back into it, one read and one write for each time
//! that it is readable. What the socket does not take is kept, and nothing is read until it is gone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::arguments::Serve;
use crate::process;

const BUFFER_BYTES: usize = 256 << 10;
const EVENTS_AT_ONCE: usize = 256;
// Not the number of a connection.
const LISTENER: u64 = u64::MAX;
const STANDARD_INPUT: u64 = u64::MAX - 1;

pub fn run(plan: &Serve) -> Result<(), String> {
    process::allow_many_sockets();
    if let Some(cpu) = plan.cpu {
        process::pin(cpu)?;
    }
    let listener =
        TcpListener::bind(plan.address).map_err(|error| format!("listening at {}: {error}", plan.address))?;
    serve(&listener, plan.until_eof).map_err(|error| error.to_string())
}

struct Connection {
    socket: TcpStream,
    /// What the socket has not taken, from `sent` on.
    kept: Vec<u8>,
    sent: usize,
}

#[must_use]
#[derive(PartialEq, Clone, Copy)]
enum Then {
    Read,
    Write,
    Close,
}

fn serve(listener: &TcpListener, until_eof: bool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poller, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let input = io::stdin();
    if until_eof {
        match epoll::add(&poller, input.as_fd(), EventData::new_u64(STANDARD_INPUT), EventFlags::IN) {
            Err(rustix::io::Errno::PERM) => return Ok(()), // a file: what is in it ends now
            added => added?,
        }
    }
    println!("{{\"port\": {}}}", listener.local_addr()?.port());
    io::stdout().flush()?;

    let mut connections = Connections { poller, held: Vec::new(), free: Vec::new() };
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    loop {
        events.clear();
        match epoll::wait(&connections.poller, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => connections.accept(listener)?,
                STANDARD_INPUT => {
                    if matches!(input.lock().read(&mut buffer), Ok(0)) {
                        return Ok(());
                    }
                }
                index => connections.turn(index as usize, &mut buffer)?,
            }
        }
    }
}

struct Connections {
    poller: OwnedFd,
    held: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Connections {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            // Gone already.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() - 1
        });
        epoll::add(&self.poller, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        self.held[index] = Some(Connection { socket, kept: Vec::new(), sent: 0 });
        Ok(())
    }

    fn turn(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(connection) = &mut self.held[index] else { return Ok(()) };
        let (now, then) = connection.turn(buffer);
        match then {
            Then::Close => {
                self.held[index] = None;
                self.free.push(index);
                Ok(())
            }
            then if then == now => Ok(()),
            Then::Read => self.watch(index, EventFlags::IN),
            Then::Write => self.watch(index, EventFlags::OUT),
        }
    }

    fn watch(&self, index: usize, flags: EventFlags) -> io::Result<()> {
        let Some(connection) = &self.held[index] else { return Ok(()) };
        Ok(epoll::modify(&self.poller, &connection.socket, EventData::new_u64(index as u64), flags)?)
    }
}

impl Connection {
    /// One read and one write: what it was ready for, and what it waits for then.
    fn turn(&mut self, buffer: &mut [u8]) -> (Then, Then) {
        if self.sent < self.kept.len() {
            return (Then::Write, self.send_kept());
        }
        let count = match self.socket.read(buffer) {
            Ok(0) => return (Then::Read, Then::Close),
            Ok(count) => count,
            Err(error) => return (Then::Read, or_close(&error, Then::Read)),
        };
        let sent = match self.socket.write(&buffer[..count]) {
            Ok(sent) => sent,
            Err(error) if or_close(&error, Then::Write) == Then::Close => return (Then::Read, Then::Close),
            Err(_) => 0,
        };
        if sent == count {
            return (Then::Read, Then::Read);
        }
        self.kept.clear();
        self.kept.extend_from_slice(&buffer[sent..count]);
        self.sent = 0;
        (Then::Read, Then::Write)
    }

    fn send_kept(&mut self) -> Then {
        match self.socket.write(&self.kept[self.sent..]) {
            Ok(count) => self.sent += count,
            Err(error) => return or_close(&error, Then::Write),
        }
        if self.sent < self.kept.len() { Then::Write } else { Then::Read }
    }
}

fn or_close(error: &io::Error, again: Then) -> Then {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => again,
        _ => Then::Close,
    }
}
