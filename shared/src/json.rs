//! Reads JSON into the shared DTOs, and writes them, in the browser.
//!
//! Not `serde_json`: its errors spell out every number and type they complain of, which pulls number formatting,
//! Unicode tables and a message per type into the download. Measured, that was a tenth of the whole page. The server's
//! answers need no such diagnosis: one that does not fit comes from another version, and reloading the page mends it.
//! `backend/tests/shared_json.rs` reads a sample of every DTO with both, and demands the same.

mod write;

pub use write::to_string;

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting that is followed, so that no answer can exhaust the stack.
const DEEPEST: u8 = 64;

/// What does not fit: the name of a missing field, or a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit(pub &'static str);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("unexpected value")
    }

    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self("unexpected type")
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self("unexpected value")
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self("unexpected length")
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self("unknown variant")
    }

    fn missing_field(field: &'static str) -> Self {
        Self(field)
    }
}

/// Reads a document.
///
/// # Errors
/// When it is no JSON, or not what `T` wants.
pub fn from_str<T: de::DeserializeOwned>(text: &str) -> Result<T, Unfit> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(Unfit("text after the end")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
}

enum Number {
    Whole(i64),
    Other(f64),
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> u8 {
        self.space();
        self.byte()
    }

    /// The byte at this place; 0, which no document contains, at the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there
    }

    fn need(&mut self, byte: u8) -> Result<(), Unfit> {
        if self.eat(byte) { Ok(()) } else { Err(Unfit("unexpected type")) }
    }

    fn word(&mut self, word: &'static str) -> bool {
        self.space();
        let there = self.text[self.at..].starts_with(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn truth(&mut self) -> Result<bool, Unfit> {
        let yes = self.word("true");
        if yes || self.word("false") { Ok(yes) } else { Err(Unfit("unexpected type")) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unfit> {
        const BROKEN: Unfit = Unfit("broken string");
        self.need(b'"')?;
        let rest = &self.text[self.at..];
        let end = rest.find(['"', '\\']).ok_or(BROKEN)?;
        if rest.as_bytes()[end] == b'"' {
            self.at += end + 1;
            return Ok(Cow::Borrowed(&rest[..end]));
        }
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(['"', '\\']).ok_or(BROKEN)?;
            out.push_str(&rest[..end]);
            self.at += end + 1;
            if rest.as_bytes()[end] == b'"' {
                return Ok(Cow::Owned(out));
            }
            let escape = self.byte();
            self.at += 1;
            out.push(match escape {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' => escape as char,
                b'u' => self.unicode().ok_or(BROKEN)?,
                _ => return Err(BROKEN),
            });
        }
    }

    /// The character after `\u`, of one unit or of two; half a pair is shown as what it is, broken.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let here = self.at;
            self.at += 2;
            let second = self.unit()?;
            if (0xDC00..0xE000).contains(&second) {
                return char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
            self.at = here;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Result<Number, Unfit> {
        let negative = self.eat(b'-');
        let (mut whole, mut digits, mut scale, mut fraction) = (0_i64, 0, 0_i32, false);
        loop {
            match self.byte() {
                byte @ b'0'..=b'9' => {
                    digits += 1;
                    // Beyond eighteen digits nothing that a person reads changes.
                    if whole < 100_000_000_000_000_000 {
                        whole = whole * 10 + i64::from(byte - b'0');
                        scale -= i32::from(fraction);
                    } else {
                        scale += i32::from(!fraction);
                    }
                }
                b'.' if !fraction => fraction = true,
                _ => break,
            }
            self.at += 1;
        }
        if digits == 0 {
            return Err(Unfit("unexpected type"));
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            let down = self.byte() == b'-';
            self.at += usize::from(down || self.byte() == b'+');
            let mut exponent = 0_i32;
            while let byte @ b'0'..=b'9' = self.byte() {
                exponent = exponent.saturating_mul(10).saturating_add(i32::from(byte - b'0')).min(1_000);
                self.at += 1;
            }
            scale += if down { -exponent } else { exponent };
            fraction = true;
        }
        let whole = if negative { -whole } else { whole };
        if !fraction && scale == 0 {
            return Ok(Number::Whole(whole));
        }
        // Divided by a power and not multiplied by its inverse: 0.1 must be the nearest number to 0.1.
        let power = 10_f64.powi(scale.abs());
        Ok(Number::Other(if scale < 0 { whole as f64 / power } else { whole as f64 * power }))
    }

    fn deeper(&mut self) -> Result<(), Unfit> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(Unfit("nested too deeply")) } else { Ok(()) }
    }

    fn skip(&mut self) -> Result<(), Unfit> {
        match self.peek() {
            b'"' => drop(self.string()?),
            open @ (b'[' | b'{') => {
                self.deeper()?;
                self.at += 1;
                // In both, an item, a colon or a comma may follow each other; what is skipped is not judged.
                while !self.eat(open + 2) {
                    if !self.eat(b',') && !self.eat(b':') {
                        self.skip()?;
                    }
                }
                self.depth -= 1;
            }
            b't' | b'f' => drop(self.truth()?),
            b'n' => return if self.word("null") { Ok(()) } else { Err(Unfit("unexpected type")) },
            _ => {
                self.number()?;
            }
        }
        Ok(())
    }
}

/// The items of an array or the entries of an object.
struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    first: bool,
    over: bool,
}

