"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const videos = [...document.querySelectorAll(".version")].map((f) => f.querySelector("video"));
  const boxes = [...document.querySelectorAll("input[data-version]")];
  const playing = videos.filter(Boolean);
  const master = playing[0] || null;
  const shown = () => boxes.map((b) => b.checked);
  let now = 0, model = 0, hold = false;

  const select = byId("model");
  data.models.forEach((m, i) => select.add(new Option(m.name, String(i))));
  select.closest("label").hidden = data.models.length < 2;

  const ends = data.models.flatMap((m) => m.curves.filter(Boolean).flatMap((c) => c.length ? [c[c.length - 1][0]] : []));
  const duration = () => Math.max(0.1, ...ends, ...playing.map((v) => (Number.isFinite(v.duration) ? v.duration : 0)));
  const time = (s) => (s < 59.995 ? `${(Math.round(s * 100) / 100).toFixed(2)} s`
    : `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`);

  const ns = "http://www.w3.org/2000/svg";
  const draw = (parent, name, attributes, text) => {
    const e = document.createElementNS(ns, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    parent.append(e);
    return e;
  };

  // The value of a curve at a time, as the ranking takes it; null outside it.
  const at = (curve, t) => {
    if (!curve || !curve.length || t < curve[0][0] - 1e-6 || t > curve[curve.length - 1][0] + 1e-6) return null;
    let low = 0, high = curve.length - 1;
    while (high - low > 1) { const mid = (low + high) >> 1; if (curve[mid][0] <= t) low = mid; else high = mid; }
    const [a, b] = [curve[low], curve[high]];
    return b[0] === a[0] ? a[1] : a[1] + (b[1] - a[1]) * Math.min(1, Math.max(0, (t - a[0]) / (b[0] - a[0])));
  };
  const difference = (curves, i) => curves[i] && curves[0]
    ? curves[i].map(([t, v]) => { const first = at(curves[0], t); return first === null ? null : [t, v - first]; }).filter(Boolean) : null;

  const ticks = (low, high, count) => {
    const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
    const out = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(Number(v.toPrecision(12)));
    return out;
  };

  const heads = [];
  function chart(host, curves, limit) {
    const width = Math.max(280, host.clientWidth), height = 190, left = 44, right = 10, top = 8, bottom = 22;
    const visible = shown();
    const values = curves.flatMap((c, i) => (c && visible[i] ? c.map((p) => p[1]) : []));
    const low = Math.min(0, ...values), high = Math.max(low + 1e-6, limit || 0, ...values);
    const x = (t) => left + (t / duration()) * (width - left - right);
    const y = (v) => top + (1 - (v - low) / (high - low)) * (height - top - bottom);
    host.replaceChildren();
    const svg = draw(host, "svg", { viewBox: `0 0 ${width} ${height}`, height });
    for (const v of ticks(low, high, 4)) {
      draw(svg, "line", { class: v === 0 ? "zero" : "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) });
      draw(svg, "text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, String(v));
    }
    for (const t of ticks(0, duration(), Math.max(3, Math.floor(width / 110)))) {
      draw(svg, "text", { x: x(t), y: height - 6, "text-anchor": "middle" }, `${t} s`);
    }
    if (limit) for (const v of [limit, -limit]) if (v >= low) draw(svg, "line", { class: "limit", x1: left, x2: width - right, y1: y(v), y2: y(v) });
    curves.forEach((curve, i) => {
      if (!curve || !visible[i]) return;
      const points = curve.map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
      draw(svg, "polyline", { class: "line", points, style: `stroke:var(--v${i % 8})` });
      const part = data.models[model].parts[i];
      if (part !== null) draw(svg, "line", { class: "part", x1: x(part), x2: x(part), y1: top, y2: height - bottom, style: `stroke:var(--v${i % 8})` });
    });
    const head = draw(svg, "line", { class: "head", y1: top, y2: height - bottom });
    heads.push({ head, x });
    const pick = (e) => {
      const box = svg.getBoundingClientRect();
      seek(((e.clientX - box.left) / box.width * width - left) / (width - left - right) * duration());
    };
    svg.addEventListener("pointerdown", (e) => { svg.setPointerCapture(e.pointerId); hold = true; pick(e); });
    svg.addEventListener("pointermove", (e) => { if (hold) pick(e); });
    svg.addEventListener("pointerup", () => { hold = false; });
    svg.addEventListener("pointercancel", () => { hold = false; });
  }

  function redraw() {
    heads.length = 0;
    const m = data.models[model];
    chart(byId("surprise"), m.curves, null);
    chart(byId("difference"), m.curves.map((_, i) => (i ? difference(m.curves, i) : null)), m.parting);
    document.querySelectorAll(".version").forEach((f, i) => f.classList.toggle("off", !boxes[i].checked));
    byId("part").disabled = parted() === null;
    follow();
  }

  const parted = () => {
    const all = data.models[model].parts.filter((t, i) => t !== null && boxes[i].checked);
    return all.length ? Math.min(...all) : null;
  };

  function follow() {
    for (const { head, x } of heads) { head.setAttribute("x1", x(now)); head.setAttribute("x2", x(now)); }
    const values = data.models[model].curves.map((c) => at(c, now));
    const words = values.map((v, i) => (v === null || !boxes[i].checked ? null : [i, v.toFixed(2)])).filter(Boolean);
    byId("readout").replaceChildren(`${time(now)}  `, ...words.map(([i, v]) => {
      const span = document.createElement("span");
      span.style.color = `var(--v${i % 8})`;
      span.textContent = `${data.names[i]} ${v}`;
      return span;
    }));
  }

  function seek(t) {
    now = Math.min(Math.max(0, t), duration());
    for (const v of playing) v.currentTime = Math.min(now, v.duration || now);
    follow();
  }

  const paused = () => !master || master.paused;
  function play(on) {
    if (!master) return;
    if (on && now >= duration() - 0.05) seek(0);
    for (const v of playing) { v.playbackRate = Number(byId("speed").value); if (on) v.play().catch(() => {}); else v.pause(); }
    byId("play").textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(step); else seek(master.currentTime);
  }
  // All follow the first; who is off by more than a frame and a half is put right.
  function step() {
    if (paused()) { byId("play").textContent = "Play"; return; }
    now = master.currentTime;
    for (const v of playing) if (v !== master && !v.ended && Math.abs(v.currentTime - now) > 1.5 / data.fps) v.currentTime = now;
    follow();
    requestAnimationFrame(step);
  }

  byId("play").disabled = !master;
  byId("play").addEventListener("click", () => play(paused()));
  byId("back").addEventListener("click", () => seek(now - 1 / data.fps));
  byId("on").addEventListener("click", () => seek(now + 1 / data.fps));
  byId("part").addEventListener("click", () => { const t = parted(); if (t !== null) seek(t); });
  byId("speed").addEventListener("change", () => { for (const v of playing) v.playbackRate = Number(byId("speed").value); });
  select.addEventListener("change", () => { model = Number(select.value); redraw(); });
  boxes.forEach((b) => b.addEventListener("change", redraw));
  document.querySelectorAll(".jump").forEach((b) => b.addEventListener("click", () => {
    seek(Number(b.dataset.t));
    byId("side").scrollIntoView({ block: "start" });
  }));
  playing.forEach((v) => v.addEventListener("loadedmetadata", redraw));
  if (master) master.addEventListener("ended", () => { byId("play").textContent = "Play"; });
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(SELECT|INPUT|BUTTON|A)$/.test(e.target.tagName) && (e.key === " " || e.target.tagName === "SELECT")) return;
    const keys = { " ": () => play(paused()), ",": () => seek(now - 1 / data.fps), ".": () => seek(now + 1 / data.fps),
      ArrowLeft: () => seek(now - 1), ArrowRight: () => seek(now + 1), p: () => byId("part").click() };
    const digit = /^[1-9]$/.test(e.key) ? boxes[Number(e.key) - 1] : null;
    if (digit) digit.click(); else if (keys[e.key]) keys[e.key](); else return;
    e.preventDefault();
  });
  addEventListener("resize", redraw);
  redraw();
})();
