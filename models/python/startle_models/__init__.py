"""Python side of startle: export of V-JEPA models to bundles, and the numerical reference.

A *bundle* is a folder with ONNX graphs and a `bundle.toml` that says how to use them. The Rust
program loads bundles and nothing else; everything that needs PyTorch lives here.
"""

__version__ = "0.1.0"
