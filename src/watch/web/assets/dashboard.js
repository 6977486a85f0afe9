// The page: who looks, what is told, where it goes.
import { CameraCard } from "/assets/camera.js";
import { EventList } from "/assets/events.js";

const $ = (id) => document.getElementById(id);
const cards = new Map();
let csrf = null, source = null, heat = true;

async function call(method, path, body) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(csrf && { "X-Startle-Csrf": csrf }) };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
  const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null;
  if (answer.status === 401 && path !== "/api/login") ask();
  if (!answer.ok) throw new Error(told?.error ?? `${answer.status} ${answer.statusText}`);
  return told;
}

const events = new EventList((id, mark) => call("PUT", `/api/events/${encodeURIComponent(id)}/mark`, { mark }));

function place(camera) {
  let card = cards.get(camera.index);
  if (card) { card.update(camera); return card; }
  card = new CameraCard(camera);
  card.heatOn = heat;
  cards.set(camera.index, card);
  $("cameras").append(card.root);
  card.begin();
  call("GET", `/api/cameras/${camera.index}/curve`).then((curve) => card.load(curve)).catch(() => {});
  return card;
}

function lead() {
  const all = [...cards.values()];
  const watching = all.filter((c) => c.camera.health.state === "watching").length;
  const text = all.length === 0 ? "No camera yet" : watching === all.length
    ? `Watching ${all.length} camera${all.length === 1 ? "" : "s"}` : `Watching ${watching} of ${all.length} cameras`;
  if ($("lead").textContent !== text) $("lead").textContent = text;
}

function status(text, kind) {
  $("link").textContent = text;
  $("link").className = `tag ${kind}`;
}

// What happened while nobody listened is read once, at the start and after a break.
async function refresh() {
  const [cameras, list] = await Promise.all([call("GET", "/api/cameras"), call("GET", "/api/events")]);
  const known = new Set(cameras.map((c) => c.index));
  for (const [index, card] of cards) if (!known.has(index)) { card.root.remove(); cards.delete(index); }
  cameras.forEach((camera) => {
    const old = cards.has(camera.index), card = place(camera);
    if (old) call("GET", `/api/cameras/${camera.index}/curve`).then((curve) => card.load(curve)).catch(() => {});
  });
  events.load(list);
  lead();
}

function listen() {
  source = new EventSource("/api/stream");
  const on = (what, then) => source.addEventListener(what, (message) => then(JSON.parse(message.data)));
  source.onopen = () => { status("live", "good"); refresh().catch((e) => status(e.message, "bad")); };
  source.onerror = () => {
    status("connection lost", "bad");
    // A refused stream is not tried again by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => start().catch(() => {}), 3000);
  };
  on("camera", (camera) => { place(camera); lead(); });
  on("moment", ({ camera, point }) => cards.get(camera)?.add(point));
  on("picture", (picture) => cards.get(picture.camera)?.picture(picture));
  on("gone", ({ camera }) => { cards.get(camera)?.root.remove(); cards.delete(camera); lead(); });
  on("gap", ({ camera, time }) => cards.get(camera)?.add([time, null, null, null, null, null]));
  on("event", (event) => {
    events.put(event);
    for (const card of cards.values()) {
      if (card.camera.name === event.camera) card.root.classList.toggle("alarm", event.phase === "begun");
    }
  });
}

function ask() {
  source?.close();
  cards.clear();
  $("cameras").replaceChildren();
  [$("main").hidden, $("login").hidden, $("log-out").hidden, $("who").hidden] = [true, false, true, true];
  $("lead").textContent = "startle watches";
  status("logged out", "");
  $("user").focus();
}

async function start() {
  source?.close();
  const session = await call("GET", "/api/session");
  csrf = session.csrf;
  if (session.login && !session.user) { ask(); return; }
  [$("main").hidden, $("login").hidden, $("log-out").hidden, $("who").hidden] = [false, true, !session.login, !session.login];
  $("who").textContent = session.user ?? "";
  listen();
}

$("login").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  try {
    $("refused").textContent = "";
    await call("POST", "/api/login", { user: $("user").value, password: $("password").value });
    $("password").value = "";
    await start();
  } catch (error) {
    $("refused").textContent = error.message;
    $("password").select();
  }
});
$("log-out").addEventListener("click", async () => { await call("POST", "/api/logout"); csrf = null; ask(); });
$("show-heat").addEventListener("click", () => {
  heat = !heat;
  $("show-heat").setAttribute("aria-pressed", String(heat));
  for (const card of cards.values()) card.heat(heat);
});

start().catch((error) => status(error.message, "bad"));
