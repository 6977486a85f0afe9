"""Train the object JEPA by stages: python -m startle_models.objects.train STAGE --out FOLDER --minutes M.

encoder     pictures of the generator to what stands where                    FOLDER/encoder.pt
known       clips as the generator knows them, to begin with                  FOLDER/known/
first       the predictor on those, blurred as if they had been seen          FOLDER/first.pt
films       videos of clips and what is true of them, 37 MB a chunk           FOLDER/films/
perceive    those as the encoder sees them; with --footage, real ones too     FOLDER/seen/, FOLDER/real/
predictor   the predictor on what was seen, from first.pt                     FOLDER/predictor.pt
export      the graphs                                                        FOLDER/graphs/
plot        the gates of the nets' stages, as each does at its end            FOLDER/encoder.png, ...

Each can be stopped and goes on where it was; each writes a log beside its checkpoint.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pathlib

import torch

from .clips import make, make_real
from .curves import plot_all
from .encoder import Encoder, Perception
from .predictor import Predictor

def newest(folder, stage: str, net):
    """`net` with the averaged weights of a stage."""
    net.load_state_dict(torch.load(f"{folder}/{stage}.pt", map_location="cpu", weights_only=False)["average"])
    return net.eval()


def perception(folder) -> Perception:
    return Perception(newest(folder, "encoder", Encoder()).to(memory_format=torch.channels_last))


SEEDS = {"known": 11, "films": 21, "seen": 22}


def _clips(rank: int, ranks: int, out: str, count: int, what: str):
    torch.set_num_threads(1)
    make(out, what, SEEDS[what], range(rank, count, ranks), perception(out) if what == "seen" else None)


def clips(out, count: int, ranks: int, what: str):
    jobs = [multiprocessing.Process(target=_clips, args=(r, ranks, out, count, what)) for r in range(ranks)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    if any(job.exitcode for job in jobs):
        raise SystemExit("a process that made clips failed; what is there stays, run this again")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("stage", choices=("encoder", "known", "first", "films", "perceive", "predictor", "export", "plot"))
    p.add_argument("--out", required=True, help="folder of checkpoints, clips and logs")
    p.add_argument("--minutes", type=float, default=40, help="of a net's stage in all, over every piece of it")
    p.add_argument("--chunks", type=int, default=400, help="of 16 clips each")
    p.add_argument("--ranks", type=int, default=2, help="processes that make clips")
    p.add_argument("--footage", type=pathlib.Path, help="folder of real shots with a manifest.csv")
    p.add_argument("--only", default="", help="of the predictor: parameters whose names begin so (birth), the others stay")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if a.stage == "encoder":
        from .encoder_train import train
        train(a.out, a.minutes, a.seed)
    elif a.stage in ("known", "films", "perceive"):
        if a.stage == "perceive" and a.footage:
            make_real(f"{a.out}/real", a.footage, perception(a.out))
        clips(a.out, a.chunks, a.ranks, "seen" if a.stage == "perceive" else a.stage)
    elif a.stage == "export":
        from .export import export
        export(newest(a.out, "encoder", Encoder()), newest(a.out, "predictor", Predictor()), f"{a.out}/graphs")
    elif a.stage != "plot":
        from .predictor_train import train
        if a.stage == "first":
            train(a.out, a.minutes, a.seed, ("known",), None, "first", blur=True)
        else:
            train(a.out, a.minutes, a.seed, ("seen", "real"), "first", only=a.only)
    if a.stage in ("encoder", "first", "predictor", "plot"):
        print(*plot_all(a.out), sep="\n")


if __name__ == "__main__":
    main()
