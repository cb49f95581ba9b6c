//! Bytes as pairs of hexadecimal digits.

/// None where the text is something else.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let text = text.as_bytes();
    if text.len() % 2 != 0 {
        return None;
    }
    text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn reads_pairs_only() {
        assert_eq!(bytes("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(bytes(""), Some(vec![]));
        for bad in ["0", "0g", "+1", "é"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
