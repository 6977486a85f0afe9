// The list of events: thumbnails, clips, marks.
const number = (v) => (v == null ? "–" : v < 0.01 ? v.toExponential(1) : v.toFixed(v >= 100 ? 0 : 2));

export class EventList {
  constructor(mark) {
    this.mark = mark;
    this.list = document.getElementById("event-list");
    this.player = document.getElementById("player");
    this.video = document.getElementById("video");
    const failed = document.getElementById("no-play");
    this.video.addEventListener("error", () => { if (this.video.getAttribute("src")) failed.hidden = false; });
    this.video.addEventListener("playing", () => { failed.hidden = true; });
    document.getElementById("close-player").addEventListener("click", () => this.player.close());
    this.player.addEventListener("close", () => { this.video.pause(); this.video.removeAttribute("src"); this.video.load(); });
  }

  load(events) {
    this.list.replaceChildren();
    [...events].reverse().forEach((event) => this.put(event));
  }

  // A new one comes first; a known one changes where it stands.
  put(event) {
    let card = [...this.list.children].find((c) => c.dataset.incident === event.incident);
    if (!card) {
      card = document.getElementById("event-card").content.firstElementChild.cloneNode(true);
      card.dataset.incident = event.incident;
      this.list.prepend(card);
      card.querySelector(".real").addEventListener("click", () => this.toggle(card, true));
      card.querySelector(".false").addEventListener("click", () => this.toggle(card, false));
      card.querySelector(".thumb").addEventListener("click", () => this.play(card));
      if (this.list.children.length > 200) this.list.lastElementChild.remove();
    }
    card.event = event;
    this.fill(card, event);
    document.getElementById("no-events").hidden = true;
  }

  fill(card, event) {
    const find = (what) => card.querySelector(what);
    const at = new Date(event.onset).toLocaleString();
    card.className = `event${event.phase === "begun" ? " open" : ""}${event.mark === false ? " dismissed" : ""}`;
    find("h3").textContent = event.camera;
    const image = find("img");
    if (event.thumbnail && image.getAttribute("src") !== event.thumbnail) image.src = event.thumbnail;
    const seconds = (new Date(event.end) - new Date(event.onset)) / 1000;
    find(".what").textContent = event.what?.sentence ?? "";
    const rows = [["began", at], ["lasted", event.phase === "begun" ? "goes on" : `${seconds.toFixed(1)} s`],
      ["surprise", `${number(event.score)} (z ${number(event.z)})`]];
    if (event.per_hour != null) rows.push(["normal footage", `${number(event.per_hour)} an hour`]);
    find("dl").replaceChildren(...rows.flatMap(([name, value]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [name, value];
      return [dt, dd];
    }));
    const label = `${event.camera}, ${at}`;
    const thumb = find(".thumb");
    thumb.disabled = !event.clip;
    thumb.setAttribute("aria-label", event.clip ? `play the clip: ${label}` : `picture: ${label}`);
    find(".note").textContent = event.clip ? "" : "no clip";
    const download = find(".download");
    download.hidden = !event.clip;
    if (event.clip) download.href = `${event.clip}?download`;
    download.setAttribute("aria-label", `download the clip: ${label}`);
    for (const [what, value, words] of [[".real", true, "mark as real"], [".false", false, "mark as a false alarm"]]) {
      find(what).setAttribute("aria-pressed", String(event.mark === value));
      find(what).setAttribute("aria-label", `${words}: ${label}`);
    }
  }

  async toggle(card, value) {
    this.put(await this.mark(card.event.incident, card.event.mark === value ? null : value));
  }

  play(card) {
    document.getElementById("player-title").textContent = `${card.event.camera}, ${new Date(card.event.onset).toLocaleString()}`;
    document.getElementById("no-play").hidden = true;
    this.video.src = card.event.clip;
    this.player.showModal();
    // A refusal shows in the element itself.
    this.video.play().catch(() => {});
  }
}
