//! Where inference runs.

use super::library::Runtime;
use super::probe;
use std::fmt;
use std::str::FromStr;

/// Where inference runs: `auto`, `cpu`, `openvino`, `openvino-bf16`, `cuda`, `cuda:1`, `tensorrt`, `tensorrt:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// CUDA where it really works, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The processor through OpenVINO.
    OpenVino,
    /// The same, whose products are computed in bf16 where the processor has it.
    OpenVinoBf16,
    /// The NVIDIA GPU of this number.
    Cuda(i32),
    /// The NVIDIA GPU of this number through TensorRT, with CUDA for what TensorRT can't run.
    TensorRt(i32),
}

impl Device {
    /// ONNX Runtime's name of the execution provider that must take part; `None` for [`Device::Auto`].
    pub const fn provider(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some("CPUExecutionProvider"),
            Self::OpenVino | Self::OpenVinoBf16 => Some("OpenVINOExecutionProvider"),
            Self::Cuda(_) => Some("CUDAExecutionProvider"),
            Self::TensorRt(_) => Some("TensorrtExecutionProvider"),
        }
    }

    /// Whether it is a GPU.
    pub const fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda(_) | Self::TensorRt(_))
    }

    /// Whether it rounds what a bundle of higher precision computes.
    pub const fn is_reduced(self) -> bool {
        matches!(self, Self::OpenVinoBf16)
    }

    /// What has to be installed for it.
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Auto | Self::Cpu => "an ONNX Runtime library (`make setup`)",
            Self::OpenVino | Self::OpenVinoBf16 => {
                "the OpenVINO build of ONNX Runtime (the library inside the PyPI wheel onnxruntime-openvino, version 1.24 or \
                 newer; name it with ORT_DYLIB_PATH)"
            }
            Self::Cuda(_) => {
                "an NVIDIA GPU with its driver, the GPU build of ONNX Runtime (the library inside the PyPI wheel \
                 onnxruntime-gpu; name it with ORT_DYLIB_PATH) and CUDA 13 with cuDNN 9 (the PyPI wheels that \
                 `pip install 'onnxruntime-gpu[cuda,cudnn]'` brings, or NVIDIA's packages) on LD_LIBRARY_PATH"
            }
            Self::TensorRt(_) => "everything that cuda needs, and TensorRT 10 (libnvinfer.so.10) on LD_LIBRARY_PATH",
        }
    }

    /// [`Device::Auto`] decided by running a tiny graph; the others as they are.
    #[must_use]
    pub fn resolve(self, runtime: &Runtime) -> Self {
        match self {
            Self::Auto if *runtime.cuda_works.get_or_init(|| probe::run(runtime, Self::Cuda(0)).is_ok()) => {
                Self::Cuda(0)
            }
            Self::Auto => Self::Cpu,
            asked => asked,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::OpenVino => f.write_str("openvino"),
            Self::OpenVinoBf16 => f.write_str("openvino-bf16"),
            Self::Cuda(id) => write!(f, "cuda:{id}"),
            Self::TensorRt(id) => write!(f, "tensorrt:{id}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, id) = text.split_once(':').map_or((text, None), |(name, id)| (name, Some(id)));
        let number = || match id.unwrap_or("0").parse::<i32>() {
            Ok(id) if id >= 0 => Ok(id),
            _ => Err(format!("{text:?}: the device's number must be 0 or more")),
        };
        match (name, id) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("openvino", None) => Ok(Self::OpenVino),
            ("openvino-bf16", None) => Ok(Self::OpenVinoBf16),
            ("cuda", _) => number().map(Self::Cuda),
            ("tensorrt", _) => number().map(Self::TensorRt),
            _ => Err(format!("{text:?} is no device: expected auto, cpu, openvino[-bf16], cuda[:N] or tensorrt[:N]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_shown() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("openvino", Device::OpenVino),
            ("openvino-bf16", Device::OpenVinoBf16),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            ("tensorrt:1", Device::TensorRt(1)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["gpu", "cpu:0", "openvino:0", "openvino-fp16", "cuda:-1", "cuda:", ""] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
