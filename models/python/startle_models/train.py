"""Train the small V-JEPA: `python -m startle_models.train --out DIR --minutes M [--from WEIGHTS] [--resume]`.

Stage one: the context encoder sees the first C frames, the predictor predicts the target encoder's
features of the next two slots; the target encoder is a fixed projection. Squared error, tokens that
change weigh 5; Muon for the layers' matrices, AdamW for the rest; the rate falls linearly to zero at the end.
What is judged and exported is the exponential mean of the weights.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

from .net import Net, NetConfig
from .train_data import CHUNK, CONTEXT_SLOTS, CONTEXT_WEIGHTS, HORIZON, Clips, chunk_video, normalise
from .train_eval import gates, held_out
from .train_export import save_hf, save_random
from .train_start import fresh, grown, whiten
from .train_tokens import kept_context, moving_tokens, wanted_targets

MOVING_WEIGHT = 5.0
WARMUP = 60          # steps
DECAY_FROM = 0.6     # share of the run after which the rate falls
KEEP = 0.45          # share of the earlier context tokens, and of the targets, that a step looks at
ALL_FROM = 0.9       # share of the run after which it looks at all of them
MEAN_DECAY = 0.998   # of the exponential mean of the weights, per step
PLOTTED = ("full/C8/moving+1", "full/C8/moving+2", "full/C20/moving+1", "plain/C8/moving+1", "plain/C8/moving+2")


def optimizers(net: Net, lr: float):
    """(Muon over the layers' matrices, AdamW over everything else that trains)."""
    matrices, rest = [], []
    for name, p in net.named_parameters():
        if p.requires_grad:
            (matrices if ".layer." in name and p.dim() == 2 else rest).append(p)
    muon = torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def loss_of(net: Net, video, context: int, keep: float, generator):
    """Weighted squared error of the predictions; video uint8 [B, context + 2 slots, H, W, 3]; keep: share of the
    tokens that are looked at (the moving ones first)."""
    cfg = net.cfg
    clip = normalise(video)
    first = context // cfg.tubelet * cfg.per_slot
    target, moving = net.targets(clip)[:, first:], moving_tokens(video, context, cfg, HORIZON)
    weight = 1 + (MOVING_WEIGHT - 1) * moving
    with torch.autocast(video.device.type, torch.bfloat16):
        if keep < 1:
            kept = kept_context(video, context, cfg, keep, generator)
            wanted, place = wanted_targets(moving, context, cfg, keep, generator)
            pred = net.predict_some(clip, context, kept, wanted)
            target = target.gather(1, place[..., None].expand(-1, -1, cfg.hidden))
            still = (~moving).sum() / (~moving).gather(1, place).sum().clamp(min=1)
            weight = torch.where(moving, weight, still * weight).gather(1, place)
        else:
            pred = net.predict(clip, context, HORIZON)
    error = (pred.float() - target).square().mean(-1)
    return ((error * weight).sum(1) / weight.sum(1)).mean()


def rate(progress: float, step: int) -> float:
    """Learning-rate factor: warm-up, constant, linear decay to zero."""
    return min(1.0, (step + 1) / WARMUP) * min(1.0, max(0.0, (1 - progress) / (1 - DECAY_FROM)))


class Trainer:
    """One rank of a run. State lives in `out`/checkpoint.pt, written by rank 0."""

    def __init__(self, args, rank: int = 0):
        self.args, self.rank, self.out = args, rank, Path(args.out)
        self.cfg = NetConfig()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.step, self.clips_seen, self.elapsed, self.core_s, made = 0, 0, 0.0, 0.0, 0
        saved = self.out / "checkpoint.pt"
        resume = args.resume and saved.exists()
        self.net = Net(self.cfg) if resume else self._begin()
        self.mean = Net(self.cfg)
        self.mean.load_state_dict(self.net.state_dict())
        self.opts = optimizers(self.net.to(self.device), args.lr)
        self.mean.to(self.device).requires_grad_(False)
        if resume:
            made = self._load(torch.load(saved, weights_only=True, map_location="cpu"))
        self.clips = Clips(self.cfg, args.seed, rank, args.ranks, made, self.device, warm=bool(args.start))
        self.sets = {"full": held_out(self.cfg), "plain": held_out(self.cfg, 64, full=False)} if rank == 0 else {}
        self.sets = {k: v.to(self.device) for k, v in self.sets.items()}
        self.gate: dict[str, float] = {}

    def _begin(self) -> Net:
        args = self.args
        net = grown(self.cfg, Path(args.start), args.seed) if args.start else fresh(self.cfg, args.seed)
        if args.whiten:
            whiten(net, chunk_video(0, args.seed, self.cfg)[0][:, :self.cfg.frames], args.whiten)
        return net

    def _load(self, data) -> int:
        self.net.load_state_dict(data["net"])
        self.mean.load_state_dict(data["mean"])
        for opt, state in zip(self.opts, data["optimizers"]):
            opt.load_state_dict(state)
        self.step, self.clips_seen = data["step"], data["clips"]
        self.elapsed, self.core_s = data["elapsed"], data["core_s"]
        return data["made"]

    def save(self):
        data = {"net": self.net.state_dict(), "mean": self.mean.state_dict(),
                "optimizers": [o.state_dict() for o in self.opts], "step": self.step, "clips": self.clips_seen,
                "elapsed": self.elapsed, "core_s": self.spent(), "made": self.clips.made}
        torch.save(data, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / "checkpoint.pt")
        args = self.args
        save_hf(self.mean.to("cpu"), self.out, {
            "seed": args.seed, "steps": self.step, "clips": self.clips_seen,
            "from": Path(args.start).resolve().parent.name if args.start else None,
            "videos": self.clips.made * args.ranks * CHUNK, "core_seconds": round(self.spent()),
            "wall_seconds": round(self.elapsed), "batch": args.batch * args.ranks, "lr": args.lr,
            "gates": {k: round(v, 4) for k, v in self.gate.items()}})
        self.mean.to(self.device)

    def spent(self) -> float:
        """Core-seconds of the whole run (all ranks take as many as this one)."""
        return self.core_s + time.process_time() * self.args.ranks

    def log(self, loss: float, lr: float):
        self.gate = gates(self.mean.eval(), self.sets)
        row = {"step": self.step, "clips": self.clips_seen, "videos": self.clips.made * self.args.ranks * CHUNK,
               "wall_s": round(self.elapsed), "core_s": round(self.spent()), "lr": f"{lr:.2e}", "loss": f"{loss:.5f}"}
        row |= {k: f"{v:.4f}" for k, v in self.gate.items()}
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as f:
            writer = csv.DictWriter(f, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        show = (*PLOTTED, "full/C8/static+1", "rank_encoder")
        print(f"step {self.step} clips {self.clips_seen} wall {self.elapsed:.0f}s core {self.spent():.0f}s lr {lr:.1e} "
              f"loss {loss:.4f} " + " ".join(f"{k}={self.gate[k]:.3f}" for k in show), flush=True)

    def one_step(self, progress: float) -> tuple[float, float]:
        """One optimiser step; returns loss and learning rate."""
        args, cfg = self.args, self.cfg
        shared = torch.Generator().manual_seed(args.seed * 1_000_033 + self.step)
        own = torch.Generator().manual_seed((args.seed * 1_000_033 + self.step) * 64 + self.rank + 1)
        slots = CONTEXT_SLOTS[int(torch.multinomial(torch.tensor(CONTEXT_WEIGHTS), 1, generator=shared))]
        context = slots * cfg.tubelet
        video = self.clips.batch(args.batch, context + HORIZON * cfg.tubelet, own).to(self.device)
        lr = args.lr * rate(progress, self.step)
        loss = loss_of(self.net, video, context, KEEP if progress < ALL_FROM else 1.0, own)
        loss.backward()
        if args.ranks > 1:
            self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for opt in self.opts:
            for group in opt.param_groups:
                group["lr"] = lr
            opt.step()
            opt.zero_grad(set_to_none=True)
        self.step += 1
        self.clips_seen += args.batch * args.ranks
        keep = min(MEAN_DECAY, self.step / (self.step + 10))
        torch._foreach_lerp_(list(self.mean.parameters()), [p.data for p in self.net.parameters()], 1 - keep)
        return loss.item(), lr

    def _share_gradients(self):
        params = [p for p in self.net.parameters() if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in params])
        dist.all_reduce(flat)
        flat /= self.args.ranks
        for p, g in zip(params, flat.split([p.numel() for p in params])):
            p.grad.copy_(g.view_as(p))

    def _progress(self, begin: float, base: float) -> float:
        """Share of the run that is done, the same for every rank."""
        self.elapsed = base + time.time() - begin
        args = self.args
        share = self.step / args.steps if args.steps else self.elapsed / (args.minutes * 60)
        if args.piece and time.time() - begin > args.piece * 60:
            share += 10  # leave off
        if args.ranks == 1:
            return share
        value = torch.tensor([share], dtype=torch.float64)
        dist.broadcast(value, 0)
        return float(value)

    def run(self):
        begin, base, mean, lr = time.time(), self.elapsed, None, 0.0
        next_log = self.elapsed
        while (progress := self._progress(begin, base)) < 1:
            loss, lr = self.one_step(progress)
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            if self.rank == 0 and self.elapsed >= next_log:
                self.log(mean, lr)
                self.save()
                next_log = self.elapsed + self.args.every * 60
        if self.rank == 0:
            self.log(mean or 0.0, lr)
            self.save()


def plot(folder: Path):
    """log.csv to log.png: loss and gates over clips."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = list(csv.DictReader((folder / "log.csv").open()))
    x = [int(r["clips"]) for r in rows]
    fig, ax = plt.subplots(figsize=(7, 4))
    for key in PLOTTED:
        ax.plot(x, [float(r[key]) for r in rows], label=key)
    ax.axhline(0.15, color="grey", lw=0.8, ls="--")
    ax.set(xlabel="training clips", ylabel="squared error / copy error", ylim=(0, 1.1))
    ax.legend(fontsize=8)
    fig.tight_layout()
    fig.savefig(folder / "log.png", dpi=110)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=60, help="whole length of the run; the rate decays towards its end")
    p.add_argument("--steps", type=int, default=0, help="length in steps instead of minutes (reproducible)")
    p.add_argument("--piece", type=float, default=0, help="leave off after so many minutes; go on with --resume")
    p.add_argument("--every", type=float, default=5, help="minutes between gates and checkpoints")
    p.add_argument("--from", dest="start", default="", help="begin with these weights, grown to the net's shape")
    p.add_argument("--whiten", type=float, default=0.0, help="whiten the targets of --from further")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--batch", type=int, default=12, help="clips per step and rank")
    p.add_argument("--lr", type=float, default=2.5e-3)
    p.add_argument("--ranks", type=int, default=1, help="processes that share every step, a thread each")
    p.add_argument("--threads", type=int, default=1, help="threads of each process")
    return p.parse_args()


def work(rank: int, args):
    """Run one rank."""
    torch.set_num_threads(args.threads)
    if args.ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{Path(args.out).resolve()}/.meet", rank=rank,
                                world_size=args.ranks)
    Trainer(args, rank).run()


def main():
    args = arguments()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / ".meet").unlink(missing_ok=True)
    save_random(NetConfig(), out)
    if args.ranks > 1:
        torch.multiprocessing.spawn(work, (args,), args.ranks)
    else:
        work(0, args)
    plot(out)


if __name__ == "__main__":
    main()
