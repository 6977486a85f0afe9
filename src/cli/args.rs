//! Options that several commands share, and what they resolve to.

use clap::Args;
use startle::Result;
use startle::engine::{Choice, Model};
use startle::model::ort::Device;
use startle::model::shelf;
use std::path::PathBuf;

/// Which model, on which device.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Model bundle: a name (see `startle models list`) or a folder; `persistence` is the weight-free control.
    #[arg(long, short, env = "STARTLE_MODEL", hide_env_values = true, default_value = shelf::DEFAULT_BUNDLE)]
    pub model: String,
    /// Where inference runs: auto, cpu, openvino, openvino-bf16, cuda[:N] or tensorrt[:N]. What is asked for and missing is
    /// an error.
    #[arg(long, default_value = "auto", value_parser = clap::value_parser!(Device))]
    pub device: Device,
    /// Threads of inference in all; 0: one per core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Windows scored at a time [default: what `startle models tune` found, else 4 for each copy].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: Option<u16>,
    /// Copies of the model that share the threads and each batch [default: what `startle models tune` found, else one for
    /// each thread of a small model on a CPU, and one otherwise].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub sessions: Option<u16>,
    /// ONNX Runtime's shared library, when it is not where `make setup` puts it.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH", hide_env_values = true)]
    pub ort: Option<PathBuf>,
    /// Frames between windows, a multiple of the tubelet size [default: the bundle's].
    #[arg(long)]
    pub stride: Option<u32>,
}

impl ModelArgs {
    /// Finds and verifies the model. `jobs` scorers will run side by side and share the cores.
    pub fn choose(&self, jobs: usize) -> Result<Model> {
        let Self { model, device, threads, batch, sessions, ort, stride } = self.clone();
        Model::choose(&Choice { model, device, threads, batch, sessions, ort, stride }, jobs)
    }
}
