//! What a robot was told to do, and how it stood: for models that predict from it (V-JEPA 2-AC).
//!
//! Invariants: times ascend; every row has as many finite numbers of state as of action; a frame without a row of its
//! own time is an error, never a guess.

use crate::clip::Clip;
use crate::error::{Error, Result};
use ndarray::{Array3, ArrayView3, aview1, s};
use serde::Deserialize;
use std::sync::Arc;

/// States and actions in time.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionTable {
    name: String,
    dim: usize,
    rows: Vec<ActionRow>,
}

/// At `time`, seconds from the first frame: the state then, and the action up to the next frame of the model's clock.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionRow {
    time: f64,
    state: Vec<f32>,
    action: Vec<f32>,
}

impl ActionTable {
    /// Parses a table: a JSON array of `{"time": s, "state": […], "action": […]}`, or CSV whose header names `time`,
    /// `state…` columns and `action…` columns, each kind in order. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] that names the row at fault.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let fail = |reason: String| Error::input(name, reason);
        let rows = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(|error| fail(format!("is not a table of actions: {error}")))?
        } else {
            rows_of_csv(text).map_err(fail)?
        };
        Self::new(name, rows).map_err(fail)
    }

    fn new(name: &str, rows: Vec<ActionRow>) -> Result<Self, String> {
        let dim = rows.first().ok_or("has no rows")?.state.len();
        for (index, row) in rows.iter().enumerate() {
            let at = format!("row {} (time {})", index + 1, row.time);
            if dim == 0 || row.state.len() != dim || row.action.len() != dim {
                let (state, action) = (row.state.len(), row.action.len());
                return Err(format!(
                    "{at} has {state} numbers of state and {action} of action, expected {dim} of each"
                ));
            }
            if !row.time.is_finite() || !row.state.iter().chain(&row.action).all(|value| value.is_finite()) {
                return Err(format!("{at} has a number that is not finite"));
            }
        }
        match rows.windows(2).position(|pair| pair[1].time <= pair[0].time) {
            Some(index) => Err(format!("row {} is not later than the one before it", index + 2)),
            None => Ok(Self { name: name.into(), dim, rows }),
        }
    }

    /// The row nearest to `time`, at most `within` seconds away.
    fn at(&self, time: f64, within: f64) -> Result<&ActionRow> {
        let after = self.rows.partition_point(|row| row.time < time);
        let near = self.rows[after.saturating_sub(1)..self.rows.len().min(after + 1)].iter();
        let nearest = near.min_by(|a, b| (a.time - time).abs().total_cmp(&(b.time - time).abs()));
        match nearest.filter(|row| (row.time - time).abs() <= within) {
            Some(row) => Ok(row),
            None => Err(Error::input(
                self.name.as_str(),
                format!(
                    "no row within {within:.3} s of the frame at {time:.3} s; every frame of the model's clock needs one"
                ),
            )),
        }
    }
}

fn rows_of_csv(text: &str) -> Result<Vec<ActionRow>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let columns = |kind: &str| -> Vec<usize> {
        header.iter().enumerate().filter(|(_, name)| name.starts_with(kind)).map(|(index, _)| index).collect()
    };
    let (time, state, action) = (columns("time"), columns("state"), columns("action"));
    if time.len() != 1 || state.is_empty() || state.len() != action.len() {
        return Err(format!(
            "the header has {} time, {} state and {} action columns; one time and as many states as actions are wanted",
            time.len(),
            state.len(),
            action.len()
        ));
    }
    let parse = |(index, record): (usize, Result<csv::StringRecord, csv::Error>)| {
        let record = record.map_err(|error| error.to_string())?;
        let number = |column: usize| -> Result<f64, String> {
            let text = record.get(column).unwrap_or_default();
            text.parse().map_err(|_| format!("row {}: {} is {text:?}, not a number", index + 1, &header[column]))
        };
        let numbers = |columns: &[usize]| -> Result<Vec<f32>, String> {
            columns.iter().map(|&column| number(column).map(|value| value as f32)).collect()
        };
        Ok(ActionRow { time: number(time[0])?, state: numbers(&state)?, action: numbers(&action)? })
    };
    reader.records().enumerate().map(parse).collect()
}

/// What a predictor is given beside the context's tokens, of B windows of S frames, A numbers each.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Context tokens, `[B, S · grid², D]`.
    pub context: ArrayView3<'a, f32>,
    /// What was done from each frame to the next, `[B, S, A]`.
    pub actions: ArrayView3<'a, f32>,
    /// How the robot stood at each frame, `[B, S, A]`.
    pub states: ArrayView3<'a, f32>,
}

/// The actions and states of the windows that are scored.
#[derive(Debug)]
pub(super) struct Conditioning {
    dim: usize,
    table: Option<Arc<ActionTable>>,
    /// Of whole windows, `[B, frames, A]`.
    actions: Array3<f32>,
    states: Array3<f32>,
}

