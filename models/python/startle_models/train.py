"""Train the small V-JEPA: `python -m startle_models.train --out DIR --minutes M [--resume]`.

Stage one: the context encoder sees the first C frames, the predictor predicts the target encoder's
features of the next two slots; the target encoder is a fixed projection. Squared error, tokens that
change weigh 5; Muon for the layers' matrices, AdamW for the rest; the rate falls linearly to zero at the end.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import torch

from .net import Net, NetConfig, fit_projection, init_copy, patches, set_target
from .train_data import (CONTEXT_SLOTS, CONTEXT_WEIGHTS, FPS, HORIZON, VIDEO_FRAMES, Clips, normalise)
from .train_eval import gates, held_out, moving_tokens
from .train_export import save_hf, save_random
from .train_probe import write_probe
from .world import SceneSpec, lawful_video

MOVING_WEIGHT = 5.0
WARMUP = 60
DECAY_FROM = 0.55  # share of the time after which the rate falls


def build(cfg: NetConfig, seed: int, components: int = 64) -> Net:
    """An initialised net: projection fitted on 256 videos of the world, copy initialisation."""
    torch.manual_seed(seed)
    net = Net(cfg)
    g = torch.Generator().manual_seed(seed + 77)
    parts = [lawful_video(64, VIDEO_FRAMES, FPS, cfg.crop, cfg.crop, g, SceneSpec()) for _ in range(4)]
    video = torch.cat(parts)[:, ::3][:, :8]
    pixels = patches(normalise(video), cfg).reshape(-1, cfg.patch_pixels)
    set_target(net, *fit_projection(pixels, components))
    init_copy(net, seed)
    return net


def optimizers(net: Net, lr: float):
    """(Muon over the layers' matrices, AdamW over everything else that trains)."""
    matrices, rest = [], []
    for name, p in net.named_parameters():
        if p.requires_grad:
            (matrices if ".layer." in name and p.dim() == 2 else rest).append(p)
    muon = torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def loss_of(net: Net, video, context: int):
    """Weighted squared error of the predictions; video uint8 [B, context + 2 slots, H, W, 3]."""
    cfg = net.cfg
    clip = normalise(video)
    n, k = cfg.per_slot, context // cfg.tubelet
    target = net.targets(clip)[:, k * n:(k + HORIZON) * n]
    weight = 1 + (MOVING_WEIGHT - 1) * moving_tokens(video, context, cfg)
    with torch.autocast(video.device.type, torch.bfloat16):
        pred = net.predict(clip, context, HORIZON)
    error = (pred.float() - target).square().mean(-1)
    return (error * weight).sum() / weight.sum()


def rate(progress: float, step: int) -> float:
    """Learning-rate factor: warm-up, constant, linear decay to zero."""
    return min(1.0, (step + 1) / WARMUP) * min(1.0, max(0.0, (1 - progress) / (1 - DECAY_FROM)))


class Trainer:
    def __init__(self, args):
        self.args, self.out = args, Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.cfg = NetConfig()
        self.net = build(self.cfg, args.seed)
        self.opts = optimizers(self.net, args.lr)
        self.generator = torch.Generator().manual_seed(args.seed + 1)
        self.step, self.clips_seen, self.elapsed, self.core_s, made = 0, 0, 0.0, 0.0, 0
        if args.resume and (self.out / "checkpoint.pt").exists():
            made = self._load(torch.load(self.out / "checkpoint.pt", weights_only=True))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net.to(self.device)
        self.clips = Clips(self.cfg, args.seed, workers=args.workers, made=made)
        self.sets = {"full": held_out(self.cfg), "plain": held_out(self.cfg, 64, full=False)}
        self.sets = {k: v.to(self.device) for k, v in self.sets.items()}
        self.gate: dict[str, float] = {}

    def _load(self, data) -> int:
        self.net.load_state_dict(data["net"])
        for opt, state in zip(self.opts, data["optimizers"]):
            opt.load_state_dict(state)
        self.generator.set_state(data["rng"])
        self.step, self.clips_seen = data["step"], data["clips"]
        self.elapsed, self.core_s = data["elapsed"], data["core_s"]
        return data["made"]

    def save(self, core_s: float):
        data = {"net": self.net.state_dict(), "optimizers": [o.state_dict() for o in self.opts],
                "rng": self.generator.get_state(), "step": self.step, "clips": self.clips_seen,
                "elapsed": self.elapsed, "core_s": core_s, "made": int(self.clips.made[0])}
        torch.save(data, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / "checkpoint.pt")
        save_hf(self.net, self.out, {"seed": self.args.seed, "steps": self.step, "clips": self.clips_seen,
                                     "videos": int(self.clips.made[0]), "core_seconds": round(core_s),
                                     "wall_seconds": round(self.elapsed), "batch": self.args.batch,
                                     "lr": self.args.lr, "gates": {k: round(v, 4) for k, v in self.gate.items()}})

    def log(self, loss: float, lr: float, core_s: float):
        self.net.eval()
        self.gate = gates(self.net, self.sets)
        self.net.train()
        row = {"step": self.step, "clips": self.clips_seen, "videos": int(self.clips.made[0]),
               "wall_s": round(self.elapsed), "core_s": round(core_s), "lr": f"{lr:.2e}", "loss": f"{loss:.5f}"}
        row |= {k: f"{v:.4f}" for k, v in self.gate.items()}
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as f:
            writer = csv.DictWriter(f, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        show = ("full/C6/moving+1", "full/C6/moving+2", "full/C12/moving+1", "plain/C6/moving+1", "plain/C6/moving+2",
                "full/C6/static+1", "rank_encoder")
        print(f"step {self.step} clips {self.clips_seen} wall {self.elapsed:.0f}s core {core_s:.0f}s lr {lr:.1e} "
              f"loss {loss:.4f} " + " ".join(f"{k}={self.gate[k]:.3f}" for k in show), flush=True)

    def run(self):
        args, limit = self.args, self.args.minutes * 60
        begin, base, mean = time.time(), self.elapsed, None
        stop = begin + args.piece * 60 if args.piece else float("inf")
        next_log = self.elapsed

        def spent():
            return self.core_s + time.process_time() + float(self.clips.spent[0])

        lr = 0.0
        while (progress := self.step / args.steps if args.steps else self.elapsed / limit) < 1 and time.time() < stop:
            slots = CONTEXT_SLOTS[int(torch.multinomial(torch.tensor(CONTEXT_WEIGHTS), 1, generator=self.generator))]
            context = slots * self.cfg.tubelet
            video = self.clips.batch(args.batch, context + HORIZON * self.cfg.tubelet, self.generator).to(self.device)
            lr = args.lr * rate(progress, self.step)
            for opt in self.opts:
                for group in opt.param_groups:
                    group["lr"] = lr
            loss = loss_of(self.net, video, context)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            for opt in self.opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            self.step += 1
            self.clips_seen += args.batch
            self.elapsed = base + time.time() - begin
            mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
            if self.elapsed >= next_log:
                self.log(mean, lr, spent())
                self.save(spent())
                next_log = self.elapsed + args.every * 60
        self.elapsed = base + time.time() - begin
        self.log(mean or 0.0, lr, spent())
        self.save(spent())
        self.clips.close()
        if args.probe and progress >= 1:
            write_probe(self.net.to("cpu").eval(), self.out, args.probe)


def plot(folder: Path):
    """log.csv to log.png: loss and gates over clips."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = list(csv.DictReader((folder / "log.csv").open()))
    x = [int(r["clips"]) for r in rows]
    fig, ax = plt.subplots(figsize=(7, 4))
    for key in ("full/C6/moving+1", "full/C6/moving+2", "full/C12/moving+1", "plain/C6/moving+1", "plain/C6/moving+2"):
        ax.plot(x, [float(r[key]) for r in rows], label=key)
    ax.axhline(0.15, color="grey", lw=0.8, ls="--")
    ax.set(xlabel="training clips", ylabel="squared error / copy error", ylim=(0, 1.1))
    ax.legend(fontsize=8)
    fig.tight_layout()
    fig.savefig(folder / "log.png", dpi=110)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=60, help="whole length of the run; the rate decays towards its end")
    p.add_argument("--steps", type=int, default=0, help="length in steps instead (reproducible with --workers 0)")
    p.add_argument("--piece", type=float, default=0, help="leave off after so many minutes; go on with --resume")
    p.add_argument("--every", type=float, default=5, help="minutes between gates and checkpoints")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--probe", type=int, default=24, help="twin pairs per violation scored at the end; 0: none")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--lr", type=float, default=2.5e-3)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    trainer = Trainer(args)
    if not args.resume:
        save_random(trainer.net, trainer.out)
    trainer.run()
    plot(trainer.out)


if __name__ == "__main__":
    main()
