//! Putting text from outside into a page: the only way there is through here.

use super::super::words;

/// Text for an element's content or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if words::is_deceptive(c) => safe.push('\u{fffd}'),
            _ => safe.push(c),
        }
    }
    safe
}

/// JSON for a `<script type="application/json">` element, where only `<` could end it or open a comment.
pub fn script_json(value: &serde_json::Value) -> String {
    script_text(&value.to_string())
}

/// The same of JSON that is text already.
pub fn script_text(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A relative path as a link: each part percent-encoded, separators kept.
pub fn href(path: &str) -> String {
    let digit = |four: u8| char::from(b"0123456789ABCDEF"[usize::from(four)]);
    let mut link = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => link.push(byte as char),
            b'\\' if cfg!(windows) => link.push('/'),
            _ => link.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    link
}

/// Replaces each `{{name}}` of a template by its value; values are not looked at again.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + values.iter().map(|v| v.1.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(values.iter().find(|v| v.0 == name).map_or("", |v| v.1));
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape(r#"<script>"'&"#), "&lt;script&gt;&quot;&#39;&amp;");
        let json = script_json(&serde_json::json!({"name": "</script><!--\u{2028}"}));
        assert!(!json.contains('<') && !json.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["name"], "</script><!--\u{2028}");
        assert_eq!(href("../a b/ü\"?.mp4"), "../a%20b/%C3%BC%22%3F.mp4");
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_is_left_alone() {
        assert_eq!(fill("<b>{{a}}</b>{{b}}{{c}}", &[("a", "{{b}}"), ("b", "x")]), "<b>{{b}}</b>x");
    }
}
