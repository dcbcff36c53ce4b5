//! The program from outside: what it reports of servers that answer, and of those that do not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tress-load");

fn load(arguments: &str) -> Output {
    Command::new(PROGRAM).args(arguments.split_whitespace()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A number of the report.
fn figure(output: &Output, name: &str) -> f64 {
    let report = stdout(output);
    let key = format!("\"{name}\": ");
    let from = report.find(&key).unwrap_or_else(|| panic!("no {name} in {report}{}", stderr(output)));
    let value = report[from + key.len()..].split([',', '}']).next().unwrap();
    value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
}

/// `tress-load serve`, which ends with its standard input.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["serve", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("{\"port\": ").and_then(|rest| rest.strip_suffix('}'));
        Self { port: port.unwrap().parse().unwrap(), process }
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

/// A listener of the test, each of whose connections is served by such a thread.
fn served(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(socket.unwrap()));
        }
    });
    port
}

/// Each piece that comes goes back, as `change` leaves it.
fn echoing(change: impl Fn(&mut Vec<u8>) + Send + Clone + 'static) -> u16 {
    served(move |mut socket| {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = socket.read(&mut buffer) {
            let mut answer = buffer[..count].to_vec();
            change(&mut answer);
            if socket.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// Each request gets the same answer.
fn answering(answer: &'static str) -> u16 {
    served(move |socket| {
        let mut requests = BufReader::new(socket.try_clone().unwrap());
        let mut line = String::new();
        while let Ok(1..) = requests.read_line(&mut line) {
            if line == "\r\n" && (&socket).write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    })
}

fn certificate() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "bench", "localhost.pem"].iter().collect()
}

fn encrypted_echo() -> u16 {
    let chain = CertificateDer::pem_file_iter(certificate()).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate()).unwrap();
    let config =
        Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
    served(move |mut socket| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = Stream::new(&mut tls, &mut socket);
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

#[test]
fn messages_of_every_size_come_back_and_are_counted() {
    let server = Server::start();
    for (size, requests, connections) in [(1, 500, 1), (1024, 1000, 8), (102_400, 200, 8), (5_000_000, 6, 2)]
    {
        let output = load(&format!(
            "echo 127.0.0.1:{} --size {size} --requests {requests} --connections {connections}",
            server.port
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(figure(&output, "requests"), f64::from(requests));
        assert_eq!(figure(&output, "bytes"), f64::from(requests) * f64::from(size));
        assert_eq!(figure(&output, "connections"), f64::from(connections));
        assert_eq!(figure(&output, "errors"), 0.0);
        let percentiles = ["p50", "p90", "p99", "p99.9", "max"].map(|name| figure(&output, name));
        assert!(percentiles[0] > 0.0);
        assert!(percentiles.is_sorted(), "{percentiles:?}");
    }
    server.end();
}

#[test]
fn a_duration_ends_the_run() {
    let server = Server::start();
    let output = load(&format!("echo 127.0.0.1:{} --duration 0.2", server.port));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(figure(&output, "elapsed_ns") >= 2e8);
    assert!(figure(&output, "requests") >= 1.0);
    server.end();
}

#[test]
fn the_server_keeps_what_a_slow_reader_does_not_take() {
    let server = Server::start();
    let socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    // More than the sockets of both ends hold, so that the server has to stop reading.
    let sent: Vec<u8> = (0..32 << 20).map(|index: u32| (index % 251) as u8).collect();
    let mut received = vec![0; sent.len()];
    thread::scope(|scope| {
        scope.spawn(|| (&socket).write_all(&sent).unwrap());
        (&socket).read_exact(&mut received).unwrap();
    });
    assert!(sent == received);
    server.end();
}

#[test]
fn it_runs_where_it_is_told_to() {
    let server = Server::start();
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cpu = (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap();
    let output = load(&format!("echo 127.0.0.1:{} --requests 10 --cpu {cpu}", server.port));
    assert_eq!(figure(&output, "cpu"), cpu as f64);
    let nowhere = rustix::thread::CpuSet::MAX_CPU - 1;
    let output = load(&format!("echo 127.0.0.1:{} --requests 10 --cpu {nowhere}", server.port));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("may not run on CPU {nowhere}")), "{}", stderr(&output));
    server.end();
}

#[test]
fn bytes_that_come_back_changed_are_an_error() {
    // What comes first on a connection is answered as it should be: the fault is found while the clock runs, too.
    let port = served(|mut socket| {
        let mut message = [0; 100];
        for turn in 0.. {
            if socket.read_exact(&mut message).is_err() {
                return;
            }
            message[50] ^= u8::from(turn == 5);
            let _ = socket.write_all(&message);
        }
    });
    let output = load(&format!("echo 127.0.0.1:{port} --size 100 --requests 100 --connections 2"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(figure(&output, "errors"), 2.0);
    assert_eq!(figure(&output, "requests"), 8.0);
    assert!(
        stderr(&output).contains("connection 0: byte 50 of 100 came back changed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn bytes_too_many_are_an_error() {
    let port = echoing(|answer| answer.push(0));
    let output = load(&format!("echo 127.0.0.1:{port} --requests 10 --connections 1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("bytes too many came back"), "{}", stderr(&output));
}

#[test]
fn a_server_that_hangs_up_is_an_error() {
    let output = load(&format!("echo 127.0.0.1:{} --requests 10 --connections 3", served(drop)));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(figure(&output, "errors"), 3.0);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let port = echoing(Vec::clear);
    let output = load(&format!("echo 127.0.0.1:{port} --requests 10 --connections 3 --timeout 0.2"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("nothing came for 0.2 s, and 3 requests are unanswered"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nobody_there_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = load(&format!("echo 127.0.0.1:{port} --requests 10"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("connection to 127.0.0.1:{port}: ")), "{}", stderr(&output));
}

#[test]
fn http_answers_are_counted_and_checked() {
    let port = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let output = load(&format!("http 127.0.0.1:{port} --requests 100 --length 5"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(figure(&output, "requests"), 100.0);
    let output = load(&format!("http 127.0.0.1:{port} --requests 100 --length 6 --connections 1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the body has 5 bytes instead of 6"), "{}", stderr(&output));
    let output = load(&format!("http 127.0.0.1:{port} --requests 100 --status 404 --connections 1"));
    assert!(stderr(&output).contains("the status is 200 instead of 404"), "{}", stderr(&output));
}

#[test]
fn encrypted_messages_come_back() {
    let port = encrypted_echo();
    let file = certificate();
    for size in [1, 1024, 102_400] {
        let output =
            load(&format!("echo 127.0.0.1:{port} --size {size} --requests 100 --tls {}", file.display()));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(figure(&output, "requests"), 100.0);
        assert_eq!(figure(&output, "bytes"), 100.0 * f64::from(size));
    }
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let port = encrypted_echo();
    let command = format!("echo 127.0.0.1:{port} --requests 1 --connections 1 --tls");
    let output = load(&format!("{command} {} --name elsewhere", certificate().display()));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("certificate not valid for name"), "{}", stderr(&output));
    let output = load(&format!("{command} /no/such/file"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--tls: /no/such/file: "), "{}", stderr(&output));
    let output = load(&format!("{command} {}", file!().replace("crates/tress-load/", "")));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no certificate in it"), "{}", stderr(&output));
}

#[test]
fn wrong_arguments_end_it_with_what_is_accepted() {
    let output = load("echo 127.0.0.1:80 --requests none");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let expected = format!("tress-load: --requests: \"none\" is no whole number from 1 to {}\n", u64::MAX);
    assert_eq!(stderr(&output), expected);
}
