//! `startle print`: files to copy.

use clap::{Args, ValueEnum};
use startle::watch::web::{GRAFANA, SYSTEMD};
use startle::{Error, Result};
use std::io::Write;

/// Print a file to copy and adapt: for Kubernetes, a container image, systemd or Grafana.
#[derive(Debug, Args)]
pub struct PrintArgs {
    /// Which one.
    #[arg(value_name = "FILE")]
    pub file: Printed,
}

/// A file to copy.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Printed {
    /// An indexed Job that analyzes many videos in parts, and a Deployment that watches cameras.
    Kubernetes,
    /// How a container image is made of a checkout, for processors and for NVIDIA GPUs.
    Containerfile,
    /// A unit for systemd that watches cameras.
    Systemd,
    /// A dashboard for Grafana.
    Grafana,
}

impl Printed {
    /// Writes it to standard output.
    pub fn print(self) -> Result<()> {
        let text = match self {
            Self::Kubernetes => include_str!("files/kubernetes.yaml"),
            Self::Containerfile => include_str!("files/Containerfile"),
            Self::Systemd => SYSTEMD,
            Self::Grafana => GRAFANA,
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(|e| Error::output("standard output", e))
    }
}
