"use strict";
// Called by index.data.js. Without that file the lines in the page stand.
function startleSummary(data) {
  const [NAME, LINK, STATUS, ERROR, LENGTH, BREAKS, EVENTS, FIRST, PEAK, SCORE, KINDS, MODEL, MINI, PLACE] = Array(14).keys();
  const HEIGHT = 56, SPARE = 6, ns = "http://www.w3.org/2000/svg";
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  const byId = (id) => document.getElementById(id);
  const rows = data.rows, view = byId("view"), space = byId("space");
  const folder = (name) => { const at = name.lastIndexOf("/"); return at > 0 ? name.slice(0, at) : ""; };
  const lower = rows.map((r) => r[NAME].toLowerCase());
  let chosen = rows.map((_, i) => i), sorted = null;

  const time = (s) => {
    if (s < 59.995) return `${(Math.round(s * 100) / 100).toFixed(2)} s`;
    const tenths = Math.round(s * 10), hours = Math.floor(tenths / 36000), minutes = Math.floor(tenths / 600) % 60;
    const seconds = `${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
  };
  const number = (v) => (v === null ? "–" : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
  const make = (tag, className, text) => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const draw = (parent, name, attributes) => {
    const e = document.createElementNS(ns, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    parent.append(e);
    return e;
  };

  function miniature(mini) {
    const svg = document.createElementNS(ns, "svg");
    const [levels, threshold, events] = mini, y = (level) => 65 - level;
    for (const [k, v] of [["class", "mini"], ["viewBox", `0 0 ${levels.length} 66`], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) svg.setAttribute(k, v);
    for (const [a, b] of events) draw(svg, "rect", { class: "band", x: a, width: Math.max(1, b - a), height: 66 });
    if (threshold !== null) draw(svg, "line", { class: "threshold", x2: levels.length, y1: y(threshold), y2: y(threshold) });
    const points = [...levels].map((c, i) => [i, alphabet.indexOf(c)]).filter(([, l]) => l >= 0);
    draw(svg, "polyline", { points: points.map(([i, l]) => `${i},${y(l)}`).join(" ") });
    return svg;
  }

  function line(index, at) {
    const r = rows[index], e = make("div", "row");
    const cell = (className, ...content) => { const c = make("div", className); c.setAttribute("role", "cell"); c.append(...content); e.append(c); return c; };
    e.setAttribute("role", "row");
    e.setAttribute("aria-rowindex", at + 2);
    e.style.top = `${at * HEIGHT}px`;
    const name = make(r[LINK] ? "a" : "span", "", r[NAME]);
    if (r[LINK]) name.href = r[LINK];
    const head = cell("name", name);
    head.title = r[NAME];
    if (r[STATUS] !== "done" && r[STATUS] !== "failed") head.append(" ", make("span", "tag", r[STATUS]));
    if (r[STATUS] === "failed" || r[STATUS] === "pending") {
      const why = cell("why", ...(r[ERROR] ? [make("span", "tag bad", "failed"), ` ${r[ERROR]}`] : []));
      why.title = r[ERROR] || "";
      return e;
    }
    cell("", ...(r[MINI] ? [miniature(r[MINI])] : []));
    cell("num wide-only", time(r[LENGTH]));
    cell("num wide-only", number(r[PEAK]));
    cell("num wide-only", number(r[SCORE]));
    cell("num wide-only", String(r[BREAKS]));
    if (r[EVENTS]) {
      const what = cell("", make("strong", "hot", r[EVENTS] === 1 ? "1 event" : `${r[EVENTS]} events`), ` ${r[KINDS].join(", ")}`, document.createElement("br"), make("small", "", `first at ${time(r[FIRST])}`));
      what.title = r[KINDS].join(", ");
    } else cell("quiet", "no events");
    return e;
  }

  let drawn = "";
  function paint() {
    const from = Math.max(0, Math.floor(view.scrollTop / HEIGHT) - SPARE);
    const to = Math.min(chosen.length, Math.ceil((view.scrollTop + view.clientHeight) / HEIGHT) + SPARE);
    if (drawn === `${from} ${to}`) return;
    drawn = `${from} ${to}`;
    space.replaceChildren(...chosen.slice(from, to).map((index, i) => line(index, from + i)));
  }

  function choose() {
    const find = byId("find").value.toLowerCase(), status = byId("status").value, kind = byId("kind").value;
    const model = byId("model").value, under = byId("folder").value, least = parseFloat(byId("least").value);
    chosen = [];
    rows.forEach((r, i) => {
      if (find && !lower[i].includes(find)) return;
      if (status === "events" ? !r[EVENTS] : status === "quiet" ? r[EVENTS] || !r[LINK] : status && r[STATUS] !== status) return;
      if (kind && !r[KINDS].includes(kind)) return;
      if (model && (!r[LINK] || String(r[MODEL]) !== model)) return;
      if (under && folder(r[NAME]) !== under) return;
      if (least > 0 && !((r[SCORE] ?? 0) >= least)) return;
      chosen.push(i);
    });
    if (sorted) {
      const { column, up } = sorted, sign = up ? 1 : -1;
      // The list is in the natural order of names.
      const key = (i) => rows[i][column === NAME ? PLACE : column];
      // What has no value comes last, whichever way.
      chosen.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x - y) || a - b;
      });
    }
    const all = rows.length.toLocaleString("en");
    byId("count").textContent = chosen.length === rows.length ? `${all} inputs${sorted ? "" : ", the most surprising first"}` : `${chosen.length.toLocaleString("en")} of ${all} inputs`;
    byId("list").setAttribute("aria-rowcount", chosen.length + 1);
    space.style.height = `${chosen.length * HEIGHT}px`;
    view.scrollTop = 0;
    drawn = "";
    paint();
  }

  const heads = [["input", NAME, ""], ["surprise", null, ""], ["length", LENGTH, "num"], ["peak", PEAK, "num"], ["score", SCORE, "num"], ["breaks", BREAKS, "num"], ["found", EVENTS, ""]];
  for (const [title, column, className] of heads) {
    const head = make("div", className);
    head.setAttribute("role", "columnheader");
    const button = make("button", "", title);
    if (column === null) button.disabled = true;
    button.addEventListener("click", () => {
      const up = sorted && sorted.column === column ? !sorted.up : column === NAME;
      sorted = { column, up };
      for (const other of byId("heads").children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      choose();
    });
    head.append(button);
    byId("heads").append(head);
  }

  const options = (id, values) => {
    const select = byId(id);
    values.forEach(([value, text]) => select.add(new Option(text, value)));
    select.closest("label").hidden = values.length < 2;
  };
  const counted = (all) => {
    const counts = new Map();
    for (const one of all) counts.set(one, (counts.get(one) || 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 300).map(([name, n]) => [name, `${name || "."} (${n})`]);
  };
  options("kind", counted(rows.flatMap((r) => r[KINDS])));
  options("model", data.models.map((m, i) => [String(i), m]).filter(([, m]) => m));
  options("folder", counted(rows.map((r) => folder(r[NAME]))).filter(([name]) => name));
  byId("kind").closest("label").hidden = false;
  byId("filters").addEventListener("input", choose);
  byId("filters").addEventListener("submit", (e) => e.preventDefault());
  view.addEventListener("scroll", paint, { passive: true });
  addEventListener("resize", paint);
  for (const id of ["filters", "count", "list"]) byId(id).hidden = false;
  byId("static").hidden = true;
  choose();
}
