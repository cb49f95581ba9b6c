//! How a host process ended.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Exited(u8),
    Signaled(u8),
    /// Gone, and nobody was there to read its status.
    Lost,
}

impl Exit {
    /// Kind and value as they go over the wire.
    pub fn wire(self) -> (u64, u64) {
        match self {
            Exit::Exited(code) => (1, code.into()),
            Exit::Signaled(signal) => (2, signal.into()),
            Exit::Lost => (4, 0),
        }
    }
}
