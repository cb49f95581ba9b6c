//! Paths as requests carry them.

use super::fault::{Answer, Fault};

/// Bytes of the longest path.
pub const MAX_PATH: usize = 4095;
const MAX_NAME: usize = 255;

/// Absolute, not too long, no NUL.
pub fn check(path: &[u8]) -> Answer<&[u8]> {
    let wrong = |why: &str| Err(Fault::new("path-invalid", format!("the path {}", why)));
    if path.first() != Some(&b'/') {
        return wrong("is not absolute");
    }
    if path.len() > MAX_PATH {
        return wrong("is longer than 4,095 bytes");
    }
    if path.contains(&0) {
        return wrong("has a NUL inside");
    }
    if path.split(|byte| *byte == b'/').any(|name| name.len() > MAX_NAME) {
        return wrong("has a name longer than 255 bytes");
    }
    Ok(path)
}

/// The folder that a path lies in, and its last name. Slashes at the end do not count.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let trimmed = &path[..end];
    match trimmed.iter().rposition(|byte| *byte == b'/') {
        None => (b"/", trimmed),
        Some(0) => (b"/", &trimmed[1..]),
        Some(at) => (&path[..at], &trimmed[at + 1..]),
    }
}

pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() || folder.ends_with(b"/") {
        [folder, name].concat()
    } else {
        [folder, b"/", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_kernel_would_not_take() {
        assert!(check(b"/a/b").is_ok());
        assert!(check(&[b"/", &[b'a'; 255][..]].concat()).is_ok());
        for bad in [&b""[..], b"a", b"./a", b"/a\0b", &[b"/", &[b'a'; 256][..]].concat(), &[b'/'; 4096]] {
            assert_eq!(check(bad).unwrap_err().code, "path-invalid");
        }
    }

    #[test]
    fn splits_and_joins() {
        assert_eq!(split(b"/a/b"), (&b"/a"[..], &b"b"[..]));
        assert_eq!(split(b"/a//"), (&b"/"[..], &b"a"[..]));
        assert_eq!(split(b"/"), (&b"/"[..], &b""[..]));
        assert_eq!(join(b"/", b"a"), b"/a");
        assert_eq!(join(b"/x", b"a"), b"/x/a");
        assert_eq!(join(b"", b"a"), b"a");
    }
}
