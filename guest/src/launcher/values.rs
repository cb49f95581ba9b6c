//! Values in the fields of a specification, each checked as it is read.

use std::ffi::CString;

use super::fault::Fault;
use crate::fields::{FieldError, Fields};

const MAX_PATH: usize = 4095;
const MAX_ITEMS: usize = 256;
const MAX_WORDS: usize = 16_384;
const FIRST_FD: i32 = 3;
const LAST_FD: i32 = 255;

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Fault {
        Fault::invalid(error.message())
    }
}

pub fn list<T>(
    fields: &Fields<'_>,
    tag: u8,
    decode: impl Fn(&Fields<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut items = Vec::new();
    for value in fields.all(tag) {
        if items.len() == MAX_ITEMS {
            return Err(Fault::invalid(format!("more than {} items in field {}", MAX_ITEMS, tag)));
        }
        items.push(decode(&Fields::parse(value)?)?);
    }
    Ok(items)
}

pub fn number(fields: &Fields<'_>, tag: u8, name: &str) -> Result<u64, Fault> {
    fields.number(tag)?.ok_or_else(|| Fault::invalid(format!("no {}", name)))
}

pub fn text(fields: &Fields<'_>, tag: u8, name: &str) -> Result<String, Fault> {
    match fields.text(tag)? {
        Some(text) => Ok(text.to_string()),
        None => Err(Fault::invalid(format!("no {}", name))),
    }
}

pub fn mode(fields: &Fields<'_>, tag: u8) -> Result<u32, Fault> {
    match number(fields, tag, "mode")? {
        mode if mode <= 0o1777 => Ok(mode as u32),
        _ => Err(Fault::invalid("a mode has bits beyond 1777")),
    }
}

pub fn descriptor(fields: &Fields<'_>) -> Result<i32, Fault> {
    let fd = number(fields, 1, "descriptor")?;
    if fd < FIRST_FD as u64 || fd > LAST_FD as u64 {
        return Err(Fault::invalid("a descriptor is not within 3 to 255"));
    }
    Ok(fd as i32)
}

pub fn words(fields: &Fields<'_>, tag: u8, name: &str) -> Result<Vec<CString>, Fault> {
    let mut words = Vec::new();
    for value in fields.all(tag) {
        if words.len() == MAX_WORDS {
            return Err(Fault::invalid(format!("{} has more than {} items", name, MAX_WORDS)));
        }
        words.push(CString::new(value).map_err(|_| Fault::invalid(format!("{} has a NUL inside", name)))?);
    }
    Ok(words)
}

pub fn path(fields: &Fields<'_>, tag: u8, name: &str) -> Result<String, Fault> {
    optional_path(fields, tag, name)?.ok_or_else(|| Fault::invalid(format!("no {}", name)))
}

pub fn optional_path(fields: &Fields<'_>, tag: u8, name: &str) -> Result<Option<String>, Fault> {
    match fields.text(tag)? {
        None => Ok(None),
        Some(path) => checked_path(path, name).map(Some),
    }
}

pub fn paths(fields: &Fields<'_>, tag: u8, name: &str) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    for value in fields.all(tag) {
        if found.len() == MAX_ITEMS {
            return Err(Fault::invalid(format!("more than {} of {}", MAX_ITEMS, name)));
        }
        let path = std::str::from_utf8(value).map_err(|_| Fault::invalid(format!("{} is not UTF-8", name)))?;
        found.push(checked_path(path, name)?);
    }
    Ok(found)
}

/// Absolute, without `..`: what is removed later must be what was meant.
fn checked_path(path: &str, name: &str) -> Result<String, Fault> {
    let plain = path.starts_with('/')
        && path.len() > 1
        && path.len() <= MAX_PATH
        && !path.contains('\0')
        && path.split('/').all(|part| part != ".." && part.len() <= 255);
    if !plain {
        return Err(Fault::invalid(format!("{} is not an absolute path without .. and NUL", name)));
    }
    Ok(path.to_string())
}
