//! Writes the shared DTOs as JSON, in the browser.
//!
//! Not `serde_json`, whose numbers bring a table of powers of ten along: five kilobytes that no compression makes smaller. What a
//! browser sends are texts, switches and numbers that somebody typed.

use std::fmt::{Display, Write as _};

use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use super::Unfit;

/// Decimals that a fraction keeps.
const DECIMALS: usize = 9;

/// Writes a document.
///
/// # Errors
/// When it holds what no DTO that a browser sends has: bytes, tuples, variants with fields.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Unfit> {
    let mut out = String::new();
    value.serialize(Writer { out: &mut out })?;
    Ok(out)
}

impl ser::Error for Unfit {
    fn custom<T: Display>(_: T) -> Self {
        Self("unexpected value")
    }
}

const STRANGE: Unfit = Unfit("unexpected type");

struct Writer<'o> {
    out: &'o mut String,
}

impl Writer<'_> {
    // Writing into a String cannot fail.
    fn plain(self, value: &dyn Display) -> Result<(), Unfit> {
        let _ = write!(self.out, "{value}");
        Ok(())
    }

    fn open<'o>(out: &'o mut String, bracket: char, end: char) -> Many<'o> {
        out.push(bracket);
        Many { out, end, first: true }
    }
}

fn text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// To nine decimals; what has no number in JSON, and what is larger than anybody types, is `null`.
fn fraction(out: &mut String, value: f64) {
    if !value.is_finite() || value.abs() >= 1e9 {
        return out.push_str("null");
    }
    // Below 2^63: a billion has as many digits before the point as it gets behind it.
    let scaled = (value.abs() * 1e9).round() as u64;
    if value < 0.0 && scaled > 0 {
        out.push('-');
    }
    let _ = write!(out, "{}", scaled / 1_000_000_000);
    let mut rest = scaled % 1_000_000_000;
    if rest > 0 {
        let mut width = DECIMALS;
        while rest.is_multiple_of(10) {
            (rest, width) = (rest / 10, width - 1);
        }
        let _ = write!(out, ".{rest:0width$}");
    }
}

/// A list or an object under way.
struct Many<'o> {
    out: &'o mut String,
    end: char,
    first: bool,
}

impl Many<'_> {
    fn next(&mut self) -> &mut String {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        self.out
    }

    fn close(self) -> Result<(), Unfit> {
        self.out.push(self.end);
        Ok(())
    }
}

impl SerializeSeq for Many<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        value.serialize(Writer { out: self.next() })
    }

    fn end(self) -> Result<(), Unfit> {
        self.close()
    }
}

impl SerializeMap for Many<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        let out = self.next();
        let begin = out.len();
        key.serialize(Writer { out })?;
        // A key is a text.
        if out[begin..].starts_with('"') { Ok(()) } else { Err(STRANGE) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.out.push(':');
        value.serialize(Writer { out: self.out })
    }

    fn end(self) -> Result<(), Unfit> {
        self.close()
    }
}

impl SerializeStruct for Many<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Unfit> {
        text(self.next(), key);
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), Unfit> {
        self.close()
    }
}

impl<'o> Serializer for Writer<'o> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = Many<'o>;
    type SerializeMap = Many<'o>;
    type SerializeStruct = Many<'o>;
    type SerializeTuple = Impossible<(), Unfit>;
    type SerializeTupleStruct = Impossible<(), Unfit>;
    type SerializeTupleVariant = Impossible<(), Unfit>;
    type SerializeStructVariant = Impossible<(), Unfit>;

    fn serialize_bool(self, value: bool) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unfit> {
        self.plain(&value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unfit> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Unfit> {
        fraction(self.out, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Unfit> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Unfit> {
        text(self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unfit> {
        Err(STRANGE)
    }

    fn serialize_none(self) -> Result<(), Unfit> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unfit> {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unfit> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Unfit> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unfit> {
        Err(STRANGE)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Many<'o>, Unfit> {
        Ok(Self::open(self.out, '[', ']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unfit> {
        Err(STRANGE)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unfit> {
        Err(STRANGE)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unfit> {
        Err(STRANGE)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Many<'o>, Unfit> {
        Ok(Self::open(self.out, '{', '}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Many<'o>, Unfit> {
        Ok(Self::open(self.out, '{', '}'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unfit> {
        Err(STRANGE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn serde_json_reads_what_was_written() {
        for value in [
            json!(null),
            json!([true, false, null, [], {}]),
            json!({ "a": { "b": [1, -2, 0.5, 1.25, -0.000_001, 123_456.789] }, "": "x" }),
            json!("ü€😀 \" \\ / \n \r \t \u{1} \u{7f}"),
            json!([i64::MAX, i64::MIN, u64::MAX, 0.1, 0.3, 999_999_999.5]),
        ] {
            let text = to_string(&value).expect("written");
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value, "{text}");
        }
    }

    #[test]
    fn numbers_are_short_and_finite() {
        for (value, text) in
            [(0.0, "0"), (-0.0, "0"), (2.0, "2"), (1.50, "1.5"), (0.000_000_000_1, "0"), (f64::NAN, "null")]
        {
            assert_eq!(to_string(&value).expect("written"), text);
        }
    }

    #[test]
    fn what_has_no_place_in_json_is_refused() {
        assert!(to_string(&BTreeMap::from([(1, 2)])).is_err());
        assert!(to_string(&(1, 2)).is_err());
    }
}
