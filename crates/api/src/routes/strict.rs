//! JSON as the description of the API has it: an object is an object.
//!
//! Readers that serde derives also take a list of values for an object, in the order of its fields.
//! Nobody means that, the description does not allow it, and a list that was meant otherwise would be
//! misunderstood. Here it is refused, however deep it stands.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// A value that is read strictly.
pub(super) struct Strict(pub(super) Value);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(values) => {
                let mut values = SeqDeserializer::new(values.into_iter().map(Strict));
                let read = visitor.visit_seq(&mut values)?;
                values.end()?;
                Ok(read)
            }
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Strict(value)));
                let mut fields = MapDeserializer::new(fields);
                let read = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(read)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Other("a list"), &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    enum Kind {
        Small,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        size: i32,
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        many: Vec<Inner>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
    }

    fn read(value: Value) -> Result<Outer, String> {
        Outer::deserialize(Strict(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_right_is_read() {
        let all = json!({ "name": "a", "inner": { "size": 1, "kind": "SMALL" },
            "many": [{ "size": 2, "kind": null }], "labels": { "x": "y" } });
        let outer = read(all).unwrap();
        assert_eq!(outer.inner, Some(Inner { size: 1, kind: Some(Kind::Small) }));
        assert_eq!(outer.many, [Inner { size: 2, kind: None }]);
        assert_eq!(outer.labels["x"], "y");
        assert_eq!(read(json!({ "name": "a", "inner": null })).unwrap().inner, None);
    }

    #[test]
    fn a_list_is_no_object_however_deep() {
        for value in [
            json!(["a"]),
            json!({ "name": "a", "inner": [1, null] }),
            json!({ "name": "a", "many": [[1, null]] }),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains("a list, expected an object"), "{value}: {error}");
        }
    }

    #[test]
    fn other_wrong_values_are_refused_as_ever() {
        for value in [
            json!({}),
            json!({ "name": 1 }),
            json!({ "name": "a", "inner": { "size": 1, "more": 2 } }),
            json!({ "name": "a", "inner": { "size": 1, "kind": "LARGE" } }),
            json!({ "name": "a", "inner": { "size": 5_000_000_000_i64 } }),
        ] {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }
}
