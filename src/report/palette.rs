//! The colours of pages, plots and annotated film, and the style that all pages share.
//!
//! Invariant: they are those of `assets/base.css`, which the dashboard has too (a test compares them).

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// The style of every page of results.
pub(super) const CSS: &str = concat!(include_str!("../assets/base.css"), include_str!("assets/report.css"));

/// Colours by what they are for.
pub(super) struct Palette {
    pub(super) ground: Rgb,
    pub(super) surface: Rgb,
    pub(super) ink: Rgb,
    pub(super) muted: Rgb,
    pub(super) line: Rgb,
    pub(super) curve: Rgb,
    pub(super) event: Rgb,
    pub(super) threshold: Rgb,
    pub(super) motion: Rgb,
    pub(super) band: Rgb,
}

/// On a light ground: plots.
pub(super) const LIGHT: Palette = Palette {
    ground: [247, 248, 249],
    surface: [255, 255, 255],
    ink: [28, 36, 48],
    muted: [90, 102, 117],
    line: [225, 229, 234],
    curve: [36, 84, 154],
    event: [194, 48, 74],
    threshold: [143, 90, 8],
    motion: [195, 206, 217],
    band: [230, 233, 237],
};

/// On a dark ground: what is drawn into film.
pub(super) const DARK: Palette = Palette {
    ground: [17, 21, 27],
    surface: [25, 31, 39],
    ink: [229, 233, 239],
    muted: [155, 167, 182],
    line: [43, 52, 64],
    curve: [134, 181, 255],
    event: [255, 128, 144],
    threshold: [227, 176, 90],
    motion: [59, 71, 87],
    band: [38, 46, 57],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_pages() {
        let (light, dark) = CSS.split_once("prefers-color-scheme: dark").unwrap();
        for (css, palette) in [(light, &LIGHT), (dark, &DARK)] {
            let Palette { ground, surface, ink, muted, line, curve, event, threshold, motion, band } = palette;
            for (name, colour) in [
                ("bg", ground),
                ("surface", surface),
                ("ink", ink),
                ("muted", muted),
                ("line", line),
                ("curve", curve),
                ("event", event),
                ("threshold", threshold),
                ("motion", motion),
                ("band", band),
            ] {
                let [r, g, b] = colour;
                let rule = format!("--{name}: #{r:02x}{g:02x}{b:02x};");
                assert!(css.contains(&rule), "{rule}");
            }
        }
    }
}
