"""The model card of a bundle, Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from . import bundle
from .checkpoints import CheckpointError, ModelConfig, Weights
from .positions import distance_from_sine


@dataclass(frozen=True)
class Family:
    """What differs between the families: texts, and the default of `--fps`."""

    title: str
    reference: str
    fps: float


FAMILIES = {
    "vjepa1": Family("V-JEPA", "`reference_vjepa1.py`", 7.5),
    "vjepa2": Family("V-JEPA 2", "`transformers.VJEPA2Model`", 4.0),
    "vjepa2ac": Family("V-JEPA 2-AC", "`reference_ac.py`", 4.0),
    "vjepa21": Family("V-JEPA 2.1", "`reference_vjepa21.py`", 4.0),
}
"""V-JEPA 1 was trained on every 4th frame of 30 per second or so (`sampling_rate: 4` in `configs/pretrain/`), and
Garrido et al. ask with token 0, that of the first mask (`PredictorMultiMaskWrapper`). V-JEPA 2 and 2.1 were trained at 4
frames per second, all clips of one length at a time, for which `PredictorMultiSeqWrapper` takes token 0: the others get
no gradient and stay as they were initialised, zero. (`VJEPA2Model` asks with token 1 all the same.)"""


def card(manifest: bundle.Manifest, weights: Weights, options) -> str:
    """The model card, Markdown; `options.notes` is appended."""
    c, clip, pre, parity = weights.config, manifest["clip"], manifest["preprocess"], manifest["parity"]
    encoder = f"{c.num_hidden_layers} layers, width {c.hidden_size}, {c.num_attention_heads} heads"
    predictor = f"{c.pred_num_hidden_layers} layers, width {c.pred_hidden_size}, {c.pred_num_attention_heads} heads"
    attention = "fused (com.microsoft)" if options.attention == "mha" else "plain operators"
    if options.attention == "mha" and options.fuse != "none":
        layers = "the encoder's layers" if c.conditioned else "layers"
        attention += f"; {layers} fused for a {options.fuse.upper()}"
    contexts = ", ".join(map(str, clip["context_lengths"]))
    horizon = f"{clip['horizon']} slots after the context" if "horizon" in clip else "to the end of the clip"
    tests = "\n".join(f"| {e['context']} | {e['value']:.8f} |" for e in manifest["self_test"]["surprise"])
    resize = {
        "squash": f"whole picture to {clip['crop_size']}×{clip['crop_size']}",
        "shorter-side": f"shorter side to {pre['resize_size']}, centre crop {clip['crop_size']}",
    }[pre["resize"]]
    return f"""# {manifest["name"]}

{manifest["description"]}

| | |
|---|---|
| source | {manifest["source"]} |
| licence | {manifest["license"]} |
| encoder | {encoder} |
| predictor | {predictor} |
| positions | {_positions(weights)} |
| actions | {_actions(c)} |
| target encoder | {"separate" if "target_encoder" in manifest["graphs"] else "the encoder itself"} |
| targets | {_targets(c)} |
| input | {clip["frames_per_clip"]} frames at {clip["model_fps"]:g} per second, {resize}, antialiased bilinear |
| contexts | {contexts} frames; predicted: {horizon} |
| precision | {manifest["precision"]} weights, float32 inputs and outputs |
| graphs | ONNX opset {manifest["opset"]}, attention: {attention} |

## Parity

ONNX Runtime on CPU against PyTorch float32 ({FAMILIES[c.model_type].reference}, context encoded alone), on the
self-test clip and parts of it:

| figure | largest relative difference |
|---|---|
| encoder features | {parity["encoder_max_rel"]:.2e} |
| predictor features | {parity["predictor_max_rel"]:.2e} |
| window surprise | {parity["surprise_max_rel"]:.2e} |
{_reduced(manifest)}
Self-test surprise (noise input, seed {manifest["self_test"]["seed"]}):

| context frames | surprise |
|---|---|
{tests}