impl<'r, 'a> Items<'r, 'a> {
    fn enter(reader: &'r mut Reader<'a>, open: u8) -> Result<Self, Unfit> {
        reader.need(open)?;
        reader.deeper()?;
        Ok(Self { reader, first: true, over: false })
    }

    /// Whether another one follows.
    fn more(&mut self, close: u8) -> Result<bool, Unfit> {
        if self.reader.eat(close) {
            self.reader.depth -= 1;
            self.over = true;
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.need(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Unfit;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        if self.more(b']')? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Unfit;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unfit> {
        if self.more(b'}')? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        self.reader.need(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
            match self.number()? {
                Number::Whole(value) => visitor.visit_i64(value),
                Number::Other(value) => visitor.visit_f64(value),
            }
        }
    )*};
}

macro_rules! strings {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
            visitor.visit_str(&self.string()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.peek() {
            b'n' => self.deserialize_unit(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'"' => self.deserialize_str(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'{' => self.deserialize_map(visitor),
            _ => self.deserialize_i64(visitor),
        }
    }

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
    deserialize_u64 deserialize_f32 deserialize_f64 }

    strings! { deserialize_char deserialize_str deserialize_string deserialize_identifier deserialize_bytes
    deserialize_byte_buf }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_bool(self.truth()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        if self.word("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        if self.word("null") { visitor.visit_unit() } else { Err(Unfit("unexpected type")) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let mut items = Items::enter(self, b'[')?;
        let value = visitor.visit_seq(&mut items)?;
        // A list asks until there is no more; a tuple takes what it wants, and then the end must be here.
        if items.over || !items.more(b']')? { Ok(value) } else { Err(Unfit("unexpected length")) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let mut items = Items::enter(self, b'{')?;
        visitor.visit_map(&mut items)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_map(visitor)
    }

    /// Names only: no DTO is an enum with content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let name = self.string()?;
        visitor.visit_enum((&*name).into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.skip()?;
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sample {
        name: String,
        #[serde(default)]
        list: Vec<i32>,
        maybe: Option<f64>,
    }

    fn same(text: &str) {
        let ours = from_str::<Value>(text).ok();
        let theirs = serde_json::from_str::<Value>(text).ok();
        assert_eq!(ours, theirs, "{text}");
    }

    #[test]
    fn what_serde_json_reads_is_read_the_same() {
        for text in [
            "null",
            " true ",
            "[]",
            "[1, -2, 0.1, 1e3, 12.5e-3, 1234567890123]",
            r#"{"a":{"b":[[],[{}]]},"c":"","d":[null,false]}"#,
            r#""\u00fc \n \" \\ \/ \ud83d\ude00""#,
            "\"ü€😀\"",
        ] {
            same(text);
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in
            ["", "nul", "[1,", "[1 2]", r#"{"a" 1}"#, r#""open"#, r#""\x""#, "-", "[]]", "truefalse", r#""\u12"#]
        {
            same(text);
        }
        assert_eq!(from_str::<Value>(&"[".repeat(1_000)), Err(Unfit("nested too deeply")));
    }

    #[test]
    fn half_a_pair_is_shown_as_broken() {
        assert_eq!(from_str::<String>(r#""\ud83dx""#).as_deref(), Ok("\u{fffd}x"));
        assert_eq!(from_str::<String>(r#""\ud83d\u0041""#).as_deref(), Ok("\u{fffd}A"));
    }

    #[test]
    fn unknown_fields_are_skipped_and_missing_ones_named() {
        let text = r#"{"new":{"x":[1,{"y":"]}"}]},"name":"a","list":[1,2],"more":null}"#;
        let read = Sample { name: "a".into(), list: vec![1, 2], maybe: None };
        assert_eq!(from_str::<Sample>(text), Ok(read));
        assert_eq!(from_str::<Sample>("{}"), Err(Unfit("name")));
        assert_eq!(from_str::<Sample>(r#"{"name":1}"#), Err(Unfit("unexpected type")));
        assert_eq!(from_str::<(i32, Vec<i32>)>("[1,[2]]"), Ok((1, vec![2])));
        assert_eq!(from_str::<(i32, i32)>("[1,2,3]"), Err(Unfit("unexpected length")));
        assert_eq!(from_str::<BTreeMap<String, i32>>(r#"{"ü":1}"#).map(|map| map["ü"]), Ok(1));
    }
}