impl Conditioning {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, table: None, actions: Array3::default((0, 0, dim)), states: Array3::default((0, 0, dim)) }
    }

    pub(super) fn set(&mut self, table: Arc<ActionTable>) -> Result<()> {
        if table.dim != self.dim {
            let (name, dim) = (table.name.as_str(), table.dim);
            return Err(Error::input(name, format!("has {dim} numbers of action a row, the model takes {}", self.dim)));
        }
        self.table = Some(table);
        Ok(())
    }

    /// Looks up every frame of the clips; a row may be half a frame of the model's clock off.
    pub(super) fn collect(&mut self, clips: &[Clip], model_fps: f64) -> Result<()> {
        let table = self.table.as_ref().ok_or_else(|| {
            Error::Config(
                "this model predicts from what a robot was told to do; give it with `startle analyze --actions FILE`"
                    .into(),
            )
        })?;
        let shape = (clips.len(), clips.first().map_or(0, |clip| clip.frames.len()), self.dim);
        let (mut actions, mut states) = (Array3::zeros(shape), Array3::zeros(shape));
        let rows = actions.rows_mut().into_iter().zip(states.rows_mut());
        for ((mut action, mut state), frame) in rows.zip(clips.iter().flat_map(|clip| &clip.frames)) {
            let row = table.at(frame.time.secs_f64(), 0.5 / model_fps)?;
            action.assign(&aview1(&row.action));
            state.assign(&aview1(&row.state));
        }
        (self.actions, self.states) = (actions, states);
        Ok(())
    }

    /// Those of the self-test clip, for each of `windows` windows; `startle_models.reference.lcg_conditions` in numbers.
    pub(super) fn noise(&mut self, seed: u32, windows: usize, frames: usize) {
        let mut state = seed.wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((f64::from(state >> 24) - 128.0) / 640.0) as f32
        };
        self.actions = Array3::from_shape_simple_fn((windows, frames, self.dim), &mut next);
        self.states = Array3::from_shape_simple_fn((windows, frames, self.dim), &mut next);
    }

    /// What was done and was in the first `frames` frames of each window: actions and states.
    pub(super) fn leading(&self, frames: usize) -> [Array3<f32>; 2] {
        [&self.actions, &self.states].map(|whole| whole.slice(s![.., ..frames, ..]).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const CSV: &str = "time, state_0, state_1, action_0, action_1\n0.0, 1, 2, 3, 4\n0.25, 5, 6, 7, 8\n";

    #[test]
    fn csv_and_json_are_the_same_table() {
        let json =
            r#"[{"time": 0, "state": [1, 2], "action": [3, 4]}, {"time": 0.25, "state": [5, 6], "action": [7, 8]}]"#;
        let table = ActionTable::parse("t", CSV).unwrap();
        assert_eq!(table, ActionTable::parse("t", json).unwrap());
        let row = table.at(0.2, 0.125).unwrap();
        assert_eq!((row.time, &row.state[..], &row.action[..]), (0.25, &[5.0, 6.0][..], &[7.0, 8.0][..]));
        assert!(table.at(0.12, 0.125).unwrap().time.abs() < 1e-9);
        let far = table.at(0.4, 0.125).unwrap_err().to_string();
        assert!(far.contains("no row within 0.125 s of the frame at 0.400 s"), "{far}");
    }

    #[test]
    fn faults_are_named() {
        for (text, says) in [
            ("time,state_0,action_0\n", "has no rows"),
            ("state_0,action_0\n1,2\n", "0 time, 1 state and 1 action columns"),
            ("time,state_0,state_1,action_0\n0,1,2,3\n", "2 state and 1 action"),
            ("time,state_0,action_0\n0,1,x\n", "row 1: action_0 is \"x\""),
            ("time,state_0,action_0\n0,1,2\n0,1,2\n", "row 2 is not later"),
            ("time,state_0,action_0\n0,1,inf\n", "not finite"),
            ("[{\"time\": 0, \"state\": [1], \"action\": [1, 2]}]", "1 numbers of state and 2 of action"),
            ("[{\"time\": 0, \"state\": [1]}]", "missing field `action`"),
        ] {
            let error = ActionTable::parse("actions.csv", text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("actions.csv"), "{text}: {error}");
        }
    }

    #[test]
    fn leading_frames_are_taken_from_each_window() {
        let mut conditioning = Conditioning::new(1);
        conditioning.actions = array![[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]];
        conditioning.states = -&conditioning.actions;
        let actions = array![[[1.0], [2.0]], [[4.0], [5.0]]];
        assert_eq!(conditioning.leading(2), [actions.clone(), -actions]);
    }

    #[test]
    fn the_self_test_has_the_exporters_numbers() {
        // startle_models.reference.lcg_conditions(1, 2, 2)
        let mut conditioning = Conditioning::new(2);
        conditioning.noise(1, 1, 2);
        let expected: [f32; 8] = [-68.0, -11.0, -80.0, 61.0, 55.0, -98.0, -76.0, -8.0];
        for (found, expected) in conditioning.actions.iter().chain(&conditioning.states).zip(expected) {
            assert!((found - expected / 640.0).abs() < 1e-7, "{found} is not {expected}");
        }
    }
}
