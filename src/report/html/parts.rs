//! What pages are made of beside their own templates: the frame around them, data for their scripts, links.
//!
//! Invariant: templates escape by themselves what they are given; what deceives without being markup is made visible
//! here, in the frame.

use super::super::{palette, words};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A page: its head with the style of all pages and `css` of its own, its body, its scripts.
pub fn document(title: &str, made_by: Option<&str>, css: &str, body: Markup, scripts: &Markup) -> String {
    let shown = |markup: Markup| PreEscaped(markup.0.replace(words::is_deceptive, "\u{fffd}"));
    let head = html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        @if let Some(version) = made_by { meta name="generator" content={ "startle " (version) }; }
        title { (title) }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (shown(head)) style { (PreEscaped(palette::CSS)) (PreEscaped(css)) } }
            body { (shown(body)) (scripts) }
        }
    };
    page.into_string()
}

/// A page that is a list: a title, a sentence, tables.
pub fn listing(title: &str, lead: &str, tables: &Markup) -> String {
    let css = ".scroll h2 { margin: 1.75rem 0 .5rem; } .scroll ul { padding-left: 1.2rem; }";
    let body = html! {
        header.top {
            p.brand { "startle" }
            h1 { (title) }
            p.lead { (lead) }
        }
        main { div.scroll tabindex="0" role="region" aria-label=(title) { (tables) } }
    };
    document(&format!("startle: {title}"), None, css, body, &html! {})
}

/// A section under a heading of its own.
pub fn section(id: &str, heading: &str, content: &Markup) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (heading) }
            (content)
        }
    }
}

/// The settings, folded away.
pub fn settings(heading: &str, content: &Markup) -> Markup {
    html! {
        section aria-labelledby="settings" {
            details {
                summary { h2 id="settings" { (heading) } }
                (content)
            }
        }
    }
}

/// Names and what stands for them, as items of a list of descriptions.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
}

/// A button that goes to a moment of the video.
pub fn jump(t: f64) -> Markup {
    html! { button.jump data-t=(t) { (words::time(t)) } }
}

/// JSON for a `<script type="application/json">` element, where only `<` could end it or open a comment.
pub fn script_json(value: &serde_json::Value) -> Markup {
    PreEscaped(script_text(&value.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let json = script_json(&serde_json::json!({"name": "</script><!--\u{2028}"})).0;
        assert!(!json.contains('<') && !json.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["name"], "</script><!--\u{2028}");
        assert_eq!(href("../a b/ü\"?.mp4"), "../a%20b/%C3%BC%22%3F.mp4");
    }

    #[test]
    fn what_deceives_becomes_a_mark_but_in_the_scripts_data() {
        let scripts = html! { script { "\u{202e}" } };
        let body = html! { p title=("\u{85}") { (words::count(2, "<b>\u{202e}")) } };
        let page = document("\u{1}", Some("\u{202e}"), "", body, &scripts);
        assert_eq!((page.matches('\u{fffd}').count(), page.matches('\u{202e}').count()), (4, 1));
        assert!(page.contains("2 &lt;b&gt;\u{fffd}s"));
    }
}
