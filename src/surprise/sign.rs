//! What speaks for an event in a scene of things: the rank of each part, where it is, and what it adds up to.

use super::{Footing, PartKind, Scene, Thing};

/// Another sign counts beside the main one when its rank is at least this share of it.
const BESIDE: f32 = 0.5;
/// Two things look alike when their colours are no further apart than this (0..1, root of the summed squares)…
const ALIKE_COLOUR: f32 = 0.3;
/// …and neither is more than so many times as wide or as high.
const ALIKE_SIZE: f32 = 1.7;

/// The strongest row of the parts of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// What it is about.
    pub kind: PartKind,
    /// Name of the part.
    pub part: String,
    /// Its rank: `−log10` of how often lawful footage has as much.
    pub rank: f32,
    /// What was expected.
    pub expected: Option<Thing>,
    /// What was seen.
    pub seen: Option<Thing>,
}

impl Sign {
    /// The thing that it is about: what is missing where it was expected, all else where it is.
    pub fn about(&self) -> Option<&Thing> {
        about(self.kind, (self.expected.as_ref(), self.seen.as_ref()))
    }
}

/// What an event is.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// What happened.
    pub kind: PartKind,
    /// The part of the energy that gave it away.
    pub part: String,
    /// What was expected, and where.
    pub expected: Option<Thing>,
    /// What was seen instead.
    pub seen: Option<Thing>,
}

impl Account {
    /// From the strongest sign at an event's peak and others during it: what is missing here and new there, and looks the
    /// same, is one thing that moved as it could not.
    pub fn of<'a>(main: &Sign, others: impl Iterator<Item = &'a Sign>) -> Self {
        let (expected, seen) = (main.expected, main.seen);
        let own = Self { kind: main.kind, part: main.part.clone(), expected, seen };
        let wanted = match main.kind {
            PartKind::Missing => PartKind::New,
            PartKind::New => PartKind::Missing,
            _ => return own,
        };
        let strong = others.filter(|sign| sign.kind == wanted && sign.rank >= BESIDE * main.rank);
        let (here, alike) = (main.about(), |sign: &&Sign| match (main.about(), sign.about()) {
            (Some(one), Some(other)) => look_alike(one, other),
            _ => false,
        });
        match (strong.filter(alike).max_by(|a, b| a.rank.total_cmp(&b.rank)), here) {
            (Some(other), Some(here)) => {
                let there = other.about().copied();
                let (expected, seen) =
                    if main.kind == PartKind::Missing { (Some(*here), there) } else { (there, Some(*here)) };
                Self { kind: PartKind::Moved, expected, seen, ..own }
            }
            _ => own,
        }
    }
}

fn look_alike(a: &Thing, b: &Thing) -> bool {
    let colour = a.colour.iter().zip(b.colour).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let size = |a: f32, b: f32| a.max(b) <= ALIKE_SIZE * a.min(b);
    colour <= ALIKE_COLOUR && a.half.iter().zip(b.half).all(|(a, b)| size(*a, b))
}

fn about<'a>(kind: PartKind, (expected, seen): (Option<&'a Thing>, Option<&'a Thing>)) -> Option<&'a Thing> {
    if kind == PartKind::Missing { expected.or(seen) } else { seen.or(expected) }
}

/// What a slot's scene comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weighed {
    /// The largest rank.
    pub surprise: f32,
    /// The strongest sign of each kind that has one, the strongest first.
    pub signs: Vec<Sign>,
    /// `grid²` values, row-major: the largest rank of what is about a thing there.
    pub heat: Vec<f32>,
    /// The largest rank of each part.
    pub parts: Vec<f32>,
}

/// Ranks every part of every row; rows about a thing whose middle lies in no `watched` cell (none named: all are) do not
/// count.
pub(super) fn weigh(scene: &Scene, footing: &Footing, grid: usize, watched: &[bool]) -> Weighed {
    let mut best: Vec<(f32, usize, usize)> = vec![(0.0, 0, 0); PartKind::ALL.len()];
    let (mut surprise, mut heat) = (0.0_f32, vec![0.0_f32; grid * grid]);
    let mut parts = vec![0.0_f32; scene.parts.len()];
    for (row, energies) in scene.energy.outer_iter().enumerate() {
        let (expected, seen) = scene.things(row);
        for (part, &energy) in energies.iter().enumerate().filter(|(_, energy)| **energy > 0.0) {
            let kind = scene.parts[part].kind;
            let thing = about(kind, (expected.as_ref(), seen.as_ref()));
            if !thing.is_none_or(|thing| watched.is_empty() || watched[cell_of(thing.centre, grid)]) {
                continue;
            }
            let rank = footing.rank(part, energy);
            surprise = surprise.max(rank);
            parts[part] = parts[part].max(rank);
            if let Some(thing) = thing {
                paint(&mut heat, grid, thing, rank);
            }
            let strongest = &mut best[kind as usize];
            if rank > strongest.0 {
                *strongest = (rank, row, part);
            }
        }
    }
    best.retain(|(rank, _, _)| *rank > 0.0);
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let sign = |(rank, row, part): (f32, usize, usize)| {
        let (expected, seen) = scene.things(row);
        Sign { kind: scene.parts[part].kind, part: scene.parts[part].name.clone(), rank, expected, seen }
    };
    Weighed { surprise, signs: best.into_iter().map(sign).collect(), heat, parts }
}

