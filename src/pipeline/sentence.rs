//! What happened, in plain words: colours, shapes and places from numbers.

use crate::surprise::{Account, PartKind, Thing};

/// A shape is named from this probability on; below, it is a thing.
const SURE: f32 = 0.6;
/// Colours with less saturation than this are greys.
const GREY: f32 = 0.2;
/// Two places are told apart when they are farther than this share of the picture.
const APART: f32 = 0.12;

/// The account of an event, a sentence.
pub(super) fn of(account: &Account) -> String {
    let (expected, seen) = (account.expected.as_ref(), account.seen.as_ref());
    let known = expected.or(seen);
    let thing = known.map_or_else(|| "Something".to_owned(), |thing| capital(&named(thing)));
    match (account.kind, expected, seen) {
        (PartKind::Missing, Some(at), _) => format!("{thing} expected {} was not seen.", place(at)),
        (PartKind::Missing, None, _) => format!("{thing} that was expected was not seen."),
        (PartKind::New, _, Some(at)) => {
            format!("{} appeared {} that nothing led to.", capital(&named(at)), place(at))
        }
        (PartKind::New, ..) => "Something appeared that nothing led to.".into(),
        (PartKind::Moved, Some(from), Some(to)) => moved(&thing, from, to),
        (PartKind::Moved, ..) => format!("{thing} is not where it should be."),
        (PartKind::Size, Some(from), Some(to)) => {
            let grew = to.half[0] * to.half[1] > from.half[0] * from.half[1];
            format!("{thing} {} {}.", if grew { "grew larger" } else { "became smaller" }, place(to))
        }
        (PartKind::Colour, Some(from), Some(to)) => {
            let (was, is) = (colour(from.colour), colour(to.colour));
            let thing = capital(&a(shape(from)));
            if was == is {
                format!("{thing} {} changed its {was}.", place(to))
            } else {
                format!("{thing} {} came out {is} instead of {was}.", place(to))
            }
        }
        (PartKind::Shape, Some(from), Some(to)) if shape(from) != shape(to) => {
            format!("{thing} {} came out as {}.", place(to), a(shape(to)))
        }
        (kind @ (PartKind::Size | PartKind::Colour | PartKind::Shape), ..) => {
            format!("{thing} changed its {}.", kind.name())
        }
    }
}

fn moved(thing: &str, from: &Thing, to: &Thing) -> String {
    let far = (0..2).map(|i| (from.centre[i] - to.centre[i]).abs()).fold(0.0, f32::max);
    let (was, is) = (place(from), place(to));
    if far > APART && was != is {
        format!("{thing} expected {was} was {is}.")
    } else {
        format!("{thing} {is} did not move as it had to.")
    }
}

fn named(thing: &Thing) -> String {
    a(&format!("{} {}", colour(thing.colour), shape(thing)))
}

fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Where in the picture, by thirds.
fn place(thing: &Thing) -> &'static str {
    let third = |share: f32| if share < 1.0 / 3.0 { 0 } else { usize::from(share > 2.0 / 3.0) + 1 };
    let [x, y] = thing.centre;
    let words = [
        ["at the upper left", "at the top", "at the upper right"],
        ["at the left", "in mid-picture", "at the right"],
        ["at the lower left", "at the bottom", "at the lower right"],
    ];
    words[third(y)][third(x)]
}

/// A shape in a word.
pub(super) fn shape(thing: &Thing) -> &'static str {
    let likeliest = (0..4).max_by(|a, b| thing.shapes[*a].total_cmp(&thing.shapes[*b])).unwrap_or(3);
    if thing.shapes[likeliest] < SURE { "thing" } else { ["ball", "box", "cylinder", "thing"][likeliest] }
}

