//! Messages that must come back as they are.

use std::rc::Rc;

use crate::exchange::{Answer, Exchange};

/// How many messages one after the other differ from each other.
const VARIETY: usize = 4096;
/// So that connections differ from each other as well.
const STRIDE: usize = 509;

/// The messages of one connection are windows on the same bytes, each begun one byte further: what is left of another
/// message, or comes from another connection, is not taken for the answer. All connections have the same bytes, so that
/// these stay in the processor's cache.
pub struct Echo {
    bytes: Rc<[u8]>,
    size: usize,
    start: usize,
    received: usize,
}

impl Echo {
    /// What messages of that size are cut from.
    pub fn bytes(size: usize) -> Rc<[u8]> {
        random().take(size + VARIETY).collect()
    }

    pub fn new(bytes: &Rc<[u8]>, connection: usize) -> Self {
        let start = connection.wrapping_mul(STRIDE) % VARIETY;
        Self { bytes: Rc::clone(bytes), size: bytes.len() - VARIETY, start, received: 0 }
    }
}

impl Exchange for Echo {
    fn begin(&mut self) {
        self.start = (self.start + 1) % VARIETY;
        self.received = 0;
    }

    fn request(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.size]
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Answer, String> {
        let missing = &self.request()[self.received..];
        if bytes.len() > missing.len() {
            return Err(format!("{} bytes too many came back", bytes.len() - missing.len()));
        }
        if !missing.starts_with(bytes) {
            let at = missing.iter().zip(bytes).take_while(|(sent, came)| sent == came).count();
            return Err(format!("byte {} of {} came back changed", self.received + at, self.size));
        }
        self.received += bytes.len();
        Ok(if self.received == self.size { Answer::Complete } else { Answer::Incomplete })
    }
}

/// Without a pattern that a shift would hide: xorshift.
fn random() -> impl Iterator<Item = u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(size: usize) -> Echo {
        let mut echo = Echo::new(&Echo::bytes(size), 0);
        echo.begin();
        echo
    }

    #[test]
    fn an_answer_may_come_in_pieces() {
        let mut echo = begun(1000);
        let request = echo.request().to_vec();
        for piece in request[..999].chunks(7) {
            assert_eq!(echo.receive(piece), Ok(Answer::Incomplete));
        }
        assert_eq!(echo.receive(&request[999..]), Ok(Answer::Complete));
    }

    #[test]
    fn a_changed_byte_is_found_and_named() {
        let mut echo = begun(1000);
        let mut answer = echo.request().to_vec();
        answer[617] ^= 1;
        assert_eq!(echo.receive(&answer[..600]), Ok(Answer::Incomplete));
        assert_eq!(echo.receive(&answer[600..]), Err("byte 617 of 1000 came back changed".into()));
    }

    #[test]
    fn more_than_was_sent_is_no_answer() {
        let mut echo = begun(10);
        let mut answer = echo.request().to_vec();
        answer.push(0);
        assert_eq!(echo.receive(&answer), Err("1 bytes too many came back".into()));
    }

    #[test]
    fn the_answer_to_another_request_is_none() {
        let mut echo = begun(64);
        let previous = echo.request().to_vec();
        echo.begin();
        assert_ne!(echo.request(), previous);
        assert!(echo.receive(&previous).is_err());
        let mut other = Echo::new(&echo.bytes, 1);
        other.begin();
        assert_ne!(other.request(), echo.request());
    }
}