/// The cell of a point, the nearest one for what lies outside.
fn cell_of([x, y]: [f32; 2], grid: usize) -> usize {
    index(y, grid) * grid + index(x, grid)
}

fn index(share: f32, grid: usize) -> usize {
    ((share * grid as f32) as usize).min(grid.saturating_sub(1))
}

/// Raises the cells that a thing's box touches to `value`.
fn paint(heat: &mut [f32], grid: usize, thing: &Thing, value: f32) {
    let [x0, y0, x1, y1] = thing.sides().map(|share| index(share, grid));
    for row in y0..=y1 {
        for cell in &mut heat[row * grid + x0..=row * grid + x1] {
            *cell = cell.max(value);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Part, Rank};
    use super::*;
    use ndarray::{Array2, aview1};

    pub(in super::super) fn thing(x: f32, y: f32, colour: [f32; 3]) -> Thing {
        Thing { centre: [x, y], half: [0.1, 0.1], colour, probability: 0.9, shapes: [0.9, 0.1, 0.0, 0.0] }
    }

    /// Two rows, one of a file and one of what was seen; three parts.
    pub(in super::super) fn scene(energy: [f32; 6], expected: Option<Thing>, seen: Option<Thing>) -> Scene {
        let part = |name: &str, kind| Part { name: name.into(), kind };
        let parts = [part("missing", PartKind::Missing), part("new", PartKind::New), part("place", PartKind::Moved)];
        Scene {
            parts: parts.into(),
            energy: Array2::from_shape_vec((2, 3), energy.into()).unwrap(),
            expected: vec![expected, None],
            seen: vec![None, seen],
        }
    }

    const RED: [f32; 3] = [0.9, 0.1, 0.1];
    const BLUE: [f32; 3] = [0.1, 0.1, 0.9];

    #[test]
    fn the_rarest_part_wins_and_is_painted_where_it_is() {
        let ranks = [("missing", 1.0), ("new", 20.0), ("place", 1.0)]
            .map(|(name, scale)| Rank::learn(name.into(), (0..1000).map(|i| i as f32 / 1000.0 * scale).collect()));
        let footing = Footing::Parts(ranks.into());
        // 5 nats of new are common on this footage, 3 nats of missing were never seen.
        let scene = scene([3.0, 0.0, 0.0, 0.0, 5.0, 0.0], Some(thing(0.1, 0.1, RED)), Some(thing(0.9, 0.9, BLUE)));
        let weighed = weigh(&scene, &footing, 4, &[]);
        assert_eq!(weighed.signs.iter().map(|s| s.kind).collect::<Vec<_>>(), [PartKind::Missing, PartKind::New]);
        assert_eq!(weighed.surprise, weighed.signs[0].rank);
        assert_eq!(weighed.parts, [weighed.signs[0].rank, weighed.signs[1].rank, 0.0]);
        assert_eq!((weighed.heat[0], weighed.heat[15]), (weighed.signs[0].rank, weighed.signs[1].rank));
        assert_eq!(weighed.heat[5], 0.0);
        let mut right = vec![true; 16];
        right[0] = false;
        let watched = weigh(&scene, &footing, 4, &right);
        assert_eq!(watched.signs.iter().map(|s| s.kind).collect::<Vec<_>>(), [PartKind::New]);
        assert_eq!(watched.heat[0], 0.0);
    }

    #[test]
    fn what_is_missing_here_and_new_there_and_looks_the_same_has_jumped() {
        let sign = |kind, rank, expected, seen| Sign { kind, part: String::new(), rank, expected, seen };
        let (here, there) = (thing(0.1, 0.1, RED), thing(0.8, 0.8, RED));
        let missing = sign(PartKind::Missing, 5.0, Some(here), None);
        let new = |rank, thing| sign(PartKind::New, rank, None, Some(thing));
        let account = Account::of(&missing, [new(3.0, there)].iter());
        assert_eq!((account.kind, account.expected, account.seen), (PartKind::Moved, Some(here), Some(there)));
        let back = Account::of(&new(5.0, there), [missing.clone()].iter());
        assert_eq!((back.kind, back.expected, back.seen), (PartKind::Moved, Some(here), Some(there)));
        for other in [new(2.0, there), new(3.0, thing(0.8, 0.8, BLUE)), missing.clone()] {
            assert_eq!(Account::of(&missing, [other].iter()).kind, PartKind::Missing);
        }
        let large = Thing { half: [0.3, 0.3], ..there };
        assert_eq!(Account::of(&missing, [new(5.0, large)].iter()).kind, PartKind::Missing);
    }

    #[test]
    fn a_thing_at_the_edge_is_painted_inside() {
        let mut heat = vec![0.0; 16];
        paint(&mut heat, 4, &thing(1.2, -0.3, RED), 2.0);
        assert_eq!(heat.iter().filter(|v| **v > 0.0).count(), 1);
        assert_eq!(heat[3], 2.0);
        // Smaller than nothing, as an extrapolated size may be.
        let mut numbers = [0.3; 13];
        (numbers[0], numbers[3], numbers[4]) = (1.0, -0.4, -0.4);
        paint(&mut heat, 4, &Thing::read(aview1(&numbers)).unwrap(), 1.0);
        assert_eq!(heat[5], 1.0);
    }
}
