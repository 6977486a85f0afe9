//! What an object model says of one slot: things that it expected, things that it saw, and the energy of each part of what
//! it expected of them.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Numbers of a thing in a graph's output: present, x, y, half width, half height, red, green, blue, probability, four
/// shapes.
pub const THING: usize = 13;
/// From here on a number that says whether something is there says that it is.
const PRESENT: f32 = 0.5;
/// Confidence from which a thing is shown to people.
const SURE: f32 = 0.3;

/// What a part of the energy is about, and so what an event that it gives away is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub enum PartKind {
    /// Something was expected and not seen.
    Missing,
    /// Something was seen and expected nowhere.
    New,
    /// Something is not where it was expected.
    Moved,
    /// It has another size.
    Size,
    /// It has another colour.
    Colour,
    /// It has another shape.
    Shape,
}

impl PartKind {
    /// Every kind with its name.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Missing, "missing"),
        (Self::New, "new"),
        (Self::Moved, "moved"),
        (Self::Size, "size"),
        (Self::Colour, "colour"),
        (Self::Shape, "shape"),
    ];

    /// As in files.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A part of the energy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Part {
    /// Its name; no other part has it.
    pub name: String,
    /// What it is about.
    pub kind: PartKind,
}

/// A thing, expected or seen. Lengths are shares of the picture that the model sees.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Thing {
    /// Centre of its whole box: x, y. It may lie slightly outside.
    pub centre: [f32; 2],
    /// Half width, half height.
    pub half: [f32; 2],
    /// Red, green, blue, 0..1.
    pub colour: [f32; 3],
    /// Of being seen, where it is expected; confidence, where it is seen. 0..1.
    pub probability: f32,
    /// How likely it is a sphere, a box, a cylinder or cone, something composite.
    pub shapes: [f32; 4],
}

impl Thing {
    /// From [`THING`] numbers; `None` where nothing is present.
    pub fn read(numbers: ArrayView1<'_, f32>) -> Option<Self> {
        let numbers: [f32; THING] = numbers.to_vec().try_into().ok()?;
        let [present, x, y, half_width, half_height, red, green, blue, probability, shapes @ ..] = numbers;
        // A size that was extrapolated may come out below nothing.
        let half = [half_width, half_height].map(|half| half.max(0.0));
        let thing = Self { centre: [x, y], half, colour: [red, green, blue], probability, shapes };
        (present >= PRESENT).then_some(thing)
    }

    /// Its box in shares: left, top, right, bottom.
    pub fn sides(&self) -> [f32; 4] {
        let ([x, y], [w, h]) = (self.centre, self.half);
        [x - w, y - h, x + w, y + h]
    }
}

/// What a model of objects says of one slot.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scene {
    /// The parts of the energy.
    pub parts: Arc<[Part]>,
    /// `[rows, parts]` energies in nats, each finite and ≥ 0; 0 where a part does not apply. First the rows of
    /// the files (things that are kept in mind), then those of what was seen and belongs to no file.
    pub energy: Array2<f32>,
    /// Of each row, what was expected; empty where it was not kept.
    pub expected: Vec<Option<Thing>>,
    /// Of each row, what was seen; no thing is in two rows. Empty where it was not kept.
    pub seen: Vec<Option<Thing>>,
}

impl Scene {
    /// The largest energy of each part over all rows.
    pub fn largest(&self) -> Array1<f32> {
        self.energy.fold_axis(Axis(0), 0.0, |most, energy| most.max(*energy))
    }

    /// The largest energies alone, as a scene of one row without things: all that a baseline learns from.
    #[must_use]
    pub fn without_things(&self) -> Self {
        let (expected, seen) = (Vec::new(), Vec::new());
        Self { parts: Arc::clone(&self.parts), energy: self.largest().insert_axis(Axis(0)), expected, seen }
    }

    /// What a row expected and saw.
    pub fn things(&self, row: usize) -> (Option<Thing>, Option<Thing>) {
        let at = |things: &[Option<Thing>]| things.get(row).copied().flatten();
        (at(&self.expected), at(&self.seen))
    }

    /// What was seen with some confidence.
    pub fn in_sight(&self) -> impl Iterator<Item = &Thing> {
        self.seen.iter().flatten().filter(|thing| thing.probability >= SURE)
    }
}
