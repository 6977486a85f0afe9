"""Write a trained net as Hugging Face folders that `VJEPA2Model.from_pretrained` loads strictly."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .net import Net, NetConfig
from .train_data import CONTEXTS, CONTEXT_SLOTS, FPS, HORIZON, MEAN, STD


def hf_state(net: Net, source: str = "encoder") -> dict[str, torch.Tensor]:
    """State dict in VJEPA2Model's keys; source "encoder" or "target" picks the encoder that is written."""
    state = {}
    for name, value in getattr(net, source).state_dict().items():
        state[f"encoder.{name}"] = value
    for name, value in net.predictor.state_dict().items():
        state[f"predictor.{name}"] = value
    return {k: v.detach().float().contiguous().clone() for k, v in state.items()}


def hf_model(net: Net, source: str = "encoder"):
    """A VJEPA2Model with the net's weights; strict: any missing or unknown key is an error."""
    from transformers import VJEPA2Config, VJEPA2Model

    over = {"num_hidden_layers": 0} if source == "target" else {}
    model = VJEPA2Model(VJEPA2Config(**net.cfg.hf(**over)))
    model.load_state_dict(hf_state(net, source), strict=True)
    return model.eval()


def save_hf(net: Net, folder: Path, info: dict) -> None:
    """folder/hf (context encoder + predictor), folder/hf_target (zero-layer target encoder; its
    predictor weights are copies and unused) and folder/training.json."""
    for source, name in (("encoder", "hf"), ("target", "hf_target")):
        hf_model(net, source).save_pretrained(folder / name)
        (folder / name / "model.safetensors").chmod(0o644)
    cfg = net.cfg
    data = {
        "model_fps": FPS, "crop_size": cfg.crop, "patch_size": cfg.patch, "tubelet_size": cfg.tubelet,
        "frames_per_clip": cfg.frames, "horizon": HORIZON, "contexts": list(CONTEXTS),
        "contexts_trained": [s * cfg.tubelet for s in CONTEXT_SLOTS], "mean": list(MEAN), "std": list(STD),
        "resize": "whole 16:9 picture squashed to crop x crop (no crop), antialiased bilinear, RGB / 255",
        "target": "separate encoder hf_target: zero layers, fixed projection, layer-normed like any target",
    } | info
    (folder / "training.json").write_text(json.dumps(data, indent=1) + "\n")


def _random_model(cfg: NetConfig, seed: int):
    """A VJEPA2Model of the net's shape with random weights (std .02, mask token not zero)."""
    from transformers import VJEPA2Config, VJEPA2Model

    torch.manual_seed(seed)
    return VJEPA2Model(VJEPA2Config(**cfg.hf()))


def random_net(cfg: NetConfig, seed: int = 0) -> Net:
    """A net of random weights, its target encoder the random encoder itself."""
    state = _random_model(cfg, seed).state_dict()
    return _filled(cfg, state, state)


def load_weights(cfg: NetConfig, folder: Path) -> Net:
    """A trained net from folder/model.safetensors and folder/target/model.safetensors."""
    from safetensors.torch import load_file

    return _filled(cfg, load_file(folder / "model.safetensors"), load_file(folder / "target" / "model.safetensors"))


def _filled(cfg: NetConfig, state: dict, target: dict) -> Net:
    """A net with the weights of two states in VJEPA2Model's keys; any missing or unknown key is an error."""
    layers = 1 + max((int(k.split(".")[2]) for k in target if k.startswith("encoder.layer.")), default=-1)
    net = Net(cfg, target_layers=layers)
    net.encoder.load_state_dict(part(state, "encoder."), strict=True)
    net.predictor.load_state_dict(part(state, "predictor."), strict=True)
    net.target.load_state_dict(part(target, "encoder."), strict=True)
    return net.eval()


def part(state: dict, prefix: str) -> dict:
    """The entries of `state` under `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def save_random(cfg: NetConfig, folder: Path, seed: int = 0) -> None:
    """A random-weight twin of the same shape, as folder/hf_random."""
    _random_model(cfg, seed).save_pretrained(folder / "hf_random")
