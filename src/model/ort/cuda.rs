//! Where CUDA's libraries lie: looked for by name, without loading them.
//!
//! `pip` puts them into `site-packages/nvidia/*/lib`, where the system's loader does not look.

use std::path::{Path, PathBuf};

/// Folders with CUDA's libraries, separated as in `PATH`; they come first.
pub const CUDA_LIBRARIES_ENV: &str = "STARTLE_CUDA_LIBRARIES";

/// A library that CUDA inference uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library {
    /// The file that ONNX Runtime's CUDA provider (built for CUDA 13) asks the loader for.
    pub file: &'static str,
    /// What it is and where it comes from.
    pub what: &'static str,
    /// Whether the CUDA provider can't start without it.
    pub needed: bool,
}

/// In the order in which they depend on each other.
pub const LIBRARIES: [Library; 8] = [
    Library { file: "libcuda.so.1", what: "NVIDIA driver", needed: true },
    Library { file: "libcudart.so.13", what: "CUDA runtime (nvidia-cuda-runtime)", needed: true },
    Library { file: "libcublasLt.so.13", what: "cuBLAS (nvidia-cublas)", needed: true },
    Library { file: "libcublas.so.13", what: "cuBLAS (nvidia-cublas)", needed: true },
    Library { file: "libcurand.so.10", what: "cuRAND (nvidia-curand)", needed: true },
    Library { file: "libcufft.so.12", what: "cuFFT (nvidia-cufft)", needed: false },
    Library { file: "libcudnn.so.9", what: "cuDNN 9 (nvidia-cudnn-cu13)", needed: false },
    Library { file: "libnvinfer.so.10", what: "TensorRT 10 (tensorrt-cu13)", needed: false },
];

/// Each library with the place where it was found. `runtime` is the ONNX Runtime library, which may lie among the
/// packages that bring them.
pub fn find(runtime: Option<&Path>) -> Vec<(Library, Option<PathBuf>)> {
    let folders: Vec<PathBuf> = packaged_folders(runtime).into_iter().chain(loader_folders()).collect();
    let place = |library: Library| folders.iter().map(|folder| folder.join(library.file)).find(|path| path.exists());
    LIBRARIES.iter().map(|&library| (library, place(library))).collect()
}

/// Loads the libraries that lie where the system's loader does not look, so that the CUDA provider finds them loaded.
/// What can't be loaded is left to the provider, whose error names it.
pub(super) fn preload(runtime: &Path) {
    let folders = packaged_folders(Some(runtime));
    for library in LIBRARIES.iter().filter(|library| library.file != "libcuda.so.1") {
        let found = folders.iter().map(|folder| folder.join(library.file)).find(|path| path.exists());
        let _ = found.map(|path| ::ort::util::preload_dylib(&path));
    }
}

/// Folders that the system's loader does not know: named by the user, beside ONNX Runtime, or of Python packages.
fn packaged_folders(runtime: Option<&Path>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os(CUDA_LIBRARIES_ENV).iter().flat_map(std::env::split_paths).collect();
    folders.extend(runtime.and_then(Path::parent).map(Path::to_owned));
    let environment = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let pythons = environment.iter().flat_map(|root| subfolders(&root.join("lib")));
    let mut packages: Vec<PathBuf> = pythons.map(|python| python.join("site-packages")).collect();
    // …/site-packages/onnxruntime/capi/libonnxruntime.so
    packages.extend(runtime.and_then(|path| path.ancestors().nth(3)).map(Path::to_owned));
    for package in packages {
        folders.extend(subfolders(&package.join("nvidia")).into_iter().map(|folder| folder.join("lib")));
        folders.push(package.join("tensorrt_libs"));
    }
    folders
}

/// Folders that the system's loader looks into, near enough: `LD_LIBRARY_PATH`, `/etc/ld.so.conf.d` and the usual
/// places.
fn loader_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths).collect();
    let configured = std::fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten();
    for text in configured.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()) {
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    let usual = ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    folders.extend(usual.map(PathBuf::from));
    folders
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_python_packages_are_found_beside_the_runtime() {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("nvidia/cu13/lib");
        let capi = root.path().join("onnxruntime/capi");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::write(lib.join("libcurand.so.10"), "").unwrap();
        let found = find(Some(&capi.join("libonnxruntime.so.1.31.1")));
        let curand = found.iter().find(|(library, _)| library.file == "libcurand.so.10").unwrap();
        assert_eq!(curand.1.as_deref(), Some(lib.join("libcurand.so.10").as_path()));
    }
}
