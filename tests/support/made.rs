//! Records of startle that only startle can build (`#[non_exhaustive]`), as a reader of `result.json` makes them.

/// `made!(Gap { start_s: 1.0, end_s, reason })`: by its JSON, in which a `place` is a `box`.
macro_rules! made {
    ($record:ty { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        /// The value, of the field's type.
        fn typed<R, T>(_: fn(&R) -> &T, value: T) -> T {
            value
        }
        let mut fields = serde_json::Map::new();
        $(
            let name = stringify!($field);
            let value = typed(|record: &$record| &record.$field, made!(@value $field $(: $value)?));
            let value = serde_json::to_value(value).expect("a value that JSON knows");
            fields.insert(if name == "place" { "box" } else { name }.to_owned(), value);
        )*
        serde_json::from_value::<$record>(fields.into()).expect("every field that has no default")
    }};
    (@value $field:ident : $value:expr) => { $value };
    (@value $field:ident) => { $field };
}
pub(crate) use made;
