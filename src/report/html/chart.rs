//! The place of the curve and its controls; the script draws.

use maud::{Markup, html};

/// The section's HTML; `unit`: of the surprise.
pub fn chart(unit: &str) -> Markup {
    html! {
        section.chart aria-label="Surprise over time" {
            div.bar {
                p id="readout" aria-live="off" { span.quiet { "Surprise, " (unit) } }
                (tools())
            }
            div id="chart" data-unit=(unit) {}
            input id="pan" type="range" min="0" max="1000" value="0" hidden
                aria-label="part of the video that is shown";
            p.note id="map-key" hidden {}
            p.keys {
                "Click or drag the curve to move through the video. Keys: " kbd { "←" } " " kbd { "→" } " one step, "
                kbd { "n" } " " kbd { "p" } " next and previous event, " kbd { "space" } " play, " kbd { "+" } " "
                kbd { "−" } " zoom, " kbd { "h" } " heat map, " kbd { "l" } " loop, " kbd { "s" } " slow motion"
                span id="objects-key" hidden { ", " kbd { "o" } " objects" } "."
            }
            noscript { p.note {
                "The curve needs JavaScript; " code { "surprise.svg" } " beside this page shows it without."
            } }
        }
    }
}

fn tools() -> Markup {
    html! {
        div.tools {
            button id="prev" title="previous event (p)" aria-label="previous event" { "‹ event" }
            button id="next" title="next event (n)" aria-label="next event" { "event ›" }
            button id="loop" aria-pressed="false" title="play the event again and again (l)" hidden { "loop" }
            button id="speed" title="speed: full, half, a quarter (s)" aria-label="speed 1×" hidden { "1×" }
            button id="show-heat" aria-pressed="true" title="heat map over the video (h)" { "heat map" }
            label id="show-objects-label" title="boxes of the objects that the model sees (o)" hidden {
                input id="show-objects" type="checkbox" checked;
                " objects"
            }
            span.zoom {
                button id="zoom-out" title="zoom out (−)" aria-label="zoom out" { "−" }
                button id="zoom-fit" title="whole video (0)" { "all" }
                button id="zoom-in" title="zoom in (+)" aria-label="zoom in" { "+" }
            }
        }
    }
}
