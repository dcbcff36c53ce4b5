//! What one connection says and must hear: a request, its answer, the next request.

/// One connection's conversation.
pub trait Exchange {
    /// Go on to the next request.
    fn begin(&mut self);

    /// All bytes of the request that was begun last.
    fn request(&self) -> &[u8];

    /// Whether these bytes complete the answer to it; an error says how it differs from what must come.
    fn receive(&mut self, bytes: &[u8]) -> Result<Answer, String>;
}

#[must_use]
#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Answer {
    Complete,
    Incomplete,
}
