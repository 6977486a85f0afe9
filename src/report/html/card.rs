//! One event on the page: its pictures, what happened in words, its numbers.

use super::super::words;
use super::parts::{facts, jump};
use crate::record::{Event, InputReport, Look, Report, Still, What};
use maud::{Markup, html};

/// An event: what happened, in pictures, words and numbers.
pub fn card(event: &Event, report: &Report, with_picture: bool) -> Markup {
    let id = event.id;
    let [x0, y0, x1, y1] = event.place.map(f32::round);
    let p = event.p_value.map_or("unknown".to_owned(), |p| words::number(f64::from(p)));
    let per_hour = event.per_hour.map_or("unknown".to_owned(), |rate| format!("{} an hour", words::number(rate)));
    let numbers = [
        ("surprise", words::number(f64::from(event.score))),
        ("z", words::number(f64::from(event.z))),
        ("p-value", p),
        ("on normal footage", per_hour),
        ("place", format!("x {x0}–{x1}, y {y0}–{y1} px")),
    ];
    let again = format!("Play event {id} again and again");
    html! {
        li.event id={ "event-" (id) } data-id=(id) {
            div.head-line {
                h3 { (words::event_title(event)) }
                span.replay hidden {
                    button.loop data-id=(id) aria-pressed="false" aria-label=(again) { "loop" }
                    button.slow data-id=(id) aria-pressed="false" aria-label={ (again) ", slowly" } { "slow motion" }
                }
            }
            @if let Some(what) = &event.what { p.what { (what.sentence) } }
            @if with_picture {
                (picture(event, &report.input))
                (strip(event))
            }
            p.evidence { (words::evidence(event, report)) }
            @if let Some(what) = &event.what { (looks(what)) }
            dl {
                @for (name, t) in [("onset", event.onset_s), ("peak", event.peak_s), ("end", event.end_s)] {
                    div { dt { (name) } dd { (jump(t)) } }
                }
                (facts(numbers))
            }
        }
    }
}

/// The colours of what was expected and of what was seen.
fn looks(what: &What) -> Markup {
    html! {
        p.looks {
            @for (name, look) in [("expected", &what.expected), ("seen", &what.seen)] {
                @if let Some(Look { rgb: [r, g, b], colour, shape, .. }) = look {
                    span class=(name) {
                        i style={ "background:rgb(" (r) "," (g) "," (b) ")" } {}
                        (name) ": " (colour) " " (shape)
                    }
                }
            }
        }
    }
}

/// The boxes of an event: where it was expected and where it is, or the one that there is.
fn boxes(event: &Event, input: &InputReport) -> Markup {
    let (width, height) = (input.width.max(1) as f32, input.height.max(1) as f32);
    let share = |v: f32, of: f32| format!("{:.2}%", (v / of * 100.0).clamp(0.0, 100.0));
    let look = |of: fn(&What) -> Option<&Look>| event.what.as_ref().and_then(of).map(|look| look.place);
    let expected = look(|what| what.expected.as_ref());
    let seen = look(|what| what.seen.as_ref()).or(expected.is_none().then_some(event.place));
    html! {
        @for (is_expected, place) in [(true, expected), (false, seen)] {
            @if let Some([x0, y0, x1, y1]) = place {
                span.box.expected[is_expected] style={
                    "left:" (share(x0, width)) ";top:" (share(y0, height))
                    ";width:" (share(x1 - x0, width)) ";height:" (share(y1 - y0, height))
                } {}
            }
        }
    }
}

/// A picture of ours as an element; empty for anything else.
fn image(base64: &str) -> Markup {
    html! { @if let Some(src) = super::jpeg(base64) { img alt="" src=(src); } }
}

/// Before, at and after, as buttons that go there; empty where only the peak was kept.
fn strip(event: &Event) -> Markup {
    if event.around.is_empty() {
        return html! {};
    }
    let (before, after): (Vec<&Still>, Vec<&Still>) = event.around.iter().partition(|still| still.t_s < event.peak_s);
    let side = |name, stills: Vec<&Still>| html! { @for s in stills { (still(name, s.t_s, event.id, &s.picture)) } };
    html! {
        ol.strip {
            (side("before", before))
            (still("at", event.peak_s, event.id, &event.thumbnail))
            (side("after", after))
        }
    }
}

fn still(name: &str, t: f64, id: u32, picture: &str) -> Markup {
    let time = words::time(t);
    html! {
        li { button.jump data-t=(t) aria-label={ "Go to " (time) ", " (name) " event " (id) } {
            (image(picture))
            span { (name) " " b { (time) } }
        } }
    }
}

/// The picture at the peak under its heat map and boxes; a button that goes there. That an event carries no heat map is
/// said, so that its absence is not read as calm.
fn picture(event: &Event, input: &InputReport) -> Markup {
    html! {
        button.thumb.jump data-t=(event.peak_s) style={ "aspect-ratio:" (input.width.max(1)) "/" (input.height.max(1)) }
            aria-label={ "Go to the peak of event " (event.id) ", " (words::time(event.peak_s)) } {
            (image(&event.thumbnail))
            @if event.heat.values.is_empty() { span.note { "no heat map" } }
            canvas aria-hidden="true" {}
            (boxes(event, input))
        }
    }
}
