//! One event on the page: its pictures, what happened in words, its numbers.

use super::super::words;
use super::text::escape;
use crate::record::{Event, HeatMap, InputReport, Look, Report, Still, What};
use crate::units::PixelBox;

/// An event: what happened, in pictures, words and numbers.
pub fn card(event: &Event, report: &Report, with_picture: bool) -> String {
    let id = event.id;
    let picture = if with_picture { picture(event, &report.input) + &strip(event) } else { String::new() };
    let jump = |name: &str, t: f64| {
        format!("<div><dt>{name}</dt><dd><button class=\"jump\" data-t=\"{t}\">{}</button></dd></div>", words::time(t))
    };
    let fact = |name: &str, value: String| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let [x0, y0, x1, y1] = event.place.map(f32::round);
    let p = event.p_value.map_or("unknown".to_owned(), |p| words::number(f64::from(p)));
    let per_hour = event.per_hour.map_or("unknown".to_owned(), |rate| format!("{} an hour", words::number(rate)));
    let told =
        event.what.as_ref().map_or(String::new(), |what| format!("<p class=\"what\">{}</p>", escape(&what.sentence)));
    let looks = event.what.as_ref().map_or(String::new(), looks);
    let title = words::event_title(event);
    let evidence = escape(&words::evidence(event, report));
    let replay = format!(
        "<span class=\"replay\" hidden><button class=\"loop\" data-id=\"{id}\" aria-pressed=\"false\" \
         aria-label=\"Play event {id} again and again\">loop</button><button class=\"slow\" data-id=\"{id}\" \
         aria-pressed=\"false\" aria-label=\"Play event {id} again and again, slowly\">slow motion</button></span>"
    );
    format!(
        "<li class=\"event\" id=\"event-{id}\" data-id=\"{id}\"><div class=\"head-line\"><h3>{title}</h3>{replay}</div>\
         {told}{picture}<p class=\"evidence\">{evidence}</p>{looks}<dl>{}{}{}{}{}{}{}{}</dl></li>\n",
        jump("onset", event.onset_s),
        jump("peak", event.peak_s),
        jump("end", event.end_s),
        fact("surprise", words::number(f64::from(event.score))),
        fact("z", words::number(f64::from(event.z))),
        fact("p-value", p),
        fact("on normal footage", per_hour),
        fact("place", format!("x {x0}–{x1}, y {y0}–{y1} px")),
    )
}

/// The colours of what was expected and of what was seen.
fn looks(what: &What) -> String {
    let swatch = |name: &str, class: &str, look: Option<&Look>| {
        look.map_or(String::new(), |look| {
            let [r, g, b] = look.rgb;
            format!(
                "<span class=\"{class}\"><i style=\"background:rgb({r},{g},{b})\"></i>{name}: {} {}</span>",
                escape(&look.colour),
                escape(&look.shape)
            )
        })
    };
    format!(
        "<p class=\"looks\">{}{}</p>",
        swatch("expected", "expected", what.expected.as_ref()),
        swatch("seen", "seen", what.seen.as_ref())
    )
}

/// The boxes of an event: where it was expected and where it is, or the one that there is.
fn boxes(event: &Event, input: &InputReport) -> String {
    let (width, height) = (input.width.max(1) as f32, input.height.max(1) as f32);
    let share = |v: f32, of: f32| (v / of * 100.0).clamp(0.0, 100.0);
    let one = |class: &str, [x0, y0, x1, y1]: PixelBox| {
        format!(
            "<span class=\"{class}\" style=\"left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%\"></span>",
            share(x0, width),
            share(y0, height),
            share(x1 - x0, width),
            share(y1 - y0, height)
        )
    };
    let expected = event.what.as_ref().and_then(|what| what.expected.as_ref());
    let seen = event.what.as_ref().and_then(|what| what.seen.as_ref());
    match (expected, seen) {
        (None, None) => one("box", event.place),
        (expected, seen) => {
            let expected = expected.map_or(String::new(), |look| one("box expected", look.place));
            expected + &seen.map_or(String::new(), |look| one("box", look.place))
        }
    }
}

/// A picture of ours as an element; empty for anything else: base64 has no character that could leave the attribute.
fn image(base64: &str, alt: &str) -> String {
    if super::is_base64(base64) {
        format!("<img alt=\"{alt}\" src=\"data:image/jpeg;base64,{base64}\">")
    } else {
        String::new()
    }
}

/// Before, at and after, as buttons that go there; empty where only the peak was kept.
fn strip(event: &Event) -> String {
    let still = |name: &str, t: f64, picture: &str| {
        format!(
            "<li><button class=\"jump\" data-t=\"{t}\" aria-label=\"Go to {}, {name} event {}\">{}<span>{name} \
             <b>{}</b></span></button></li>",
            words::time(t),
            event.id,
            image(picture, ""),
            words::time(t)
        )
    };
    if event.around.is_empty() {
        return String::new();
    }
    let side = |still: &&Still| if still.t_s < event.peak_s { "before" } else { "after" };
    let (before, after): (Vec<&Still>, Vec<&Still>) = event.around.iter().partition(|still| side(still) == "before");
    let all = |stills: Vec<&Still>| -> String { stills.iter().map(|s| still(side(s), s.t_s, &s.picture)).collect() };
    let peak = still("at", event.peak_s, &event.thumbnail);
    format!("<ol class=\"strip\">{}{peak}{}</ol>", all(before), all(after))
}

/// The picture at the peak under its heat map and boxes; a button that goes there.
fn picture(event: &Event, input: &InputReport) -> String {
    let (width, height) = (input.width.max(1) as f32, input.height.max(1) as f32);
    let image = image(&event.thumbnail, "");
    format!(
        "<button class=\"thumb jump\" data-t=\"{}\" style=\"aspect-ratio:{width}/{height}\" \
         aria-label=\"Go to the peak of event {}, {}\">{image}{}<canvas aria-hidden=\"true\"></canvas>\
         {}</button>",
        event.peak_s,
        event.id,
        words::time(event.peak_s),
        heat_hint(&event.heat),
        boxes(event, input),
    )
}

/// Says so when an event carries no heat map, so that its absence is not read as calm.
fn heat_hint(heat: &HeatMap) -> &'static str {
    if heat.values.is_empty() { "<span class=\"note\">no heat map</span>" } else { "" }
}
