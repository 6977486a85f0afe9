"""Recognise V-JEPA 2.1 checkpoints, which can't be exported, and say why.

Facts: `app/vjepa_2_1/models/` of github.com/facebookresearch/vjepa2 at be434e4, `src/hub/backbones.py` at 16de6c8.
"""

from __future__ import annotations

import re
from typing import Any

import torch

_OWN = re.compile(
    r"^(?:module\.|backbone\.)*"
    r"(?:norms_block\.|video_mod_embed$|img_mod_embed$|patch_embed_img\.|predictor_proj_context\.)"
)


def unsupported_parts(state: dict[str, Any]) -> list[str]:
    """What a file of networks has that V-JEPA 2 has not, a line each; empty unless it is V-JEPA 2.1."""
    networks = {k: v for k, v in state.items() if isinstance(v, dict)}
    if not any(isinstance(name, str) and _OWN.match(name) for net in networks.values() for name in net):
        return []
    predictor = _plain(networks.get("predictor", {}))
    key = next((k for k in ("target_encoder", "ema_encoder", "encoder") if k in networks), "")
    encoder = _plain(networks.get(key, {}))
    found = []
    levels = len({name.split(".")[1] for name in encoder if name.startswith("norms_block.")})
    if levels:
        found.append(f"{levels} LayerNorms for features of several depths, in place of the encoder's last one")
    if "video_mod_embed" in encoder or "video_mod_embed" in predictor:
        found.append("modality embeddings, added to the tokens of videos and of pictures")
    if any(name.startswith("patch_embed_img.") for name in encoder):
        found.append("a second patch embedding, for pictures")
    if "predictor_embed.2.weight" in predictor:
        found.append("a predictor that takes features of several depths, joined")
    if any(name.startswith("predictor_proj_context.") for name in predictor):
        found.append("a predictor that predicts the context as well")
    return found + _other_targets(encoder, predictor)


def _plain(net: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {re.sub(r"^(?:module\.|backbone\.)+", "", str(name)): tensor for name, tensor in net.items()}


def _other_targets(encoder: dict[str, torch.Tensor], predictor: dict[str, torch.Tensor]) -> list[str]:
    """The distilled models predict their teacher's features, and the file may not have the teacher."""
    kernel, proj = encoder.get("patch_embed.proj.weight"), predictor.get("predictor_proj.weight")
    if kernel is None or proj is None or len(proj) == len(kernel):
        return []
    return [f"predictions of {len(proj)} features, where the encoder gives {len(kernel)}: surprise needs other targets"]
