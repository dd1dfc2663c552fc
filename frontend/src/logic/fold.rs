//! Small letters, for search without regard to case.
//!
//! The standard library knows the case of every script that ever had one, and its tables weigh seven kilobytes. Here are the
//! letters of European alphabets; others are compared as they are.

/// The small letter.
#[must_use]
pub fn small(c: char) -> char {
    let code = c as u32;
    let shift = match code {
        0x00..=0x7F => return c.to_ascii_lowercase(),
        // Latin-1 without the multiplication sign, Greek, Cyrillic.
        0xC0..=0xD6 | 0xD8..=0xDE | 0x391..=0x3A1 | 0x3A3..=0x3A9 | 0x410..=0x42F => 32,
        0x400..=0x40F => 80,
        // Extended Latin comes in pairs: the even one is the capital, or the odd one where the order slips.
        0x100..=0x12F | 0x132..=0x137 | 0x14A..=0x177 => u32::from(code.is_multiple_of(2)),
        0x139..=0x148 | 0x179..=0x17E => u32::from(code % 2 == 1),
        _ => 0,
    };
    char::from_u32(code + shift).unwrap_or(c)
}

/// The text in small letters.
#[must_use]
pub fn lower(text: &str) -> String {
    text.chars().map(small).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn european_letters_agree_with_the_standard_library() {
        for c in ('\0'..='\u{44f}').filter(|c| c.to_lowercase().count() == 1 && small(*c) != *c) {
            assert_eq!(Some(small(c)), c.to_lowercase().next(), "{c}");
        }
        assert_eq!(lower("GRÖSSE Ÿ× ŁÓDŹ ΑΒΓ ЁЖ"), "grösse Ÿ× łódź αβγ ёж");
    }
}
