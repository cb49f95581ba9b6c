//! Numbers of the operations, kinds and events. `docs/guest-protocol.md` has their fields.

pub const START: u64 = 1;
pub const ATTACH: u64 = 2;
pub const PROCESSES: u64 = 3;
pub const STDIN: u64 = 4;
pub const SIGNAL: u64 = 5;
pub const RESIZE: u64 = 6;
pub const READ: u64 = 10;
pub const WRITE: u64 = 11;
pub const STAT: u64 = 12;
pub const LIST: u64 = 13;
pub const MAKE_DIRECTORY: u64 = 14;
pub const MOVE: u64 = 15;
pub const REMOVE: u64 = 16;
pub const CHMOD: u64 = 17;
pub const SYMLINK: u64 = 18;
pub const WATCH: u64 = 19;
pub const DIAL: u64 = 20;
pub const METRICS: u64 = 30;
pub const CONFIGURE: u64 = 31;
pub const QUIESCE: u64 = 32;
pub const SHUTDOWN: u64 = 33;

/// Events of attach.
pub const EVENT_GAP: u64 = 1;
pub const EVENT_EXIT: u64 = 2;
pub const EVENT_POSITION: u64 = 3;

/// Exit kinds.
pub const EXITED: u64 = 1;
pub const SIGNALED: u64 = 2;
pub const OUT_OF_MEMORY: u64 = 3;

/// Events of watch.
pub const CREATED: u64 = 1;
pub const MODIFIED: u64 = 2;
pub const REMOVED: u64 = 3;
pub const RENAMED: u64 = 4;
pub const CHMODDED: u64 = 5;
pub const OVERFLOWED: u64 = 6;
