//! The little JSON that is written here.

/// A string with its quotes.
pub fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// For people: at most 200 characters, the end kept.
pub fn shorten(value: &str) -> String {
    let length = value.chars().count();
    if length <= 200 {
        return value.to_string();
    }
    std::iter::once('…').chain(value.chars().skip(length - 199)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(text("a\"b\\c\nd\u{1b}é"), "\"a\\\"b\\\\c\\u000ad\\u001bé\"");
    }

    #[test]
    fn the_end_of_long_names_is_kept() {
        let long = format!("{}end", "x".repeat(500));
        assert_eq!(shorten(&long).chars().count(), 200);
        assert!(shorten(&long).ends_with("end"));
    }
}
