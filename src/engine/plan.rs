//! How a model is run on a machine: how many copies, with how many threads each, and how many windows at a time; and
//! what `startle models tune` measured of that.

use crate::folders;
use crate::model::bundle::ModelBundle;
use crate::model::ort::Device;
use crate::store::{self, Durability};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Windows of each copy at a time where nothing was asked for or measured.
const BATCH: u16 = 4;
/// Most copies that are made without being asked for.
const COPIES: usize = 8;
/// Graphs of at most so many bytes are small: a copy for each thread costs little memory, and their operators are too
/// short to be shared among threads.
const SMALL: u64 = 64 << 20;
/// The file of the measured plans in the user's cache.
const FILE: &str = "tuned.json";

/// Copies of a model, threads of each, and windows that they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Copies of the model.
    pub sessions: usize,
    /// Threads within an operator of each.
    pub threads: usize,
    /// Windows scored at a time, by all copies together.
    pub batch: u16,
}

/// What the command line says; what it leaves open is filled in.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanHints {
    /// All threads; 0: one for each core.
    pub threads: usize,
    /// Copies of the model.
    pub sessions: Option<u16>,
    /// Windows scored at a time.
    pub batch: Option<u16>,
    /// Models that run side by side and share the cores.
    pub jobs: usize,
}

impl PlanHints {
    /// Without `jobs` or wishes the measured plan; else a copy for each thread if the model is small and alone, or one.
    pub fn plan(self, small: bool, tuned: Option<Plan>) -> Plan {
        let alone = self.jobs <= 1;
        let open = alone && self.threads == 0 && self.sessions.is_none() && self.batch.is_none();
        if let Some(plan) = tuned.filter(|_| open) {
            return plan;
        }
        let threads = if self.threads == 0 { (cores() / self.jobs.max(1)).max(1) } else { self.threads };
        let most = self.batch.map_or(COPIES, usize::from);
        let by_rule = if small && alone { threads.min(most) } else { 1 };
        let sessions = self.sessions.map_or(by_rule, usize::from);
        let batch = self.batch.unwrap_or_else(|| u16::try_from(sessions).map_or(u16::MAX, |n| n.saturating_mul(BATCH)));
        Plan { sessions, threads: (threads / sessions).max(1), batch }
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether a bundle's graphs, with their external weights, are small and run on the processor.
pub fn is_small(bundle: &ModelBundle, device: Device) -> bool {
    let size = |file: &str| bundle.dir().join(file).metadata().map_or(u64::MAX, |meta| meta.len());
    let graphs = bundle.manifest().graphs();
    let files = graphs
        .flat_map(|(_, graph)| std::iter::once(&graph.file).chain(graph.external.iter().map(|entry| &entry.file)));
    !device.is_gpu() && files.fold(0_u64, |sum, file| sum.saturating_add(size(file))) <= SMALL
}

/// The plans that were measured, each under the model, device and machine that it holds for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tuned(BTreeMap<String, Plan>);

impl Tuned {
    /// What was measured so far. A cache that is not there or not readable holds nothing.
    pub fn read() -> Self {
        let text = folders::cache().and_then(|folder| std::fs::read_to_string(folder.join(FILE)).ok());
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// The plan for a bundle on a device of this machine.
    pub fn plan(&self, bundle: &ModelBundle, device: Device) -> Option<Plan> {
        self.0.get(&key(bundle, device)).copied()
    }

    /// Keeps a plan; gives the file that holds it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep(mut self, bundle: &ModelBundle, device: Device, plan: Plan) -> Result<PathBuf> {
        self.0.insert(key(bundle, device), plan);
        let none = || Error::Config("there is no home folder; set XDG_CACHE_HOME".into());
        let folder = folders::cache().ok_or_else(none)?;
        let text = serde_json::to_string_pretty(&self)
            .map_err(|e| Error::Internal { stage: "models tune", reason: e.to_string() })?;
        let file = folder.join(FILE);
        std::fs::create_dir_all(&folder)
            .and_then(|()| store::replace(&file, (text + "\n").as_bytes(), Durability::Crash))
            .map_err(|e| Error::output(&file, e))?;
        Ok(file)
    }
}

/// What a plan depends on: the graphs, the clips, the device and the machine.
fn key(bundle: &ModelBundle, device: Device) -> String {
    format!("{} {}, {device} of {}", bundle.manifest().name, bundle.sha256(), machine())
}

/// The processor's name and number of cores, as Linux tells them.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    format!("{} ({} cores)", name.map_or("an unknown processor", |(_, name)| name.trim()), cores())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn plan(sessions: usize, threads: usize, batch: u16) -> Plan {
        Plan { sessions, threads, batch }
    }

    #[test]
    fn a_wish_outranks_what_was_measured_and_that_the_rule() {
        let tuned = Some(plan(2, 8, 32));
        let asked = PlanHints { jobs: 1, ..PlanHints::default() };
        assert_eq!(asked.plan(true, tuned), plan(2, 8, 32));
        assert_eq!(PlanHints { batch: Some(8), threads: 4, ..asked }.plan(true, tuned), plan(4, 1, 8));
        assert_eq!(PlanHints { sessions: Some(3), threads: 6, ..asked }.plan(false, tuned), plan(3, 2, 12));
        assert_eq!(PlanHints { sessions: Some(8), threads: 2, ..asked }.plan(true, None), plan(8, 1, 32));
    }

    #[test]
    fn small_models_get_a_copy_for_each_thread_unless_several_run_anyway() {
        let asked = PlanHints { threads: 6, jobs: 1, ..PlanHints::default() };
        assert_eq!(asked.plan(true, None), plan(6, 1, 24));
        assert_eq!(PlanHints { threads: 64, ..asked }.plan(true, None), plan(8, 8, 32));
        assert_eq!(asked.plan(false, None), plan(1, 6, 4));
        assert_eq!(PlanHints { jobs: 3, ..asked }.plan(true, None), plan(1, 6, 4));
        let shared = PlanHints { threads: 0, jobs: 2 * cores(), ..asked };
        assert_eq!(shared.plan(true, Some(plan(2, 2, 2))), plan(1, 1, 4));
    }

    #[test]
    fn weights_beside_the_graph_count() {
        let tiny = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bundles/tiny-random");
        let dir = tempfile::tempdir().unwrap();
        for file in ["README.md", "encoder.onnx", "predictor.onnx"] {
            std::fs::copy(tiny.join(file), dir.path().join(file)).unwrap();
        }
        // A file of nothing but a hole, and its sha256 as any tool gives it.
        let weights = dir.path().join("weights.data");
        std::fs::File::create(&weights).unwrap().set_len(SMALL + 1).unwrap();
        let hash = crate::model::bundle::sha256_file(&weights).unwrap();
        let own = std::fs::read_to_string(tiny.join("bundle.toml")).unwrap();
        let entry = format!("external = [{{ file = \"weights.data\", sha256 = \"{hash}\" }}]");
        std::fs::write(dir.path().join("bundle.toml"), own.replacen("external = []", &entry, 1)).unwrap();
        let large = ModelBundle::load(dir.path()).unwrap();
        assert!(!is_small(&large, Device::Cpu));
        let small = ModelBundle::load(&tiny).unwrap();
        assert!(is_small(&small, Device::OpenVino) && !is_small(&small, Device::Cuda(0)));
    }
}
