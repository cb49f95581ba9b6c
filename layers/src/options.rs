//! The command line: options with values, each told once unless said otherwise.

use crate::failure::{Code, Failure, Result};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

pub struct Options {
    given: Vec<(String, Vec<u8>)>,
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message)
}

impl Options {
    /// `flags` stand alone; everything else that begins with `--` has a value after it.
    pub fn read(args: &[OsString], flags: &[&str]) -> Result<Options> {
        let mut given = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let name = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
            let name = name.ok_or_else(|| wrong(format!("{} is no option", arg.to_string_lossy())))?;
            let value = if flags.contains(&name) {
                Vec::new()
            } else {
                let value = args.next().ok_or_else(|| wrong(format!("--{name} needs a value")))?;
                value.clone().into_vec()
            };
            given.push((name.to_string(), value));
        }
        Ok(Options { given })
    }

    pub fn flag(&mut self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub fn all(&mut self, name: &str) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        self.given.retain_mut(|(given, value)| {
            if given == name {
                found.push(std::mem::take(value));
            }
            given != name
        });
        found
    }

    pub fn value(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut found = self.all(name);
        if found.len() > 1 {
            return Err(wrong(format!("--{name} is told more than once")));
        }
        Ok(found.pop())
    }

    pub fn required(&mut self, name: &str) -> Result<Vec<u8>> {
        self.value(name)?.ok_or_else(|| wrong(format!("--{name} is missing")))
    }

    pub fn number(&mut self, name: &str, otherwise: u64) -> Result<u64> {
        match self.value(name)? {
            None => Ok(otherwise),
            Some(text) => {
                let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                number.ok_or_else(|| wrong(format!("--{name} is no number")))
            }
        }
    }

    /// Refuses what nobody has asked for.
    pub fn done(&self) -> Result<()> {
        match self.given.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(format!("--{name} is not known"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options> {
        Options::read(&args.iter().map(OsString::from).collect::<Vec<_>>(), &["sync"])
    }

    #[test]
    fn options_are_taken_one_by_one() {
        let mut options = read(&["--into", "a", "--sync", "--over", "b", "--over", "c", "--max", "7"]).unwrap();
        assert_eq!(options.required("into").unwrap(), b"a");
        assert!(options.flag("sync"));
        assert_eq!(options.all("over"), [b"b".to_vec(), b"c".to_vec()]);
        assert_eq!(options.number("max", 1).unwrap(), 7);
        assert_eq!(options.number("other", 1).unwrap(), 1);
        assert!(options.done().is_ok());
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(read(&["into"]).is_err());
        assert!(read(&["--into"]).is_err());
        assert!(read(&["--into", "a", "--into", "b"]).unwrap().value("into").is_err());
        assert!(read(&["--max", "x"]).unwrap().number("max", 1).is_err());
        assert!(read(&["--max", "x"]).unwrap().done().is_err());
    }
}
