//! The page's files, inside the program.

/// A file of the page: its name, its media type, its bytes.
type Asset = (&'static str, &'static str, &'static [u8]);

const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// The page itself.
pub(super) const PAGE: &str = include_str!("assets/index.html");
/// A unit for systemd, to be adapted.
pub const SYSTEMD: &str = include_str!("files/startle.service");
/// A dashboard for Grafana.
pub const GRAFANA: &str = include_str!("files/grafana.json");

const ASSETS: [Asset; 6] = [
    (
        "dashboard.css",
        CSS,
        concat!(include_str!("../../assets/base.css"), include_str!("assets/dashboard.css")).as_bytes(),
    ),
    ("dashboard.js", JS, include_bytes!("assets/dashboard.js")),
    ("camera.js", JS, include_bytes!("assets/camera.js")),
    ("events.js", JS, include_bytes!("assets/events.js")),
    ("uplot.js", JS, include_bytes!("assets/uplot/uPlot.iife.min.js")),
    ("uplot.css", CSS, include_bytes!("assets/uplot/uPlot.min.css")),
];

/// A file of the page.
pub(super) fn asset(name: &str) -> Option<(&'static str, &'static [u8])> {
    ASSETS.iter().find(|(known, ..)| *known == name).map(|(_, kind, bytes)| (*kind, *bytes))
}
