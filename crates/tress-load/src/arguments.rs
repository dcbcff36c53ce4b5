//! What the command line asks for.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

pub const USAGE: &str = "\
tress-load echo ADDRESS (--requests N | --duration SECONDS) [OPTION...]
tress-load http ADDRESS (--requests N | --duration SECONDS) [OPTION...]
tress-load serve [ADDRESS] [--cpu N] [--until-eof]

ADDRESS is HOST:PORT. echo and http send requests over connections that stay, one under way on each, and print what was
measured as JSON; exit status 1 when a connection failed, 2 when the arguments are of no use. serve sends back what comes,
and prints its port as JSON first; ADDRESS is 127.0.0.1:0, a free port, unless given.

    --requests N        so many requests, over all connections
    --duration SECONDS  no new request after that time
    --connections N     connections (8)
    --timeout SECONDS   how long nothing at all may come before the run is given up (30)
    --cpu N             run on that CPU only
    --tls FILE          encrypted; the PEM file has the certificates to trust
    --name NAME         the name in the server's certificate (localhost)
  echo
    --size BYTES        of a message (1024)
  http
    --path PATH         what to get (/)
    --status CODE       the status that the answer must have (200)
    --length BYTES      the length that its body must have (any, as long as Content-Length says it)
  serve
    --until-eof         end when standard input does
";

/// A response of more is no plain answer to a small request, and a message of more no message.
const MOST_BYTES: usize = 1 << 30;
const MOST_CONNECTIONS: usize = 100_000;

#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    Load(Load),
    Serve(Serve),
}

/// A run of the generator.
#[derive(Debug, PartialEq)]
pub struct Load {
    pub address: SocketAddr,
    pub kind: Kind,
    pub amount: Amount,
    pub connections: usize,
    pub timeout: Duration,
    pub cpu: Option<usize>,
    pub tls: Option<Tls>,
}

#[derive(Debug, PartialEq)]
pub enum Kind {
    Echo { size: usize },
    Http(Expected),
}

/// A GET request and what must come back.
#[derive(Debug, PartialEq)]
pub struct Expected {
    pub host: String,
    pub path: String,
    pub status: u16,
    pub length: Option<usize>,
}

#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Amount {
    Requests(u64),
    Time(Duration),
}

#[derive(Debug, PartialEq)]
pub struct Tls {
    pub trusted: PathBuf,
    pub name: String,
}

/// A run of the server.
#[derive(Debug, PartialEq)]
pub struct Serve {
    pub address: SocketAddr,
    pub cpu: Option<usize>,
    pub until_eof: bool,
}

/// What was given, before it is known to fit together.
#[derive(Default)]
struct Given {
    address: Option<String>,
    amount: Option<Amount>,
    connections: Option<usize>,
    timeout: Option<Duration>,
    cpu: Option<usize>,
    trusted: Option<PathBuf>,
    name: Option<String>,
    size: Option<usize>,
    path: Option<String>,
    status: Option<u16>,
    length: Option<usize>,
    until_eof: bool,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let command = match parser.next()? {
        Some(Value(name)) => text("the command", name)?,
        Some(Short('h') | Long("help")) => return Ok(Command::Help),
        Some(other) => return Err(other.unexpected()),
        None => return Err("no command given: echo, http or serve (--help says more)".into()),
    };
    let (echo, http, serve) = (command == "echo", command == "http", command == "serve");
    if !(echo || http || serve) {
        return Err(format!("no command {command:?}: echo, http or serve").into());
    }
    let load = echo || http;
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(address) if given.address.is_none() => given.address = Some(text("ADDRESS", address)?),
            Long("cpu") => given.cpu = Some(number("--cpu", &mut parser, 0..=cpu_limit())?),
            Long("requests") if load => {
                let count = number("--requests", &mut parser, 1..=u64::MAX)?;
                given.set_amount(Amount::Requests(count))?;
            }
            Long("duration") if load => {
                let time = seconds("--duration", &mut parser)?;
                given.set_amount(Amount::Time(time))?;
            }
            Long("connections") if load => {
                given.connections = Some(number("--connections", &mut parser, 1..=MOST_CONNECTIONS)?);
            }
            Long("timeout") if load => given.timeout = Some(seconds("--timeout", &mut parser)?),
            Long("tls") if load => given.trusted = Some(parser.value()?.into()),
            Long("name") if load => given.name = Some(text("--name", parser.value()?)?),
            Long("size") if echo => given.size = Some(number("--size", &mut parser, 1..=MOST_BYTES)?),
            Long("path") if http => given.path = Some(path(&mut parser)?),
            Long("status") if http => given.status = Some(number("--status", &mut parser, 200..=599)?),
            Long("length") if http => given.length = Some(number("--length", &mut parser, 0..=MOST_BYTES)?),
            Long("until-eof") if serve => given.until_eof = true,
            Long(option) => return Err(format!("{command} takes no --{option} (--help says more)").into()),
            other => return Err(other.unexpected()),
        }
    }
    if serve { given.serve() } else { given.load(echo) }
}

