"""What V-JEPA 2.1 has that V-JEPA 2 has not, and how its files are recognised.

Facts: `app/vjepa_2_1/models/` and `app/vjepa_2_1/train.py` of github.com/facebookresearch/vjepa2 at be434e4 and
16de6c8, `src/hub/backbones.py` at 16de6c8.

* Rotary positions are corrected: the two members of a rotated pair turn by the same angle. Rows and columns are
  stretched so that every picture spans the grid of the first training stage, 16 patches of 16 pixels
  (`interpolate_rope`). Training gives one setting to encoder and predictor (`init_video_model`), and so does the
  export; the hub's factory leaves the predictor's at its default, off, which differs at 384 pixels.
* The encoder has a LayerNorm for each of four depths in place of one at the end. Training joins the four normed
  features to one token of 4·D features; the predictor takes such tokens through a small MLP and predicts such tokens.
* A vector for the modality (video or picture) is added to the tokens of both networks. Pictures have a patch
  embedding of their own.
* The predictor can predict its context as well (`predictor_proj_context`), for a second term of the loss.

The target of surprise is that of the loss, `forward_target` in `train.py`: the target encoder's features of the four
depths, **each depth layer-normed by itself** (no affine, eps 1e-5), joined; the distance is the mean absolute
difference over all 4·D features (`loss_exp` is 1 in the shipped settings). The prediction is not normed
(`normalize_predictor` is off). The second term has no part in surprise: it is about what the predictor has seen.

The distilled ViT-B and ViT-L take one depth, the last, and predict that of their teacher, the gigantic encoder (1664
features, layer-normed as one). Their own encoder can't give such targets: the teacher must come with them.
"""

from __future__ import annotations

import re
from typing import Any

import torch

MODALITY_NAMES = {"img_mod_embed": "modality_image", "video_mod_embed": "modality_video"}
"""Meta's name of each modality vector, and ours."""

_OWN = re.compile(
    r"^(?:module\.|backbone\.)*"
    r"(?:norms_block\.|video_mod_embed$|img_mod_embed$|patch_embed_img\.|predictor_proj_context\.)"
)

_BY_WIDTH = {768: "vjepa21-vitb-384", 1024: "vjepa21-vitl-384", 1408: "vjepa21-giant-384", 1664: "vjepa21-gigantic-384"}


def suggest_architecture(state: dict[str, Any]) -> str:
    """The `--arch` that fits a file of networks, by the encoder's width; empty unless it is V-JEPA 2.1."""
    networks = {k: v for k, v in state.items() if isinstance(v, dict)}
    if not any(isinstance(name, str) and _OWN.match(name) for net in networks.values() for name in net):
        return ""
    for net in networks.values():
        for name, tensor in net.items():
            if isinstance(tensor, torch.Tensor) and str(name).endswith("patch_embed.proj.weight"):
                return _BY_WIDTH.get(len(tensor), "vjepa21-…")
    return "vjepa21-…"
