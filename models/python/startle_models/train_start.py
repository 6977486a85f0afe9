"""Begin a training run: from nothing, or from the weights of an earlier and perhaps smaller net."""

from __future__ import annotations

from pathlib import Path

import torch

from .net import Net, NetConfig, fit_projection, init_copy, patches, set_target
from .train_data import FPS, VIDEO_FRAMES, normalise
from .train_export import part
from .world import SceneSpec, lawful_video

POWER = 0.3  # exponent of the whitening in fit_projection


def fresh(cfg: NetConfig, seed: int, components: int = 64) -> Net:
    """An initialised net: projection fitted on 256 videos of the world, copy initialisation."""
    torch.manual_seed(seed)
    net = Net(cfg)
    g = torch.Generator().manual_seed(seed + 77)
    parts = [lawful_video(64, VIDEO_FRAMES, FPS, cfg.crop, cfg.crop, g, SceneSpec()) for _ in range(4)]
    pixels = patches(normalise(torch.cat(parts)[:, ::3][:, :8]), cfg).reshape(-1, cfg.patch_pixels)
    set_target(net, *fit_projection(pixels, components, POWER))
    init_copy(net, seed)
    return net


@torch.no_grad()
def grown(cfg: NetConfig, folder: Path, seed: int) -> Net:
    """A net of shape cfg that computes what the weights in `folder` do (model.safetensors and
    target/model.safetensors in VJEPA2Model's keys): layers that they lack are added at the end, silent."""
    from safetensors.torch import load_file

    net = Net(cfg)
    target = load_file(folder / "target" / "model.safetensors")
    net.target.load_state_dict(part(target, "encoder."), strict=True)
    init_copy(net, seed)
    for layer in (*net.encoder.layer, *net.predictor.layer):
        for lin in (layer.attention.proj, layer.mlp.fc2):
            lin.weight.zero_()
            lin.bias.zero_()
    weights = load_file(folder / "model.safetensors")
    for module, prefix in ((net.encoder, "encoder."), (net.predictor, "predictor.")):
        left = module.load_state_dict(part(weights, prefix), strict=False)
        if left.unexpected_keys or any(not key.startswith("layer.") for key in left.missing_keys):
            raise ValueError(f"{folder}: weights of another shape: {left}")
    return net


@torch.no_grad()
def whiten(net: Net, video, more: float) -> None:
    """Whiten the target's components further (eigenvalue^-more, see fit_projection) and scale the
    predictor's output with them, so that the predictions stay what they were. video: uint8 clips."""
    conv, out = net.target.embeddings["patch_embeddings"].proj, net.predictor.proj
    used = conv.weight.flatten(1).norm(dim=1) > 0
    variance = net.target.embeddings["patch_embeddings"](normalise(video)).var((0, 1))[used]
    scale = (variance ** (1 / (1 - 2 * POWER))) ** -more
    scale = scale / ((variance * scale**2).sum() / variance.sum()).sqrt()
    conv.weight[used] *= scale.view(-1, 1, 1, 1, 1)
    conv.bias[used] *= scale
    out.weight[used] *= scale[:, None]
    out.bias[used] *= scale