impl Given {
    fn set_amount(&mut self, amount: Amount) -> Result<(), lexopt::Error> {
        match self.amount.replace(amount) {
            None => Ok(()),
            Some(_) => Err("--requests and --duration: give one of them, once".into()),
        }
    }

    fn serve(self) -> Result<Command, lexopt::Error> {
        let address = resolve(self.address.as_deref().unwrap_or("127.0.0.1:0"))?;
        Ok(Command::Serve(Serve { address, cpu: self.cpu, until_eof: self.until_eof }))
    }

    fn load(self, echo: bool) -> Result<Command, lexopt::Error> {
        let host = self.address.ok_or("no ADDRESS given: HOST:PORT of the server")?;
        let address = resolve(&host)?;
        let amount = self.amount.ok_or("give --requests N or --duration SECONDS")?;
        let tls = match (self.trusted, self.name) {
            (Some(trusted), name) => Some(Tls { trusted, name: name.unwrap_or_else(|| "localhost".into()) }),
            (None, Some(_)) => return Err("--name is for --tls, which is not given".into()),
            (None, None) => None,
        };
        let kind = if echo {
            Kind::Echo { size: self.size.unwrap_or(1024) }
        } else {
            Kind::Http(Expected {
                host,
                path: self.path.unwrap_or_else(|| "/".into()),
                status: self.status.unwrap_or(200),
                length: self.length,
            })
        };
        Ok(Command::Load(Load {
            address,
            kind,
            amount,
            connections: self.connections.unwrap_or(8),
            timeout: self.timeout.unwrap_or(Duration::from_secs(30)),
            cpu: self.cpu,
            tls,
        }))
    }
}

fn cpu_limit() -> usize {
    rustix::thread::CpuSet::MAX_CPU - 1
}

fn text(name: &str, value: OsString) -> Result<String, lexopt::Error> {
    value.into_string().map_err(|value| format!("{name}: {value:?} is not text").into())
}

fn number<N>(
    option: &str,
    parser: &mut lexopt::Parser,
    accepted: std::ops::RangeInclusive<N>,
) -> Result<N, lexopt::Error>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    let given = text(option, parser.value()?)?;
    match given.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => {
            let (least, most) = accepted.into_inner();
            Err(format!("{option}: {given:?} is no whole number from {least} to {most}").into())
        }
    }
}

fn seconds(option: &str, parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    const MOST: f64 = 1e6;
    let given = text(option, parser.value()?)?;
    match given.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MOST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("{option}: {given:?} is no number of seconds above 0, up to {MOST}").into()),
    }
}

/// It stands in the request line as it is given.
fn path(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    let given = text("--path", parser.value()?)?;
    if given.starts_with('/') && given.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(given)
    } else {
        Err(format!("--path: {given:?} is no path that begins with / and has no spaces").into())
    }
}

