"""The predictor: files of things, what they will be, and how unlikely it is what came.

One recurrent state a file, messages between files by their relative geometry (interaction networks: Battaglia et al.,
arXiv 1612.00222), the surroundings of each file read off the encoder's maps, and predictions as distributions: of being
seen (Bernoulli), of place, extent and colour (Laplace with learnt scales), of shape (categorical), and for the scene
where something new may come into view (a Bernoulli in each cell). The energy of a moment is its negative
log-likelihood, less what is expected of it.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import association
from .labels import ATTRIBUTES, LAYERS, SHAPES

HORIZONS = (1, 2, 5)  # pictures ahead
BIRTH = 12  # cells a side of the map of what may appear
OUT = 1 + 5 + 5 + 3 + 1 + SHAPES  # seen, geometry, its scales, colour, its scale, shape
SEEN, MEAN, SCALE, COLOUR, COLOUR_SCALE, SHAPE = 0, slice(1, 6), slice(6, 11), slice(11, 14), 14, slice(15, 19)
KEEP, START = 0.15, 0.35  # confidence from which a token may meet a file, and begin one
LONGEST = 45  # pictures that a file outlives unseen
LOOK_SHARE = 0.5  # visible share from which a look is believed
MISS_KEEP, DRIFT_KEEP = 0.85, 0.7  # of what adds up, from picture to picture
FOLLOW, SUDDEN = 0.35, 0.012  # share of a change of velocity that is believed at once, and the change (shares a picture)
# that is believed whole
SLOW = 3 + 1 + SHAPES + 1  # what is known of a thing: colour, its mean deviation, shape, looks
STEPS = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)  # of the surroundings, in half extents
AHEAD = (1.0, 2.0, 3.0, 5.0)  # pictures ahead at which the way is looked at
RIM = (-1.2, 0.0, 1.2)  # of the way, in half extents
LEAST = 0.02  # half extent by which surroundings are measured, at least
SETTLED, KNOWN = 2, 4  # meetings in a row after which a look is not mixed with what hid it, and looks that make it known
SLOWEST = 0.05  # share of a look that what is known of a thing follows
LEAST_SPREAD = 0.04  # mean deviation of a thing's colour, at least
LONG_KEEP = 0.9  # of what adds up against what is known
PARTS = ("missing", "missing_long", "unhidden", "new", "new_stays", "place", "place_2", "place_5", "drift", "size",
         "colour", "colour_long", "shape", "shape_long")
KINDS = {"missing": "missing", "missing_long": "missing", "unhidden": "new", "new": "new", "new_stays": "new",
         "place": "moved", "place_2": "moved", "place_5": "moved", "drift": "moved", "size": "size",
         "colour": "colour", "colour_long": "colour", "shape": "shape", "shape_long": "shape"}
ROW = 13  # of what is told: present, x, y, half width, half height, colour, probability, shape


def mlp(i, hidden, o):
    return nn.Sequential(nn.Linear(i, hidden), nn.GELU(), nn.Linear(hidden, o))


def layout(d: int):
    """Widths of a file's parts of the state."""
    return {"h": d, "est": 5, "vel": 2, "look": 7, "alive": 1, "age": 1, "hits": 1, "life": 1, "miss": 1, "drift": 1,
            "born": 1, "row": 1, "slow": SLOW, "long": 2, "q1": OUT, "q2": 2 * OUT, "q5": 5 * OUT}