/// A colour in a word, by hue, saturation and value.
pub(super) fn colour(rgb: [f32; 3]) -> &'static str {
    let [r, g, b] = rgb.map(|share| share.clamp(0.0, 1.0));
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let spread = most - least;
    if spread <= GREY * most || most < 0.12 {
        return match most {
            v if v < 0.2 => "black",
            v if v > 0.8 => "white",
            _ => "grey",
        };
    }
    let sixth = if most <= r {
        ((g - b) / spread).rem_euclid(6.0)
    } else if most <= g {
        (b - r) / spread + 2.0
    } else {
        (r - g) / spread + 4.0
    };
    match sixth * 60.0 {
        hue if !(18.0..340.0).contains(&hue) => "red",
        hue if hue < 45.0 && most < 0.55 => "brown",
        hue if hue < 45.0 => "orange",
        hue if hue < 70.0 => "yellow",
        hue if hue < 165.0 => "green",
        hue if hue < 195.0 => "turquoise",
        hue if hue < 255.0 => "blue",
        hue if hue < 290.0 => "purple",
        _ => "pink",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [f32; 3] = [0.85, 0.15, 0.12];
    const BLUE: [f32; 3] = [0.1, 0.2, 0.8];

    fn thing(x: f32, y: f32, colour: [f32; 3], shapes: [f32; 4]) -> Thing {
        Thing { centre: [x, y], half: [0.1, 0.1], colour, probability: 0.9, shapes }
    }

    fn told(kind: PartKind, expected: Option<Thing>, seen: Option<Thing>) -> String {
        of(&Account { kind, part: String::new(), expected, seen })
    }

    #[test]
    fn events_read_as_sentences() {
        use PartKind::{Colour, Missing, Moved, New, Shape, Size};
        let ball = [0.9, 0.1, 0.0, 0.0];
        let (left, right) = (thing(0.1, 0.5, RED, ball), thing(0.9, 0.2, RED, ball));
        let blue = Thing { colour: BLUE, ..left };
        let small = Thing { half: [0.05, 0.05], ..left };
        let unsure = thing(0.5, 0.5, [0.9, 0.6, 0.1], [0.4, 0.3, 0.3, 0.0]);
        let cube = Thing { shapes: [0.0, 1.0, 0.0, 0.0], ..left };
        for (kind, expected, seen, sentence) in [
            (Missing, Some(left), None, "A red ball expected at the left was not seen."),
            (Missing, None, None, "Something that was expected was not seen."),
            (New, None, Some(unsure), "An orange thing appeared in mid-picture that nothing led to."),
            (New, None, None, "Something appeared that nothing led to."),
            (Moved, Some(left), Some(right), "A red ball expected at the left was at the upper right."),
            (Moved, Some(left), Some(left), "A red ball at the left did not move as it had to."),
            (Colour, Some(left), Some(blue), "A ball at the left came out blue instead of red."),
            (Size, Some(left), Some(small), "A red ball became smaller at the left."),
            (Shape, Some(left), Some(cube), "A red ball at the left came out as a box."),
            (Shape, Some(left), Some(left), "A red ball changed its shape."),
        ] {
            assert_eq!(told(kind, expected, seen), sentence);
        }
    }

    #[test]
    fn colours_have_their_usual_names() {
        for (rgb, name) in [
            ([0.05, 0.05, 0.05], "black"),
            ([0.5, 0.5, 0.52], "grey"),
            ([0.95, 0.95, 0.9], "white"),
            (RED, "red"),
            ([0.95, 0.5, 0.1], "orange"),
            ([0.4, 0.22, 0.1], "brown"),
            ([0.9, 0.85, 0.1], "yellow"),
            ([0.2, 0.7, 0.2], "green"),
            ([0.1, 0.75, 0.75], "turquoise"),
            (BLUE, "blue"),
            ([0.5, 0.15, 0.75], "purple"),
            ([0.9, 0.3, 0.7], "pink"),
            ([2.0, -1.0, 0.0], "red"),
        ] {
            assert_eq!(colour(rgb), name, "{rgb:?}");
        }
    }
}
