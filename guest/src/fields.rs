//! Fields in control frames.
