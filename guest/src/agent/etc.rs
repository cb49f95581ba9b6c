//! Files of `/etc` that only the host knows the content of, such as where names are resolved.

use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd};

const MAX_BYTES: usize = 64 * 1024;

/// Puts it in place of what is there, never through a link. A machine that cannot have it can do without.
pub fn write(name: &str, content: OwnedFd) {
    if let Err(error) = replace(name, content) {
        eprintln!("cove-guest: /etc/{}: {:?}", name, error);
    }
}

/// The machine has another name now: what of these files has the old one gets the new one. Links lead to what the kernel
/// says, and that knows already.
pub fn rename_host(old: &[u8], new: &[u8]) {
    for name in ["hostname", "hosts"] {
        let path = [b"/etc/", name.as_bytes()].concat();
        let _ = sys::open(&path, c::O_RDONLY | c::O_NOFOLLOW | c::O_NONBLOCK, 0).and_then(|file| {
            let text = read_all(&file)?;
            let renamed = with_word(&text, old, new);
            if renamed == text {
                Ok(())
            } else {
                put(name, &renamed)
            }
        });
    }
}

fn with_word(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let pieces = text.split_inclusive(|byte| byte.is_ascii_whitespace());
    let words = pieces.map(|piece| match piece.strip_prefix(old) {
        Some(rest) if rest.iter().all(u8::is_ascii_whitespace) => [new, rest].concat(),
        _ => piece.to_vec(),
    });
    words.collect::<Vec<_>>().concat()
}

fn replace(name: &str, content: OwnedFd) -> sys::Result<()> {
    put(name, &read_all(&content)?)
}

fn read_all(content: &OwnedFd) -> sys::Result<Vec<u8>> {
    let mut bytes = vec![0; MAX_BYTES];
    let mut length = 0;
    while length < MAX_BYTES {
        match sys::read(content.as_raw_fd(), &mut bytes[length..])? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn put(name: &str, bytes: &[u8]) -> sys::Result<()> {
    let folder = sys::open(b"/etc", c::O_RDONLY | c::O_DIRECTORY, 0)?;
    let target = sys::c_string(name.as_bytes())?;
    let removed = sys::check(unsafe { c::unlinkat(folder.as_raw_fd(), target.as_ptr(), 0) });
    // What an engine has mounted there for this machine cannot be replaced, only written.
    let how = match removed {
        Err(Errno(c::EBUSY)) => c::O_TRUNC | c::O_NOFOLLOW | c::O_NONBLOCK,
        _ => c::O_CREAT | c::O_EXCL,
    };
    let file = sys::open_at(folder.as_raw_fd(), name.as_bytes(), c::O_WRONLY | how, 0o644)?;
    // Everybody reads it, whatever the agent was started with.
    sys::files::set_mode(file.as_raw_fd(), 0o644)?;
    let mut written = 0;
    while written < bytes.len() {
        written += sys::write(file.as_raw_fd(), &bytes[written..])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::with_word;

    #[test]
    fn renames_words_only() {
        let hosts = b"127.0.0.1\tlocalhost\n127.0.1.1 box box.local mybox\n";
        assert_eq!(with_word(hosts, b"box", b"new"), b"127.0.0.1\tlocalhost\n127.0.1.1 new box.local mybox\n");
        assert_eq!(with_word(b"box", b"box", b"new"), b"new");
    }
}