fn resolve(address: &str) -> Result<SocketAddr, lexopt::Error> {
    let mut found = address
        .to_socket_addrs()
        .map_err(|error| format!("ADDRESS: {address:?} is no HOST:PORT: {error}"))?;
    found.next().ok_or_else(|| format!("ADDRESS: {address:?} has no address").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(lexopt::Parser::from_args(line.split_whitespace())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_given_is_as_the_usage_says() {
        let expected = Load {
            address: "127.0.0.1:80".parse().unwrap(),
            kind: Kind::Echo { size: 1024 },
            amount: Amount::Requests(100),
            connections: 8,
            timeout: Duration::from_secs(30),
            cpu: None,
            tls: None,
        };
        assert_eq!(parsed("echo 127.0.0.1:80 --requests 100"), Ok(Command::Load(expected)));
        let serve = Serve { address: "127.0.0.1:0".parse().unwrap(), cpu: None, until_eof: false };
        assert_eq!(parsed("serve"), Ok(Command::Serve(serve)));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        assert_eq!(parsed("http --help"), Ok(Command::Help));
    }

    #[test]
    fn everything_may_be_given() {
        let line = "http 127.0.0.1:80 --duration 0.5 --connections 3 --timeout 2 --cpu 1 --tls a.pem --name here \
                    --path /a?b --status 404 --length 9";
        let expected = Load {
            address: "127.0.0.1:80".parse().unwrap(),
            kind: Kind::Http(Expected {
                host: "127.0.0.1:80".into(),
                path: "/a?b".into(),
                status: 404,
                length: Some(9),
            }),
            amount: Amount::Time(Duration::from_millis(500)),
            connections: 3,
            timeout: Duration::from_secs(2),
            cpu: Some(1),
            tls: Some(Tls { trusted: "a.pem".into(), name: "here".into() }),
        };
        assert_eq!(parsed(line), Ok(Command::Load(expected)));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_given_and_what_is_accepted() {
        for (line, expected) in [
            ("", "no command given: echo, http or serve"),
            ("flood 127.0.0.1:80", "no command \"flood\": echo, http or serve"),
            ("echo --requests 1", "no ADDRESS given"),
            ("echo 127.0.0.1 --requests 1", "ADDRESS: \"127.0.0.1\" is no HOST:PORT"),
            ("echo 127.0.0.1:99999 --requests 1", "ADDRESS: \"127.0.0.1:99999\" is no HOST:PORT"),
            ("echo 127.0.0.1:80", "give --requests N or --duration SECONDS"),
            ("echo 127.0.0.1:80 --requests 1 --duration 1", "give one of them"),
            ("echo 127.0.0.1:80 --requests 0", "--requests: \"0\" is no whole number from 1 to "),
            ("echo 127.0.0.1:80 --requests many", "--requests: \"many\" is no whole number"),
            ("echo 127.0.0.1:80 --requests", "missing argument for option '--requests'"),
            ("echo 127.0.0.1:80 --duration 0", "--duration: \"0\" is no number of seconds above 0"),
            ("echo 127.0.0.1:80 --duration nan", "--duration: \"nan\" is no number of seconds"),
            ("echo 127.0.0.1:80 --size 0", "--size: \"0\" is no whole number from 1 to 1073741824"),
            ("echo 127.0.0.1:80 --connections 0", "--connections: \"0\" is no whole number from 1 to"),
            ("echo 127.0.0.1:80 --cpu 5000", "--cpu: \"5000\" is no whole number from 0 to 1023"),
            ("echo 127.0.0.1:80 --requests 1 --name it", "--name is for --tls"),
            ("echo 127.0.0.1:80 --path /", "echo takes no --path"),
            ("http 127.0.0.1:80 --size 1", "http takes no --size"),
            ("http 127.0.0.1:80 --path it", "--path: \"it\" is no path"),
            ("http 127.0.0.1:80 --status 99", "--status: \"99\" is no whole number from 200 to 599"),
            ("serve --requests 1", "serve takes no --requests"),
            ("serve 127.0.0.1:0 127.0.0.1:1", "unexpected argument \"127.0.0.1:1\""),
        ] {
            let said = parsed(line).expect_err(line);
            assert!(said.contains(expected), "{line}: {said}");
        }
    }
}
