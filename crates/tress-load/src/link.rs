//! The bytes of one connection, plain or through TLS, over a socket that does not block.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::arguments::Tls;

/// How connections are made: what TLS needs is read once.
pub enum Opener {
    Plain,
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

impl Opener {
    pub fn new(tls: Option<&Tls>) -> Result<Self, String> {
        let Some(tls) = tls else { return Ok(Self::Plain) };
        let unusable = |error: &dyn std::fmt::Display| format!("--tls: {}: {error}", tls.trusted.display());
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&tls.trusted).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            trusted.add(certificate).map_err(|error| unusable(&error))?;
        }
        if trusted.is_empty() {
            return Err(unusable(&"there is no certificate in it"));
        }
        let name = ServerName::try_from(tls.name.clone())
            .map_err(|error| format!("--name: {:?} is no name of a server: {error}", tls.name))?;
        let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        Ok(Self::Tls(Arc::new(config), name))
    }

    pub fn over(&self, socket: TcpStream) -> Result<Link, String> {
        let tls = match self {
            Self::Plain => None,
            Self::Tls(config, name) => {
                let mut tls = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|error| error.to_string())?;
                tls.set_buffer_limit(None); // a request is taken whole
                Some(Box::new(tls))
            }
        };
        Ok(Link { socket, tls })
    }
}

pub struct Link {
    pub socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

#[must_use]
#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Sent {
    All,
    /// The socket takes no more for now.
    Part,
}

impl Link {
    /// Sends what follows the first `sent` bytes of the request, as far as the socket takes it, and counts.
    pub fn send(&mut self, request: &[u8], sent: &mut usize) -> io::Result<Sent> {
        let Some(tls) = &mut self.tls else {
            while *sent < request.len() {
                match until_it_blocks(self.socket.write(&request[*sent..]))? {
                    Some(count) => *sent += count,
                    None => return Ok(Sent::Part),
                }
            }
            return Ok(Sent::All);
        };
        if *sent < request.len() {
            tls.writer().write_all(&request[*sent..])?;
            *sent = request.len();
        }
        while tls.wants_write() {
            if until_it_blocks(tls.write_tls(&mut self.socket))?.is_none() {
                return Ok(Sent::Part);
            }
        }
        Ok(Sent::All)
    }

    /// Reads once from the socket, and hands on what came; an end of the stream is an error.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        mut taker: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let read = until_it_blocks(self.socket.read(buffer)).map_err(|error| error.to_string())?;
        let came = match read {
            None => return Ok(()),
            Some(0) => return Err("the server has closed the connection".into()),
            Some(count) => &buffer[..count],
        };
        let Some(tls) = &mut self.tls else { return taker(came) };
        let mut encrypted = came;
        while !encrypted.is_empty() {
            tls.read_tls(&mut encrypted).map_err(|error| error.to_string())?;
            let state = tls.process_new_packets().map_err(|error| format!("TLS: {error}"))?;
            let ready = state.plaintext_bytes_to_read();
            if ready > 0 {
                plain.resize(ready, 0);
                tls.reader().read_exact(plain).map_err(|error| error.to_string())?;
                taker(plain)?;
            }
            if state.peer_has_closed() {
                return Err("the server has closed the connection".into());
            }
        }
        Ok(())
    }
}

/// None where the socket would block; what a signal interrupted is tried again when the socket is looked at next.
fn until_it_blocks(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
