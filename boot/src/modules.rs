//! Modules of the kernel that the initramfs brings, for kernels that have nothing built in.

use crate::failure::{Result, Tried};
use crate::sys::{self, c, Errno};

const LIST: &str = "/modules";
const MOST: usize = 64 * 1024;

/// Lines of the list, in the order in which they are to be loaded.
pub struct Modules(Vec<Module>);

#[derive(Debug, PartialEq, Eq)]
struct Module {
    path: String,
    /// What it is needed for; none: always.
    needs: Vec<String>,
}

impl Modules {
    /// Without a list there is nothing to load.
    pub fn read() -> Result<Modules> {
        match sys::read_file(LIST, MOST) {
            Err(Errno(c::ENOENT)) => Ok(Modules(Vec::new())),
            list => Ok(Modules(parse(&String::from_utf8_lossy(&list.tried("read the list of modules")?)))),
        }
    }

    /// Those that everything needs. Their files go: they are memory.
    pub fn load_first(&self) -> Result<()> {
        self.load(|module| module.needs.is_empty())
    }

    pub fn load_needed(&self, needed: impl Fn(&str) -> bool) -> Result<()> {
        self.load(|module| module.needs.iter().any(|need| needed(need)))
    }

    fn load(&self, wanted: impl Fn(&Module) -> bool) -> Result<()> {
        for module in self.0.iter().filter(|module| wanted(module)) {
            sys::load_module(module.path.as_bytes()).tried(&format!("load the module {}", module.path))?;
        }
        Ok(())
    }

    /// Gives back the memory that the files take.
    pub fn forget(self) {
        for module in self.0 {
            let _ = sys::unlink(module.path.as_bytes());
        }
    }
}

/// `/PATH` or `/PATH NEED…`; other lines say nothing.
fn parse(list: &str) -> Vec<Module> {
    let words = list.lines().map(|line| line.split_whitespace().map(String::from));
    words
        .filter_map(|mut words| {
            let path = words.next().filter(|path| path.starts_with('/'))?;
            Some(Module { path, needs: words.collect() })
        })
        .collect()
}

/// Whatever a list says, what is loaded is named by an absolute path.
#[cfg(fuzzing)]
pub fn check(list: &str) {
    assert!(parse(list).iter().all(|module| module.path.starts_with('/')));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_and_what_they_are_needed_for() {
        let list = parse("/m/virtio.ko\n\n# word\n/m/virtio_net.ko net\n/m/fuse.ko virtiofs other\n");
        let told: Vec<_> = list.iter().map(|module| (module.path.as_str(), module.needs.join("+"))).collect();
        let expected = [("/m/virtio.ko", ""), ("/m/virtio_net.ko", "net"), ("/m/fuse.ko", "virtiofs+other")];
        assert_eq!(told, expected.map(|(path, needs)| (path, needs.to_string())));
    }
}
