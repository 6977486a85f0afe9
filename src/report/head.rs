//! The beginning of a `result.json`: whose it is, read no further than that.

use super::claim::Subject;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Bytes read at a time: schema and input lie in the first of them.
const CHUNK: usize = 4096;

#[derive(Default)]
struct Head {
    schema: Option<String>,
    input: Option<Subject>,
}

/// Schema and input of a `result.json`; `None` when it is not there or is something else.
pub(super) fn head(path: &Path) -> Option<(String, Subject)> {
    let file = File::open(path).ok()?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(CHUNK, file));
    let mut head = Head::default();
    // That the rest was not read is an error, too.
    let _ = json.deserialize_map(Fields(&mut head));
    head.schema.zip(head.input)
}

/// Stops as soon as both are known.
struct Fields<'a>(&'a mut Head);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result.json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "schema" => self.0.schema = Some(map.next_value()?),
                "input" => self.0.input = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if self.0.schema.is_some() && self.0.input.is_some() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            head(&path)
        };
        let (schema, input) =
            of(r#"{"a": [1, {}], "input": {"path": "x", "fps": 3, "sha256": null}, "schema": "s/1", "curve": [broken"#)
                .unwrap();
        assert_eq!((schema.as_str(), input.path.as_str(), input.sha256), ("s/1", "x", None));
        for none in ["", "[]", "{}", r#"{"schema": "s/1"}"#, r#"{"schema": 1, "input": {"path": "x"}}"#] {
            assert!(of(none).is_none(), "{none}");
        }
        assert!(head(&dir.path().join("none")).is_none());
    }
}
