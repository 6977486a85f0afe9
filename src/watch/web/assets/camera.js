// A camera's card: picture with heat map, curve, health. Text from outside only ever becomes text.
const KEEP = 1500, SPAN_S = 90;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (v) => (v == null ? "–" : Math.abs(v) >= 100 ? v.toFixed(0) : v.toFixed(Math.abs(v) >= 10 ? 1 : 2));
const duration = (s) => (s == null ? "–" : s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);

export class CameraCard {
  constructor(camera) {
    const card = document.getElementById("camera-card").content.firstElementChild.cloneNode(true);
    this.root = card;
    this.find = (what) => card.querySelector(what);
    card.setAttribute("aria-label", `camera ${camera.name}`);
    this.find("h3").textContent = camera.name;
    this.find(".source").textContent = camera.source === camera.name ? "" : camera.source;
    this.index = camera.index;
    this.points = [];
    this.heatOn = true;
    this.update(camera);
  }

  // Draws when it stands in the page and its width is known.
  begin() {
    const box = this.find(".curve");
    this.plot = new uPlot(this.options(box), [[], [], [], []], box);
    new ResizeObserver(() => this.plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.plot.destroy();
      this.plot = new uPlot(this.options(box), [[], [], [], []], box);
      this.draw();
    });
    this.draw();
  }

  options(box) {
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const dashed = (alpha) => ({ stroke: css("--threshold") + alpha, width: 1.25, dash: [6, 4], points: { show: false } });
    return {
      width: box.clientWidth, height: box.clientHeight, legend: { show: false }, padding: [8, 6, 0, 0],
      cursor: { drag: { x: false, y: false }, y: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, size: 26, space: 70, values: (_, ts) => ts.map((t) => new Date(t * 1000).toLocaleTimeString()) }, { ...axis, size: 44, space: 34 }],
      series: [
        {},
        { stroke: css("--curve"), width: 1.75, fill: css("--fill"), points: { show: false } },
        dashed(""), dashed("73"),
      ],
      hooks: { setCursor: [(u) => this.hover(u.cursor.idx)] },
    };
  }

  update(camera) {
    this.camera = camera;
    const { health } = camera;
    const learning = health.state === "watching" && health.learning;
    const words = { opening: "connecting", watching: "watching", waiting: "away", ended: "ended" }[health.state];
    const tag = this.find(".state");
    tag.textContent = learning ? "learning what is normal" : health.strange ? "unlike the baseline" : words;
    tag.className = `tag state ${health.state !== "watching" ? "bad" : learning || health.strange ? "warm" : "good"}`;
    if (health.state === "opening") tag.className = "tag state warm";
    const reason = this.find(".reason");
    reason.textContent = health.reason ?? "";
    reason.hidden = !health.reason;
    const facts = [["frames/s", number(camera.fps)], ["latency", duration(camera.latency_s)], ["waiting", camera.queued],
      ["dropped clips", health.dropped], ["reconnects", health.reconnects], ["events", camera.events]];
    const list = this.find(".facts");
    if (!list.children.length) {
      for (const [name] of facts) {
        const pair = list.appendChild(document.createElement("div"));
        pair.appendChild(document.createElement("dt")).textContent = name;
        pair.appendChild(document.createElement("dd"));
      }
    }
    facts.forEach(([, value], i) => { list.children[i].lastChild.textContent = value; });
    this.describe();
  }

  // time ms, surprise, z, motion, high, low
  load(curve) { this.points = curve.points; this.camera.in_z = curve.in_z; this.draw(); }

  add(point) {
    this.points.push(point);
    if (this.points.length > KEEP) this.points.shift();
    if (!this.pending) this.pending = requestAnimationFrame(() => { this.pending = 0; this.draw(); });
  }

  draw() {
    if (!this.plot) return;
    const end = this.points.at(-1)?.[0] ?? Date.now(), from = end - SPAN_S * 1000;
    const shown = this.points.filter((p) => p[0] >= from);
    const value = this.camera.in_z ? 2 : 1;
    this.shown = shown;
    this.plot.setData([shown.map((p) => p[0] / 1000), shown.map((p) => p[value]), shown.map((p) => p[4]), shown.map((p) => p[5])], false);
    this.plot.batch(() => {
      this.plot.setScale("x", { min: from / 1000, max: end / 1000 });
      this.plot.setScale("y", this.range(shown, value));
    });
    if (this.plot.cursor.idx == null) this.hover(null);
    this.root.dataset.points = String(this.points.length);
    this.root.dataset.newest = String(end);
    this.describe();
  }

  range(shown, value) {
    const all = shown.flatMap((p) => [p[value], p[4]]).filter((v) => v != null);
    return { min: Math.min(0, ...all), max: Math.max(1e-6, ...all) * 1.1 };
  }

  hover(at) {
    const point = at == null ? this.points.findLast((p) => p[1] != null) : this.shown?.[at];
    const out = this.find(".readout");
    if (!point) { out.textContent = ""; return; }
    const parts = [`surprise ${number(point[1])}`, `z ${number(point[2])}`, `threshold ${number(point[4])}`];
    out.textContent = (at == null ? "" : `${new Date(point[0]).toLocaleTimeString()} · `) + parts.join(" · ");
  }

  // The curve in words, for who can't see it.
  describe() {
    const value = this.camera.in_z ? 2 : 1, unit = this.camera.in_z ? "z" : "surprise";
    const seen = this.points.slice(-300).filter((p) => p[value] != null);
    const last = seen.at(-1);
    const words = last
      ? `${unit} over time: now ${number(last[value])}, highest of late ${number(Math.max(...seen.map((p) => p[value])))}, threshold ${number(last[4])}`
      : `${unit} over time: nothing yet`;
    this.find(".curve").setAttribute("aria-label", words);
  }

  picture({ jpeg, width, height, heat }) {
    const image = this.find("img");
    image.src = `data:image/jpeg;base64,${jpeg}`;
    image.alt = `live picture of ${this.camera.name}`;
    this.find(".empty").hidden = true;
    this.last = { width, height, heat };
    this.find(".screen").style.aspectRatio = `${width} / ${height}`;
    this.heat(this.heatOn);
  }

  heat(on) {
    this.heatOn = on;
    const canvas = this.find("canvas");
    canvas.hidden = !on;
    if (!on || !this.last) return;
    const { width, height, heat } = this.last;
    [canvas.width, canvas.height] = [width, height];
    const small = document.createElement("canvas");
    small.width = small.height = heat.grid;
    const pixels = small.getContext("2d").createImageData(heat.grid, heat.grid);
    heat.values.forEach((v, i) => pixels.data.set([255, 64, 90, Math.round(170 * (v / 255) ** 2)], i * 4));
    small.getContext("2d").putImageData(pixels, 0, 0);
    const scale = width / Math.max(1, this.sourceWidth ?? (heat.area[0] + heat.area[2]));
    const [x0, y0, x1, y1] = heat.area.map((v) => v * scale);
    canvas.getContext("2d").drawImage(small, x0, y0, x1 - x0, y1 - y0);
  }
}
