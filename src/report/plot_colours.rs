//! The colours of the plots, as plotters takes them.

use super::palette::{LIGHT, Rgb};
use plotters::style::RGBColor;

pub(super) const INK: RGBColor = rgb(LIGHT.ink);
pub(super) const MUTED: RGBColor = rgb(LIGHT.muted);
pub(super) const GRID: RGBColor = rgb(LIGHT.line);
pub(super) const BAND: RGBColor = rgb(LIGHT.band);
pub(super) const CURVE: RGBColor = rgb(LIGHT.curve);
pub(super) const MOTION_FILL: RGBColor = rgb(LIGHT.motion);
pub(super) const EVENT: RGBColor = rgb(LIGHT.event);
pub(super) const THRESHOLD: RGBColor = rgb(LIGHT.threshold);

pub(super) const fn rgb([r, g, b]: Rgb) -> RGBColor {
    RGBColor(r, g, b)
}
