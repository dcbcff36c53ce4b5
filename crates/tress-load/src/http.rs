//! Plain GET requests, and the status and the length of what comes back.

use crate::arguments::Expected;
use crate::exchange::{Answer, Exchange};

const MOST_HEADERS: usize = 64;
/// A head of more is not waited for.
const MOST_HEAD_BYTES: usize = 64 << 10;

/// The same request each time. Of the answer the head is read, and the body counted.
pub struct Http {
    request: Vec<u8>,
    status: u16,
    length: Option<usize>,
    /// What has come of a head that is not complete.
    head: Vec<u8>,
    /// Bytes of the body that have not come; None before the head is complete.
    missing: Option<usize>,
}

impl Http {
    pub fn new(expected: &Expected) -> Self {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tress-load\r\nAccept: */*\r\n\r\n",
            expected.path, expected.host
        );
        Self {
            request: request.into_bytes(),
            status: expected.status,
            length: expected.length,
            head: Vec::new(),
            missing: None,
        }
    }

    fn take_body(&mut self, missing: usize, bytes: &[u8]) -> Result<Answer, String> {
        let left = missing
            .checked_sub(bytes.len())
            .ok_or_else(|| format!("{} bytes too many came after the body", bytes.len() - missing))?;
        self.missing = Some(left);
        Ok(if left == 0 { Answer::Complete } else { Answer::Incomplete })
    }

    /// The body's length, and that of the head, once that is complete.
    fn read_head(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).map_err(|error| format!("the answer is no HTTP: {error}"))?;
        let httparse::Status::Complete(head) = parsed else {
            return if bytes.len() > MOST_HEAD_BYTES {
                Err(format!("the head of the answer does not end within {MOST_HEAD_BYTES} bytes"))
            } else {
                Ok(None)
            };
        };
        let status = response.code.unwrap_or(0);
        if status != self.status {
            return Err(format!("the status is {status} instead of {}", self.status));
        }
        let length = content_length(response.headers)?;
        if let Some(expected) = self.length.filter(|expected| *expected != length) {
            return Err(format!("the body has {length} bytes instead of {expected}"));
        }
        Ok(Some((head, length)))
    }
}

impl Exchange for Http {
    fn begin(&mut self) {
        self.head.clear();
        self.missing = None;
    }

    fn request(&self) -> &[u8] {
        &self.request
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Answer, String> {
        if let Some(missing) = self.missing {
            return self.take_body(missing, bytes);
        }
        if self.head.is_empty() {
            // As a rule the whole head is in the first piece, and is read where it lies.
            if let Some((head, length)) = self.read_head(bytes)? {
                return self.take_body(length, &bytes[head..]);
            }
            self.head.extend_from_slice(bytes);
            return Ok(Answer::Incomplete);
        }
        let mut so_far = std::mem::take(&mut self.head);
        so_far.extend_from_slice(bytes);
        let read = self.read_head(&so_far)?;
        let answer = match read {
            Some((head, length)) => self.take_body(length, &so_far[head..]),
            None => Ok(Answer::Incomplete),
        };
        self.head = so_far;
        answer
    }
}

fn content_length(headers: &[httparse::Header<'_>]) -> Result<usize, String> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let header = found.ok_or("the answer has no Content-Length")?;
    let text = String::from_utf8_lossy(header.value);
    text.trim().parse().map_err(|_| format!("Content-Length is {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(length: Option<usize>) -> Http {
        let mut http =
            Http::new(&Expected { host: "here:80".into(), path: "/it".into(), status: 200, length });
        http.begin();
        http
    }

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: some\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn a_request_names_path_and_host() {
        let request = String::from_utf8(begun(None).request().to_vec()).unwrap();
        assert!(request.starts_with("GET /it HTTP/1.1\r\nHost: here:80\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }

    #[test]
    fn an_answer_may_be_cut_anywhere_and_the_next_begins_anew() {
        let mut http = begun(Some(5));
        for cut in 1..ANSWER.len() {
            http.begin();
            assert_eq!(http.receive(&ANSWER[..cut]), Ok(Answer::Incomplete), "cut at {cut}");
            assert_eq!(http.receive(&ANSWER[cut..]), Ok(Answer::Complete), "cut at {cut}");
        }
        http.begin();
        for byte in &ANSWER[..ANSWER.len() - 1] {
            assert_eq!(http.receive(&[*byte]), Ok(Answer::Incomplete));
        }
        assert_eq!(http.receive(b"o"), Ok(Answer::Complete));
    }

    #[test]
    fn an_empty_body_completes_the_answer() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(begun(None).receive(answer), Ok(Answer::Complete));
    }

    #[test]
    fn what_differs_is_named() {
        let says = |http: &mut Http, answer: &[u8]| http.receive(answer).unwrap_err();
        let failed = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(says(&mut begun(None), failed), "the status is 503 instead of 200");
        assert_eq!(says(&mut begun(Some(4)), ANSWER), "the body has 5 bytes instead of 4");
        let unknown = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(says(&mut begun(None), unknown), "the answer has no Content-Length");
        let odd = b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n";
        assert_eq!(says(&mut begun(None), odd), "Content-Length is \"many\"");
        assert!(says(&mut begun(None), b"SSH-2.0-some\r\n").starts_with("the answer is no HTTP"));
        let mut longer = ANSWER.to_vec();
        longer.extend_from_slice(b"HT");
        assert_eq!(says(&mut begun(None), &longer), "2 bytes too many came after the body");
    }

    #[test]
    fn a_head_without_an_end_is_not_waited_for() {
        let mut http = begun(None);
        assert_eq!(http.receive(b"HTTP/1.1 200 OK\r\nX: "), Ok(Answer::Incomplete));
        let error = http.receive(&vec![b'x'; MOST_HEAD_BYTES]).unwrap_err();
        assert!(error.contains("does not end"), "{error}");
    }
}