class Predictor(nn.Module):
    """step(): the state of B streams [B,width(N)], tokens [B,K,ATTRIBUTES], maps [B,LAYERS,G,G] to the next state and
    what this picture was like."""

    def __init__(self, d: int = 96, e: int = 32):
        super().__init__()
        self.d = d
        self.around = nn.Linear(LAYERS * len(STEPS) ** 2, d)
        self.way = nn.Linear(LAYERS * len(AHEAD) * len(RIM) ** 2, d, bias=False)
        nn.init.zeros_(self.way.weight)
        self.take_in = nn.Linear(ATTRIBUTES + 5 + 2 + 5 + 7 + 4, d)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(d, d))
        self.gru = nn.GRUCell(d, d)
        self.receive, self.send, self.between = nn.Linear(d, e), nn.Linear(d, e), nn.Linear(12, e)
        self.message = nn.Linear(e, d)
        self.head = mlp(2 * d, 2 * d, len(HORIZONS) * OUT)
        nn.init.normal_(self.head[2].weight, std=0.005)
        nn.init.zeros_(self.head[2].bias)
        self.birth = nn.Sequential(nn.Conv2d(LAYERS + 4, 24, 3, 1, 1), nn.GELU(), nn.Conv2d(24, 24, 3, 1, 1), nn.GELU(),
                                   nn.Conv2d(24, 1, 1))
        nn.init.constant_(self.birth[4].bias, -6.0)
        for name, at in (("grid", torch.tensor(STEPS)), ("rim", torch.tensor(RIM))):
            n = len(at)
            pairs = torch.stack([at[None, :].expand(n, n), at[:, None].expand(n, n)], -1).reshape(-1, 2)
            self.register_buffer(name, pairs, persistent=False)

    def width(self, files: int) -> int:
        """Of the state of one stream."""
        return files * sum(layout(self.d).values()) + BIRTH**2

    def unpack(self, state):
        """State [B,Z] to a dict of [B,N,w] and the birth logits [B,BIRTH,BIRTH]."""
        per = layout(self.d)
        files = (state.shape[1] - BIRTH**2) // sum(per.values())
        flat, birth = state.split([files * sum(per.values()), BIRTH**2], 1)
        parts = flat.reshape(-1, files, sum(per.values())).split(list(per.values()), 2)
        return dict(zip(per, parts)), birth.reshape(-1, BIRTH, BIRTH)

    def pack(self, parts, birth):
        return torch.cat([torch.cat([parts[k] for k in layout(self.d)], 2).flatten(1), birth.flatten(1)], 1)

    def forward(self, state, tokens, maps):
        parts, birth = self.unpack(state)
        parts, seen = self.step(parts, birth, tokens, maps)
        birth = self.births(parts["alive"], parts["age"], parts["q1"], maps)
        energy, expected, found = tell(seen)
        return self.pack(parts, birth), energy, expected, found

    def births(self, alive, age, q1, maps):
        """Logits [B,BIRTH,BIRTH] of something new in each cell of the next picture."""
        b, g = maps.shape[0], BIRTH
        small = F.avg_pool2d(maps, maps.shape[-1] // g)
        axis = (torch.arange(g, device=maps.device, dtype=maps.dtype) + 0.5) / g
        x, y = q1[..., 1, None], q1[..., 2, None]
        w, h = q1[..., 3, None].clamp(min=0.04), q1[..., 4, None].clamp(min=0.04)
        across = torch.exp(-((axis - x) / w).square())
        down = torch.exp(-((axis - y) / h).square())
        spot = down[..., :, None] * across[..., None, :] * alive[..., None]
        hidden = (age[..., None] > 0).to(maps.dtype)
        spots = torch.stack([(spot * (1 - hidden)).sum(1), (spot * hidden).sum(1)], 1).clamp(max=1.5)
        edge = torch.stack([axis[None, :].expand(g, g), axis[:, None].expand(g, g)])
        edge = (2 * edge - 1).abs()[None].expand(b, 2, g, g)
        return self.birth(torch.cat([small, spots, edge], 1))[:, 0]

    def surroundings(self, est, vel, maps):
        """What the maps show at steps around each file [B,N,LAYERS * 49], and around where it will be if it goes on
        [B,N,LAYERS * 36]."""
        half = est[..., None, 2:4].clamp(min=LEAST)
        around = est[..., None, :2] + half * self.grid
        ahead = torch.tensor(AHEAD, device=est.device, dtype=est.dtype)[:, None, None]
        way = (est[..., None, :2] + half * self.rim)[:, :, None] + vel[:, :, None, None] * ahead

        def sampled(at):
            return F.grid_sample(maps, at * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
        return [sampled(at).permute(0, 2, 1, 3).flatten(2) for at in (around, way.flatten(2, 3))]

    def _associate(self, p, tokens):
        confidence = tokens[..., 0]
        now = p["q1"][..., MEAN]
        apart = association.distance(now[..., :2], now[..., 2:4].clamp(min=0), tokens[..., 2:4], tokens[..., 4:6])
        colour = (p["look"][:, :, None, :3] - tokens[:, None, :, 7:10]).abs().sum(-1).clamp(max=1)
        size = (now[:, :, None, 2:4].clamp(min=0.005) / tokens[:, None, :, 4:6].clamp(min=0.005)).log().abs().sum(-1)
        gate = torch.where(p["hits"] < 1.5, association.GATE_NEW,
                           (association.GATE + association.GATE_MORE * p["age"]).clamp(max=association.GATE_MOST))
        allowed = (apart < gate) & (p["alive"] > 0.5) & (confidence > KEEP)[:, None]
        cost = apart + 0.5 * colour + 0.3 * size.clamp(max=1)
        cost = torch.where(allowed, cost, association.FAR)
        return association.match(cost, min(cost.shape[1], cost.shape[2]))

    def step(self, p, birth, tokens, maps):
        """The next parts of the state (without the map of births), and what was predicted of this picture and seen."""
        with torch.no_grad():
            met = self._associate(p, tokens)
            fresh = (1 - met.sum(1)) * (tokens[..., 0] > START).to(tokens.dtype)
            begins = association.fill(1 - p["alive"][..., 0], fresh)
        m, new = met.sum(2, keepdim=True), begins.sum(2, keepdim=True)
        obs = met @ tokens
        was = torch.stack([p["q1"], p["q2"][..., :OUT], p["q5"][..., :OUT]], 2)
        x, y = (tokens[..., i].clamp(0, 0.999) for i in (2, 3))
        cell = (y * BIRTH).floor() * BIRTH + (x * BIRTH).floor()
        coming = birth.flatten(1).gather(1, cell.long())
        seen = {"met": m, "obs": obs, "was": was, "alive": p["alive"], "life": p["life"], "age": p["age"],
                "fresh": fresh,
                "tokens": tokens, "cell": cell}
        energy = energies(seen)
        miss = (p["miss"] * MISS_KEEP + energy["missing"]) * (1 - m) * p["alive"]
        drift = p["drift"] * DRIFT_KEEP + energy["drift_now"]
        row = torch.where(m > 0, p["row"] + 1, 0.0) + new
        slow, long = recall(p["slow"], p["long"], obs, m * (row > SETTLED).to(m.dtype))
        arrival = F.softplus(-coming) * fresh
        born = (begins @ arrival[..., None]) + p["born"] * (1 - new)
        hits = torch.where(new > 0, 1.0, (p["hits"] + m).clamp(max=8))
        stays = born * ((hits - 3).abs() < 0.5).to(hits.dtype) * m
        seen |= {"energy": energy | {"missing_long": miss, "drift": drift * m, "new_stays": stays, "colour_long": long[..., :1] * m,
                                     "shape_long": long[..., 1:] * m}, "arrival": arrival}
        obs = obs + begins @ tokens
        after = self._remember(p, m, new, obs, maps, hits, miss, drift, born)
        first = torch.cat([obs[..., 7:10], torch.full_like(m, LEAST_SPREAD), obs[..., 10:14], torch.ones_like(m)], -1)
        known = {"row": row, "slow": torch.where(new > 0, first, slow), "long": long * (1 - new)}
        return after | known, seen

    def _remember(self, p, m, new, obs, maps, hits, miss, drift, born):
        old = 1 - new
        there = m + new
        expected = p["q1"][..., MEAN]
        est = torch.where(there > 0, obs[..., 2:7], expected)
        steady = m * (p["age"] < 0.5).to(m.dtype)
        step = obs[..., 2:4] - p["est"][..., :2]
        change = step - p["vel"]
        follow = (FOLLOW + change.abs().amax(-1, keepdim=True) / SUDDEN).clamp(max=1)
        follow = torch.where(p["hits"] < 1.5, 1.0, follow)
        moved = torch.where(steady > 0, p["vel"] + follow * change,
                            torch.where(m > 0, p["vel"], expected[..., :2] - p["est"][..., :2]))
        vel = moved.clamp(-0.3, 0.3) * old
        miss_by = (obs[..., 2:7] - expected) * m
        clear = (obs[..., 1:2] > LOOK_SHARE).to(m.dtype)
        mixed = torch.where(new > 0, 1.0, 0.5 * m * clear)
        look = p["look"] + (obs[..., 7:14] - p["look"]) * mixed
        age = torch.where(there > 0, 0.0, p["age"] + 1)
        life = torch.where(new > 0, 0.0, (p["life"] + 1).clamp(max=10))
        told = torch.cat([obs * there, est, vel * 10, miss_by * 10, look, there, new, age.clamp(max=30) / 10, hits / 8], -1)
        around, way = self.surroundings(est, vel, maps)
        x = self.mix(self.take_in(told) + self.around(around) + self.way(way))
        h = self.gru(x.flatten(0, 1), (p["h"] * old).flatten(0, 1)).view_as(p["h"])
        alive = (p["alive"] + new).clamp(max=1)
        near = self._messages(h, est, vel, alive)
        out = self.head(torch.cat([h, near], -1)).unflatten(-1, (len(HORIZONS), OUT))
        ahead = self._predictions(out, est, vel, look)
        gone = ((ahead[:, :, 0, 1:3] - 0.5).abs().amax(-1, keepdim=True) > 0.53) & (age > 1.5)
        gone = gone | (age > LONGEST) | ((hits < 2.5) & (age > 2.5))
        alive = torch.where(gone, 0.0, alive)
        queue = {"q1": ahead[:, :, 0], "q2": torch.cat([p["q2"][..., OUT:], ahead[:, :, 1]], -1),
                 "q5": torch.cat([p["q5"][..., OUT:], ahead[:, :, 2]], -1)}
        return {"h": h, "est": est, "vel": vel, "look": look, "alive": alive, "age": age, "hits": hits, "life": life,
                "miss": miss * old, "drift": drift * old, "born": born} | queue

    def _messages(self, h, est, vel, alive):
        """What the other files tell each file [B,N,d]."""
        a, b = est[:, :, None], est[:, None]
        gap = b[..., :2] - a[..., :2]
        reach = a[..., 2:4] + b[..., 2:4]
        free = (gap.abs() - reach) / reach.clamp(min=LEAST)
        geometry = torch.cat([gap * 4, reach * 4, free.clamp(-2, 6) / 2, (vel[:, None] - vel[:, :, None]) * 10,
                              (b[..., 4:] - a[..., 4:]), a[..., 1:2].expand_as(gap[..., :1]),
                              a[..., 4:].expand_as(gap[..., :1]), b[..., 4:].expand_as(gap[..., :1])], -1)
        pair = F.relu(self.receive(h)[:, :, None] + self.send(h)[:, None] + self.between(geometry))
        other = 1 - torch.eye(h.shape[1], device=h.device, dtype=h.dtype)
        return self.message((pair * (alive[:, None] * other[None, ..., None])).sum(2))

    def _predictions(self, out, est, vel, look):
        """Distributions [B,N,3,OUT] of the pictures HORIZONS ahead."""
        step = torch.tensor(HORIZONS, device=est.device, dtype=est.dtype)[:, None]
        straight = est[:, :, None] + F.pad(vel, (0, 3))[:, :, None] * step
        mean = straight + out[..., MEAN] * 0.1
        return torch.cat([
            out[..., :1] * 3, mean, out[..., SCALE].clamp(-3, 5) - 4, look[:, :, None, :3] + out[..., COLOUR] * 0.1,
            out[..., 14:15].clamp(-3, 5) - 3, look[:, :, None, 3:] * 4 + out[..., SHAPE],
        ], -1)


def recall(slow, long, obs, look):
    """What is known of things [B,N,SLOW] after a look (1 or 0) [B,N,1] at obs, and what adds up against it [B,N,2]: nats
    of colour (Laplace, by the thing's own mean deviation) and of shape over what is expected."""
    colour, spread, shape, count = slow.split([3, 1, SHAPES, 1], -1)
    gap = (obs[..., 7:10] - colour).abs().sum(-1, keepdim=True)
    odds = shape * 0.96 + 0.04 / SHAPES
    usual = -(odds * odds.log()).sum(-1, keepdim=True)
    other = -(obs[..., 10:14] * odds.log()).sum(-1, keepdim=True)
    against = torch.cat([(gap / spread - 3).clamp(-2, 6), (other - usual).clamp(-1, 2)], -1)
    known = look * (count >= KNOWN).to(look.dtype)
    long = torch.where(known > 0, (long * LONG_KEEP + against).clamp(min=0), long)
    pace = look * torch.maximum(1 / (count + 1), torch.full_like(count, SLOWEST))
    spread = (spread + pace * (gap / 3 - spread)).clamp(min=LEAST_SPREAD)
    parts = [colour + pace * (obs[..., 7:10] - colour), spread, shape + pace * (obs[..., 10:14] - shape),
             (count + look).clamp(max=1 / SLOWEST)]
    return torch.cat(parts, -1), long


def deviations(seen):
    """Of what was met from what was predicted: geometry and colour in units of the predicted scales [.., N,3,5|1], the
    cross-entropy of the shape over the least [.., N,3]; for any leading dimensions."""
    was, obs = seen["was"], seen["obs"][..., None, :]
    geometry = (obs[..., 2:7] - was[..., MEAN]).abs() / was[..., SCALE].exp()
    colour = (obs[..., 7:10] - was[..., COLOUR]).abs().sum(-1, keepdim=True) / was[..., COLOUR_SCALE, None].exp()
    log_p = was[..., SHAPE].log_softmax(-1)
    surprise = -(obs[..., 10:14] * log_p).sum(-1)
    usual = -(log_p.exp() * log_p).sum(-1)
    return geometry, colour, surprise, usual


def energies(seen):
    """Parts of the energy of this picture, a number per file [.., N,1], nats over what is expected, at least 0."""
    m = seen["met"]
    geometry, colour, surprise, usual = deviations(seen)
    logit = seen["was"][..., 0]
    known = [seen["alive"] * (seen["life"] > h - 1.5).to(m.dtype) for h in HORIZONS]
    clear = ((seen["obs"][..., 1:2] - LOOK_SHARE) / 0.3).clamp(0, 1) * m
    place = [(geometry[..., i, :2].sum(-1, keepdim=True) - 2).clamp(min=0) * m * known[i] for i in range(3)]
    size = [(geometry[..., i, 2:4].sum(-1, keepdim=True) - 2).clamp(min=0) * m * known[i] for i in (0, 2)]
    look = [(colour[..., i, :] - 3).clamp(min=0) * clear * known[i] for i in (0, 2)]
    shape = [(surprise - usual)[..., i, None].clamp(min=0) * clear * known[i] for i in (0, 2)]
    return {
        "missing": F.softplus(logit[..., :1]) * (1 - m) * known[0],
        "unhidden": F.softplus(-logit[..., :1]) * m * known[0],
        "place": place[0], "place_2": place[1], "place_5": place[2],
        "drift_now": ((geometry[..., 2, :2].sum(-1, keepdim=True) - 2) * m * known[2]).clamp(-1, 20),
        "size": torch.maximum(*size), "colour": torch.maximum(*look), "shape": torch.maximum(*shape),
    }


def tell(seen):
    """Energies [B,N+K,P], and rows [B,N+K,ROW] of what was expected and what was seen."""
    energy, tokens, met, was = seen["energy"], seen["tokens"], seen["met"], seen["was"][:, :, 0]
    k = tokens.shape[1]
    none = torch.zeros_like(met)
    files = torch.cat([none if part == "new" else energy[part].clamp(min=0) for part in PARTS], -1)
    others = F.pad(seen["arrival"][..., None], (PARTS.index("new"), len(PARTS) - PARTS.index("new") - 1))
    expected = torch.cat([seen["alive"], was[..., 1:5], was[..., COLOUR] + 0.5, was[..., :1].sigmoid(),
                          was[..., SHAPE].softmax(-1)], -1) * seen["alive"]

    def row(t):
        return torch.cat([torch.ones_like(t[..., :1]), t[..., 2:6], t[..., 7:10] + 0.5, t[..., :1], t[..., 10:14]], -1)
    found = torch.cat([row(seen["obs"]) * met, row(tokens) * seen["fresh"][..., None]], 1)
    return torch.cat([files, others], 1), F.pad(expected, (0, 0, 0, k)), found
