
// The page's one script. One number rules: `now`, the playhead in seconds. The video, the curve, the box on the picture
// and the list of events all follow it; moving any of them goes through seek().
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const video = $("video"), chart = $("chart"), readout = $("readout"), pan = $("pan");
  const count = data.t.length, duration = Math.max(data.duration, 0.1);
  const unit = chart.dataset.unit;
  let now = 0, dragging = false, hover = null, view = [0, duration], heatOn = true, objectsOn = true, sight = -1;
  let loop = null, speed = 1;

  // --- numbers and words -----------------------------------------------------------------------------------------
  const pad = (n) => String(n).padStart(2, "0");
  function clock(t) {
    if (t < 59.995) return t.toFixed(2) + " s";
    const tenths = Math.round(t * 10), hours = Math.floor(tenths / 36000), minutes = Math.floor(tenths / 600) % 60;
    const seconds = pad(Math.floor(tenths / 10) % 60) + "." + (tenths % 10);
    return hours ? hours + ":" + pad(minutes) + ":" + seconds : minutes + ":" + seconds;
  }
  const number = (v) => {
    if (v === null || v === undefined) return "–";
    const a = Math.abs(v);
    if (a !== 0 && (a < 0.001 || a >= 1e5)) return v.toExponential(1);
    return a >= 100 ? v.toFixed(0) : a >= 10 ? v.toFixed(1) : a >= 1 ? v.toFixed(2) : v.toFixed(3);
  };
  /** The first index whose time is at least t. */
  function after(t) {
    let low = 0, high = count;
    while (low < high) { const mid = (low + high) >> 1; if (data.t[mid] < t) low = mid + 1; else high = mid; }
    return low;
  }
  const gapEnds = data.gaps.map((g) => g.end).sort((a, b) => a - b);
  const broken = (a, b) => {
    let low = 0, high = gapEnds.length;
    while (low < high) { const mid = (low + high) >> 1; if (gapEnds[mid] <= a) low = mid + 1; else high = mid; }
    return low < gapEnds.length && gapEnds[low] <= b;
  };
  /** The point that stands for time t, or -1 where nothing was predicted. */
  function pointAt(t) {
    const i = after(t);
    let best = -1, reach = Math.max(1.01 * data.slot, (view[1] - view[0]) / 400);
    for (const k of [i - 1, i]) {
      if (k < 0 || k >= count || broken(Math.min(t, data.t[k]), Math.max(t, data.t[k]))) continue;
      const far = Math.abs(data.t[k] - t);
      if (far <= reach) { reach = far; best = k; }
    }
    return best;
  }
  const eventAt = (t) => data.events.find((e) => t >= e.onset - data.slot / 2 && t <= e.end + data.slot / 2);

  // --- the curve -------------------------------------------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  };
  const top = data.events.reduce((a, e) => Math.max(a, e.score), data.surprise.reduce((a, b) => Math.max(a, b), Math.max(1e-9, data.threshold || 0)));
  const low = data.surprise.reduce((a, b) => Math.min(a, b), 0);
  const motionTop = data.motion.reduce((a, b) => Math.max(a, b), 0);
  let box = { left: 44, right: 12, top: 26, bottom: 0, foot: 0, width: 0, height: 0 };
  let head = null, knob = null, cross = null, spans = [];
  const x = (t) => box.left + (t - view[0]) / (view[1] - view[0]) * (box.width - box.left - box.right);
  const y = (v) => box.bottom - (v - low) / ((top - low) * 1.08) * (box.bottom - box.top);
  const timeOf = (px) => view[0] + (px - box.left) / (box.width - box.left - box.right) * (view[1] - view[0]);

  function roundTicks(from, to, n) {
    const rough = (to - from) / n, power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const ticks = [];
    for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9; k++) ticks.push(k * step);
    return ticks;
  }
  const STEPS = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  function timeTicks(n) {
    const rough = (view[1] - view[0]) / n;
    const step = STEPS.find((s) => s >= rough) || Math.ceil(rough / 86400) * 86400;
    const ticks = [];
    for (let k = Math.ceil(view[0] / step - 1e-9); k * step <= view[1] + 1e-9; k++) ticks.push(k * step);
    return [ticks, step];
  }
  function tickLabel(t, step) {
    const digits = step < .1 ? 2 : step < 1 ? 1 : 0;
    if (duration < 120) return t.toFixed(digits) + " s";
    const whole = Math.floor(t + 1e-6), rest = digits ? (t - whole).toFixed(digits).slice(1) : "";
    const tail = ":" + pad(whole % 60) + rest;
    if (duration < 3600) return Math.floor(whole / 60) + tail;
    return Math.floor(whole / 3600) + ":" + pad(Math.floor(whole / 60) % 60) + (step < 60 ? tail : "");
  }

  /** Unbroken runs of points in view; each at most two points for a pixel column, lowest and highest. */
  function runs() {
    const from = Math.max(0, after(view[0]) - 1), to = Math.min(count, after(view[1]) + 1);
    const columns = [];
    let run = [], column = null;
    const close = () => { if (column) { run.push(column.low); if (column.high !== column.low) run.push(column.high); } column = null; };
    for (let i = from; i < to; i++) {
      // A hole narrower than a line is no hole: a crowd of scene cuts would only tear the curve to shreds.
      if (i > from && broken(data.t[i - 1], data.t[i]) && x(data.t[i]) - x(data.t[i - 1]) > 2) { close(); if (run.length) columns.push(run); run = []; }
      const px = Math.round(x(data.t[i]) * 2);
      if (!column || column.px !== px) { close(); column = { px, low: i, high: i }; continue; }
      if (data.surprise[i] < data.surprise[column.low]) column.low = i;
      if (data.surprise[i] > data.surprise[column.high]) column.high = i;
    }
    close();
    if (run.length) columns.push(run);
    return columns.map((r) => r.slice().sort((a, b) => a - b));
  }

  function draw() {
    const width = Math.max(280, chart.clientWidth), narrow = width < 560;
    const height = narrow ? 264 : 344;
    Object.assign(box, { width, height, left: narrow ? 34 : 46, bottom: height - 106, foot: height - 44 });
    chart.textContent = "";
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "presentation" }, chart);
    const defs = make("defs", {}, svg);
    const hatch = make("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    make("line", { x1: 0, y1: 0, x2: 0, y2: 8, class: "hatch" }, hatch);
    const clip = make("clipPath", { id: "inside" }, defs);
    make("rect", { x: box.left, y: 0, width: width - box.left - box.right, height }, clip);
    axes(svg, narrow);
    const inside = make("g", { "clip-path": "url(#inside)" }, svg);
    gaps(inside, narrow);
    spans = data.events.map((e) => make("rect", {
      class: "event", x: x(e.onset), width: Math.max(2, x(e.end) - x(e.onset)), y: box.top, height: box.foot - box.top,
    }, inside));
    curve(inside);
    breaks(svg, inside, narrow);
    thresholds(svg);
    marks(svg, inside);
    cross = make("line", { class: "hover", y1: box.top, y2: box.foot, visibility: "hidden" }, svg);
    head = make("line", { class: "head", y1: box.top - 4, y2: box.foot }, svg);
    knob = make("path", { class: "knob", d: "M-6 -8 H6 L0 1 Z" }, svg);
    horizons();
    follow();
  }
  function axes(svg, narrow) {
    for (const v of roundTicks(low, top * 1.05, narrow ? 3 : 5)) {
      make("line", { class: "grid", x1: box.left, x2: box.width - box.right, y1: y(v), y2: y(v) }, svg);
      make("text", { x: box.left - 7, y: y(v) + 4, "text-anchor": "end" }, svg, Number(v.toFixed(6)).toString());
    }
    make("text", { x: 0, y: 12 }, svg, "surprise, " + unit);
    const [ticks, step] = timeTicks(narrow ? 5 : 10);
    for (const t of ticks) {
      make("line", { class: "axis", x1: x(t), x2: x(t), y1: box.foot + BAND, y2: box.foot + BAND + 5 }, svg);
      const anchor = x(t) > box.width - 28 ? "end" : "middle";
      make("text", { x: anchor === "end" ? box.width : x(t), y: box.foot + BAND + 19, "text-anchor": anchor }, svg, tickLabel(t, step));
    }
    make("line", { class: "axis", x1: box.left, x2: box.width - box.right, y1: box.foot, y2: box.foot }, svg);
    if (!narrow) make("text", { class: "why", x: box.left - 7, y: box.foot - 2, "text-anchor": "end" }, svg, "motion");
  }
  function gaps(parent, narrow) {
    const many = data.gaps.filter((g) => g.cut && g.end >= view[0] && g.end <= view[1]).length * 14 > box.width;
    let free = 0;
    const why = (text, at) => {
      if (narrow || at < free || at + text.length * 6 > box.width - box.right) return;
      make("text", { class: "why", x: at, y: box.bottom + 11 }, parent, text);
      free = at + text.length * 6 + 8;
    };
    for (const gap of data.gaps) {
      if (gap.end < view[0] || gap.start > view[1]) continue;
      if (gap.cut) {
        const at = x(gap.end);
        make("line", { class: many ? "cut many" : "cut", x1: at, x2: at, y1: many ? box.foot - 6 : box.top, y2: box.foot }, parent);
        if (!many) why(gap.why, at + 4);
        continue;
      }
      const from = x(gap.start), wide = Math.max(2, x(gap.end) - from);
      for (const style of [{ class: "gap" }, { fill: "url(#hatch)" }]) {
        make("rect", { ...style, x: from, width: wide, y: box.top, height: box.foot - box.top }, parent);
      }
      why(gap.why, Math.max(from, box.left) + 5);
    }
  }
  /** The band under the motion: where the run of frames is broken, and where the video is unlike the baseline's footage. */
  const BAND = 14;
  function breaks(svg, parent, narrow) {
    const y0 = box.foot + 2, high = BAND - 4;
    make("rect", { class: "band", x: box.left, width: box.width - box.left - box.right, y: y0, height: high }, svg);
    const mark = (kind, from, to, why) => {
      if (to < view[0] || from > view[1]) return;
      const node = make("rect", { class: kind, x: x(from), width: Math.max(2, x(to) - x(from)), y: y0, height: high }, parent);
      make("title", {}, node, why + ", " + clock(from));
    };
    for (const [from, to] of data.strange) mark("strange", from, to, "unlike the baseline's footage");
    for (const gap of data.gaps) mark(gap.cut ? "break cutting" : "break", gap.cut ? gap.end : gap.start, gap.end, gap.why);
    parent.parentNode.appendChild(parent);
    if (!narrow) make("text", { class: "why", x: box.left - 7, y: y0 + high - 1, "text-anchor": "end" }, svg, "breaks");
  }
  function curve(parent) {
    let line = "", under = "", motion = "";
    for (const run of runs()) {
      const at = run.map((i) => x(data.t[i]).toFixed(1));
      const path = run.map((i, k) => at[k] + " " + y(data.surprise[i]).toFixed(1)).join("L");
      const ground = y(low).toFixed(1), last = at[at.length - 1];
      if (run.length === 1) make("circle", { class: "dot", cx: at[0], cy: y(data.surprise[run[0]]), r: 2 }, parent);
      line += "M" + path;
      under += "M" + at[0] + " " + ground + "L" + path + "L" + last + " " + ground + "Z";
      if (motionTop > 0) {
        const lift = (i) => (box.foot - data.motion[i] / motionTop * 44).toFixed(1);
        motion += "M" + at[0] + " " + box.foot + "L" + run.map((i, k) => at[k] + " " + lift(i)).join("L") + "L" + last + " " + box.foot + "Z";
      }
    }
    make("path", { class: "motion", d: motion }, parent);
    make("path", { class: "under", d: under }, parent);
    make("path", { class: "line", d: line }, parent);
  }
  function thresholds(svg) {
    const ends = { x1: box.left, x2: box.width - box.right };
    if (data.thresholdLow !== null) make("line", { class: "threshold low", ...ends, y1: y(data.thresholdLow), y2: y(data.thresholdLow) }, svg);
    if (data.threshold === null) return;
    const at = y(data.threshold);
    make("line", { class: "threshold", ...ends, y1: at, y2: at }, svg);
    make("text", { class: "threshold", x: box.width - box.right, y: at - 5, "text-anchor": "end" }, svg, "threshold " + number(data.threshold));
  }
  function marks(svg, inside) {
    let free = box.left - 8;
    for (const e of data.events) {
      if (e.end < view[0] || e.onset > view[1]) continue;
      make("line", { class: "onset", x1: x(e.onset), x2: x(e.onset), y1: box.top - 4, y2: box.foot }, inside);
      make("circle", { class: "peak", cx: x(e.peak), cy: y(e.score), r: 3.5 }, inside);
      const at = x(e.onset), text = "#" + e.id;
      if (at >= free && at >= box.left - 8 && at <= box.width - 20) {
        make("text", { class: "onset", x: at + 3, y: box.top - 1 }, svg, text);
        free = at + text.length * 8 + 8;
      }
    }
  }

  // --- time and horizon --------------------------------------------------------------------------------------------
  let mapHead = null;
  const map = data.horizons, ROW = 15;
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  /** A row for each kind of prediction under the curve, on its time axis; the canvas is as sharp as the screen. */
  function horizons() {
    mapHead = null;
    if (!map || !map.t.length) return;
    const small = box.width < 560, dense = window.devicePixelRatio || 1, wide = box.width - box.left - box.right, high = map.rows.length * ROW;
    const frame = document.createElement("div");
    frame.id = "map";
    frame.classList.toggle("small", small);
    frame.style.cssText = `margin-left:${box.left}px;width:${wide}px;height:${high}px`;
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(wide * dense); canvas.height = Math.round(high * dense);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "how surprising each kind of prediction was, over time");
    paintMap(canvas, dense);
    frame.append(canvas, ...map.rows.map((name, i) => {
      const label = document.createElement("span");
      label.textContent = small ? name.replace(", ", " ").replace(" before", "") : name;
      label.style.top = i * ROW + "px";
      return label;
    }));
    mapHead = frame.appendChild(document.createElement("i"));
    chart.appendChild(frame);
  }
  function paintMap(canvas, dense) {
    const context = canvas.getContext("2d"), left = (t) => (x(t) - box.left) * dense, steps = map.t.slice(1).map((t, i) => t - map.t[i]).sort((a, b) => a - b);
    const half = (steps[Math.floor(steps.length / 2)] || data.slot) / 2, calm = ink("--curve"), hot = ink("--event"), row = ROW * dense;
    context.fillStyle = ink("--band");
    map.rows.forEach((_, r) => context.fillRect(0, Math.round(r * row), canvas.width, Math.round(row) - 1));
    map.t.forEach((t, i) => {
      if (t + half < view[0] || t - half > view[1]) return;
      const from = Math.round(left(t - half)), wide = Math.max(1, Math.round(left(t + half)) - from);
      map.values[i].forEach((value, r) => {
        if (value === null || value <= 0) return;
        const share = map.reach > 0 ? value / map.reach : 0, over = map.limit && share >= 1;
        context.globalAlpha = over ? Math.min(1, .65 + .2 * (share - 1)) : .85 * Math.min(1, share) ** 1.2;
        context.fillStyle = over ? hot : calm;
        context.fillRect(from, Math.round(r * row), wide, Math.round(row) - 1);
      });
    });
    context.globalAlpha = 1;
  }
  /** The most surprised row at time t, relative to what stands out. */
  function mostAt(t) {
    if (!map || !map.t.length) return null;
    let low = 0, high = map.t.length;
    while (low < high) { const mid = (low + high) >> 1; if (map.t[mid] < t) low = mid + 1; else high = mid; }
    const i = low > 0 && (low === map.t.length || t - map.t[low - 1] < map.t[low] - t) ? low - 1 : low;
    if (Math.abs(map.t[i] - t) > 4 * data.slot) return null;
    let best = -1;
    map.values[i].forEach((v, r) => { if (v > 0 && (best < 0 || v > map.values[i][best])) best = r; });
    return best < 0 ? null : [map.rows[best], map.values[i][best]];
  }

  // --- everything that follows the playhead ------------------------------------------------------------------------
  function follow() {
    const visible = now >= view[0] - 1e-9 && now <= view[1] + 1e-9;
    for (const node of [head, knob]) node.setAttribute("visibility", visible ? "visible" : "hidden");
    head.setAttribute("x1", x(now)); head.setAttribute("x2", x(now));
    knob.setAttribute("transform", `translate(${x(now)} ${box.top - 3})`);
    if (mapHead) Object.assign(mapHead.style, { left: x(now) - box.left + "px", display: visible ? "" : "none" });
    const current = eventAt(now);
    data.events.forEach((e, i) => spans[i].classList.toggle("now", e === current));
    showObjects();
    if (follow.current !== current) {
      follow.current = current;
      document.querySelectorAll(".event[data-id]").forEach((card) =>
        card.classList.toggle("now", !!current && card.dataset.id === String(current.id)));
      overlay(current);
    }
    read();
  }
  const escapeText = (text) => text.replace(/[&<>"']/g, (c) => "&#" + c.charCodeAt(0) + ";");
  function read() {
    const t = hover === null ? now : hover, i = pointAt(t);
    const part = (name, value) => `<span><i>${name}</i> <b>${value}</b></span>`;
    let html = part("t", clock(t));
    let spoken = clock(t);
    if (i >= 0) {
      html += part("surprise", number(data.surprise[i])) + part("z", number(data.z[i])) + part("p", number(data.p[i])) + part("motion", number(data.motion[i]));
      spoken += ", surprise " + number(data.surprise[i]);
    } else html += "<span><i>nothing predicted here</i></span>";
    const most = mostAt(t);
    if (i >= 0 && most) { html += part("most", escapeText(most[0]) + " " + number(most[1])); spoken += ", most of it " + most[0]; }
    const inside = eventAt(t);
    if (inside) { html += `<span class="hot">event ${inside.id}</span>`; spoken += ", in event " + inside.id; }
    readout.innerHTML = html;
    if (hover === null) {
      chart.setAttribute("aria-valuenow", t.toFixed(3));
      chart.setAttribute("aria-valuetext", spoken);
    }
    if (cross) {
      cross.setAttribute("visibility", hover === null ? "hidden" : "visible");
      if (hover !== null) { cross.setAttribute("x1", x(hover)); cross.setAttribute("x2", x(hover)); }
    }
  }
  const lay = (node, [x0, y0, x1, y1]) => {
    const share = (v, of) => (v / of * 100) + "%";
    Object.assign(node.style, {
      left: share(x0, data.width), top: share(y0, data.height), width: share(x1 - x0, data.width), height: share(y1 - y0, data.height),
    });
  };
  function overlay(event) {
    const place = $("place"), heat = $("heat"), expected = $("expected");
    if (!place) return;
    const what = event && event.what;
    place.hidden = !event || !!(what && what.expected && !what.seen);
    expected.hidden = !(what && what.expected);
    heat.hidden = !event || !heatOn;
    if (!event) return;
    if (!expected.hidden) lay(expected, what.expected);
    lay(place, (what && what.seen) || event.box);
    place.classList.toggle("low", event.box[1] < data.height * .1);
    place.firstChild.textContent = "event " + event.id + " · " + number(event.score);
    paintHeat(heat, event);
  }
  /** The boxes of what the model sees at the playhead: the last moment that is kept, if it is not long ago. */
  const steps = data.sights.t.slice(1).map((t, i) => t - data.sights.t[i]).sort((a, b) => a - b);
  const stale = 2 * (steps[Math.floor(steps.length / 2)] || data.slot);
  function showObjects() {
    const layer = $("objects"), times = data.sights.t;
    if (!layer || !times.length) return;
    let low = 0, high = times.length;
    while (low < high) { const mid = (low + high) >> 1; if (times[mid] <= now + data.slot / 2) low = mid + 1; else high = mid; }
    const at = objectsOn && low > 0 && now - times[low - 1] < stale ? low - 1 : -1;
    if (at === sight) return;
    sight = at;
    layer.replaceChildren(...(at < 0 ? [] : data.sights.boxes[at]).map((box) => {
      const node = document.createElement("i");
      lay(node, box);
      return node;
    }));
  }
  /** Paints an event's heat map, relative to its own calm and its own peak, over a canvas that covers the picture; softly where
   *  a thing is known, whose own colour may be what the event is about. */
  function paintHeat(canvas, { heat, what }) {
    const most = what ? 85 : 190;
    const grid = heat.grid, values = heat.values;
    canvas.width = 480; canvas.height = Math.max(1, Math.round(480 * data.height / Math.max(1, data.width)));
    if (!grid || values.length !== grid * grid) return;
    const sorted = values.slice().sort((a, b) => a - b), calm = sorted[Math.floor(sorted.length * .6)], peak = sorted[sorted.length - 1];
    const small = document.createElement("canvas");
    small.width = small.height = grid;
    const pixels = new ImageData(grid, grid);
    values.forEach((v, i) => {
      const h = peak > calm ? Math.min(1, Math.max(0, (v - calm) / (peak - calm))) : 0;
      pixels.data.set([255, Math.round(205 - 165 * h), Math.round(70 - 20 * h), Math.round(most * Math.pow(h, .8))], i * 4);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    const [x0, y0, x1, y1] = heat.area, sx = canvas.width / data.width, sy = canvas.height / data.height;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, x0 * sx, y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy);
  }

  // --- moving ------------------------------------------------------------------------------------------------------
  function setNow(t) {
    now = Math.min(duration, Math.max(0, t));
    if (!dragging && view[1] - view[0] < duration && (now < view[0] || now > view[1])) {
      const span = view[1] - view[0];
      return show(now - span * .1, now + span * .9);
    }
    follow();
  }
  function seek(t) {
    if (loop && (t < loop.span[0] - 1e-3 || t > loop.span[1] + 1e-3)) { loop = null; tellReplay(); }
    setNow(t);
    if (video && video.readyState > 0) video.currentTime = Math.min(now, video.duration || now);
  }
  function step(slots) {
    const i = pointAt(now);
    seek(i >= 0 ? data.t[Math.min(count - 1, Math.max(0, i + slots))] : now + slots * data.slot);
  }
  function jumpEvent(direction) {
    const event = direction > 0
      ? data.events.find((e) => e.onset > now + 1e-3)
      : data.events.slice().reverse().find((e) => e.onset < now - 1e-3);
    if (!event) return;
    seek(event.onset);
    const card = $("event-" + event.id), list = card && card.parentElement;
    if (list && list.scrollHeight > list.clientHeight) list.scrollTop = card.offsetTop - list.offsetTop;
  }
  function show(from, to) {
    const span = Math.min(duration, Math.max(Math.min(duration, 8 * data.slot), to - from));
    const start = Math.min(duration - span, Math.max(0, from));
    view = [start, start + span];
    pan.hidden = span >= duration;
    pan.value = span >= duration ? 0 : 1000 * start / (duration - span);
    draw();
  }
  function zoom(factor, around) {
    const span = (view[1] - view[0]) * factor, share = (around - view[0]) / (view[1] - view[0]);
    show(around - span * share, around - span * share + span);
  }
  const centre = () => now >= view[0] && now <= view[1] ? now : (view[0] + view[1]) / 2;
  function toggleHeat() {
    heatOn = !heatOn;
    $("show-heat").setAttribute("aria-pressed", heatOn);
    overlay(follow.current);
  }

  function toggleObjects(on) {
    objectsOn = on;
    $("show-objects").checked = on;
    showObjects();
  }

  // --- again, and slowly ---------------------------------------------------------------------------------------------
  /** A second before the event to a second after it. */
  const around = (event) => [Math.max(0, event.onset - 1), Math.min(duration, event.end + 1)];
  const nearest = () => eventAt(now) || data.events.reduce((best, e) =>
    !best || Math.abs(e.peak - now) < Math.abs(best.peak - now) ? e : best, null);
  function setLoop(event) {
    loop = event ? { id: event.id, span: around(event) } : null;
    tellReplay();
    if (!loop) return;
    seek(loop.span[0]);
    video.play().catch(() => {});
  }
  function setSpeed(rate) {
    speed = rate;
    video.playbackRate = rate;
    tellReplay();
  }
  function tellReplay() {
    $("loop").setAttribute("aria-pressed", !!loop);
    const name = speed === 1 ? "1×" : speed === .5 ? "½×" : "¼×";
    Object.assign($("speed"), { textContent: name, ariaLabel: "speed " + name });
    for (const button of document.querySelectorAll(".replay button")) {
      const own = !!loop && button.dataset.id === String(loop.id);
      button.setAttribute("aria-pressed", own && (button.className === "loop" ? speed === 1 : speed < 1));
    }
  }
  const toggleLoop = () => { if (video && data.events.length) setLoop(loop ? null : nearest()); };
  const nextSpeed = () => { if (video) setSpeed(speed === 1 ? .5 : speed === .5 ? .25 : 1); };
  /** The buttons of an event's card: pressed again, they let go. */
  function replay(button) {
    const event = data.events.find((e) => String(e.id) === button.dataset.id), rate = button.className === "slow" ? .25 : 1;
    const own = loop && loop.id === event.id && (speed < 1) === (rate < 1);
    setSpeed(own ? 1 : rate);
    setLoop(own ? null : event);
  }
  /** At the end of a loop back to its start. */
  function turn(t) {
    if (!loop || dragging) return false;
    if (t >= loop.span[1] || (video.ended && t >= loop.span[1] - .3)) { seek(loop.span[0]); video.play().catch(() => {}); return true; }
    return false;
  }

  // --- the video -----------------------------------------------------------------------------------------------------
  function startVideo() {
    const embedded = $("video-data");
    if (embedded) {
      const text = atob(embedded.textContent.trim()), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      embedded.remove();
      video.src = URL.createObjectURL(new Blob([bytes], { type: embedded.dataset.mime }));
    }
    const heard = () => { if (!dragging && !video.seeking && !turn(video.currentTime)) setNow(video.currentTime); };
    for (const name of ["timeupdate", "seeked", "pause", "ended"]) video.addEventListener(name, heard);
    video.addEventListener("seeking", () => {
      const t = video.currentTime;
      if (loop && (t < loop.span[0] - .1 || t > loop.span[1] + .3)) { loop = null; tellReplay(); }
      if (!dragging) setNow(t);
    });
    video.addEventListener("loadedmetadata", () => { if (now > 0) video.currentTime = now; });
    video.addEventListener("error", () => { $("no-play").hidden = false; });
    if ("requestVideoFrameCallback" in video) {
      // The time of the very frame on show, while it plays.
      const onFrame = (_, frame) => {
        if (!video.paused && !dragging && !video.seeking && !turn(frame.mediaTime)) setNow(frame.mediaTime);
        video.requestVideoFrameCallback(onFrame);
      };
      video.requestVideoFrameCallback(onFrame);
    } else {
      const onPaint = () => { if (!video.paused) heard(); requestAnimationFrame(onPaint); };
      requestAnimationFrame(onPaint);
    }
  }

  // --- input ---------------------------------------------------------------------------------------------------------
  const at = (e) => Math.min(duration, Math.max(0, timeOf(e.clientX - chart.getBoundingClientRect().left)));
  chart.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    dragging = true; hover = null;
    chart.setPointerCapture(e.pointerId);
    seek(at(e));
  });
  chart.addEventListener("pointermove", (e) => {
    if (dragging) return seek(at(e));
    if (e.pointerType === "mouse") { hover = at(e); read(); }
  });
  const letGo = () => { dragging = false; };
  chart.addEventListener("pointerup", letGo);
  chart.addEventListener("pointercancel", letGo);
  chart.addEventListener("pointerleave", () => { hover = null; read(); });
  chart.addEventListener("wheel", (e) => {
    if (e.ctrlKey || e.metaKey) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : .8, at(e)); return; }
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY) && view[1] - view[0] < duration) {
      e.preventDefault();
      const shift = e.deltaX / box.width * (view[1] - view[0]);
      show(view[0] + shift, view[1] + shift);
    }
  }, { passive: false });
  pan.addEventListener("input", () => {
    const span = view[1] - view[0], from = pan.value / 1000 * (duration - span);
    view = [from, from + span];
    draw();
  });
  const actions = {
    ArrowLeft: (e) => step(e.shiftKey ? -10 : -1), ArrowRight: (e) => step(e.shiftKey ? 10 : 1),
    Home: () => seek(0), End: () => seek(duration), n: () => jumpEvent(1), p: () => jumpEvent(-1),
    "+": () => zoom(.5, centre()), "=": () => zoom(.5, centre()), "-": () => zoom(2, centre()), 0: () => show(0, duration),
    h: toggleHeat, l: toggleLoop, s: nextSpeed, o: () => toggleObjects(!objectsOn), " ": () => { if (video) { if (video.paused) video.play(); else video.pause(); } },
  };
  document.addEventListener("keydown", (e) => {
    const tag = e.target.tagName, onChart = e.target === chart;
    if (e.ctrlKey || e.metaKey || e.altKey || tag === "INPUT" && e.target.type !== "checkbox" || !actions[e.key]) return;
    const scrolls = [" ", "Home", "End"].includes(e.key);
    if (scrolls && !onChart && !(e.key === " " && e.target === document.body)) return;
    e.preventDefault();
    e.stopPropagation();
    actions[e.key](e);
  }, true);
  document.addEventListener("click", (e) => {
    const button = e.target.closest && e.target.closest(".jump, .replay button");
    if (!button) return;
    if (button.closest(".replay")) replay(button); else seek(Number(button.dataset.t));
  });
  const press = { loop: toggleLoop, speed: nextSpeed, prev: () => jumpEvent(-1), next: () => jumpEvent(1), "show-heat": toggleHeat,
    "zoom-in": () => zoom(.5, centre()), "zoom-out": () => zoom(2, centre()), "zoom-fit": () => show(0, duration) };
  for (const id in press) $(id).addEventListener("click", press[id]);

  // --- start ---------------------------------------------------------------------------------------------------------
  for (const [name, value] of [["role", "slider"], ["tabindex", "0"], ["aria-label", "playhead on the surprise curve"],
    ["aria-valuemin", "0"], ["aria-valuemax", duration.toFixed(3)]]) chart.setAttribute(name, value);
  if (!data.events.length) for (const id of ["prev", "next", "show-heat"]) $(id).hidden = true;
  if (!video) $("show-heat").hidden = true;
  $("speed").hidden = !video;
  $("loop").hidden = !video || !data.events.length;
  document.querySelectorAll(".replay").forEach((node) => { node.hidden = !video; });
  if (map && map.t.length) {
    $("map-key").hidden = false;
    $("map-key").textContent = map.limit
      ? "The map below the curve: a row for each part of the surprise; the stronger, the rarer; red: beyond the threshold by itself."
      : "The map below the curve: how surprised each prediction was, by how long before it was made; the stronger, the more.";
  }
  if (navigator.clipboard) {
    $("copy").hidden = false;
    $("copy").addEventListener("click", () => navigator.clipboard.writeText($("command").textContent)
      .then(() => { $("copy").textContent = "copied"; }, () => { $("copy").textContent = "can't copy: select it"; }));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  $("show-objects-label").hidden = $("objects-key").hidden = !video || !data.sights.t.length;
  $("show-objects").addEventListener("change", (e) => toggleObjects(e.target.checked));
  if (duration <= 20) document.querySelector(".zoom").hidden = true;
  data.events.forEach((e) => {
    const canvas = document.querySelector("#event-" + e.id + " canvas");
    if (canvas) paintHeat(canvas, e);
  });
  if (video) { startVideo(); if ($("heat")) overlay(undefined); }
  draw();
  new ResizeObserver(() => { if (Math.abs(chart.clientWidth - box.width) > 1) draw(); }).observe(chart);
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