## Mask tokens

{mask_token_report(manifest)}
{options.notes}"""


def _reduced(manifest: bundle.Manifest) -> str:
    """What a reduced precision does to surprise; nothing for float32."""
    p, precision = manifest["parity"], manifest["precision"]
    if "windows" not in p:
        return ""
    emulated = (
        "\nONNX Runtime's CPU provider has no bfloat16 kernels, and no GPU had a part in this: the figures are of the"
        "\nsame graphs with every bfloat16 operation done in float32 and its result rounded (`bf16.py`). The bundle runs"
        "\non a GPU alone.\n"
        if precision == "bf16"
        else ""
    )
    return f"""
{precision} against float32 over {p["windows"]} windows ({p["clips"]}):

| figure | value |
|---|---|
| features, largest relative difference | {p["features_max_rel"]:.2e} |
| surprise of a window, largest difference as a part of the windows' mean | {p["window_surprise_max_rel"]:.2e} |
| ranking of the windows, Spearman's correlation, least over the contexts | {p["rank_correlation"]:.6f} |

LayerNorm, softmax, rotary tables and rotations, the residual stream, inputs and outputs are float32.
{emulated}"""


def _actions(config: ModelConfig) -> str:
    if not config.conditioned:
        return "none"
    dim = config.action_dim
    return f"{dim} numbers a frame, what was done up to the next one, and {dim} of its state"


def _targets(config: ModelConfig) -> str:
    if config.teacher_embed_dim is not None:
        return f"the teacher's, {config.target_dim} features, layer-normed"
    if config.levels == 1:
        return f"{config.target_dim} features, layer-normed"
    layers = ", ".join(str(i + 1) for i in config.level_layers)
    return f"features after the encoder's layers {layers} joined, each {config.hidden_size} layer-normed by themselves"


def _positions(weights: Weights) -> str:
    c = weights.config
    if c.corrected:
        return f"rotary, one angle for both members of a pair; rows and columns times {c.place_scale:.6g}"
    if c.rotary:
        return "rotary"
    far = max(
        distance_from_sine(weights.encoder["encoder.embeddings.positions"], weights.config.grid),
        distance_from_sine(weights.predictor["predictor.embeddings.positions"], weights.config.grid),
    )
    return f"the checkpoint's tables; largest difference from the sine-cosine formula: {far:.1e}"


def mask_token(weights: Weights, index: int) -> dict[str, dict]:
    """The manifest's `mask_token`: which one the predictor uses (`index` modulo their number) and how long each is.

    Nothing for V-JEPA 2-AC, which goes on from its context. A token that is zero where another is not was never trained,
    and is refused: training (`PredictorMultiSeqWrapper` in `src/utils/wrappers.py` upstream) numbers tokens by clip length,
    so a model trained with one clip length has trained token 0 alone. V-JEPA 1 has a token per mask generator, all trained:
    0 for 8 small blocks, 1 for 2 large ones.
    """
    if weights.config.conditioned:
        return {}
    tokens = weights.predictor["predictor.embeddings.mask_tokens"].flatten(1)
    lengths, used = tokens.double().norm(dim=1).tolist(), index % len(tokens)
    if lengths[used] == 0 and any(lengths):
        others = ", ".join(str(i) for i, length in enumerate(lengths) if length)
        reason = f"mask token {used} is zero and token {others} is not, so it was never trained"
        raise CheckpointError(f"{reason}; choose that one with --mask-token")
    return {"mask_token": {"index": used, "lengths": lengths}}


def mask_token_report(manifest: bundle.Manifest) -> str:
    """The manifest's `mask_token` in words."""
    if "mask_token" not in manifest:
        return "None: the predictor goes on from its context."
    token = manifest["mask_token"]
    lengths = ", ".join(f"{i}: {length:.3g}" for i, length in enumerate(token["lengths"]))
    return f"Token {token['index']} is used. Euclidean lengths: {lengths}."
