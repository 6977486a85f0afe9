// Drives a report page in a real browser: node report.mjs PAGE rich|linked|hostile [SCREENSHOT_FOLDER]
// Ends with status 0 when all is as it must be; else it says what is not.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [path, kind, screenshots] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
  timeout: 180_000,
});
const faults = [];

/** The page at a width, in light or dark; whatever goes wrong in it is kept. */
async function open(width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, hasTouch: width < 600 });
  const page = await context.newPage();
  page.setDefaultTimeout(180_000);
  page.on("pageerror", (e) => faults.push(e.message));
  page.on("dialog", (d) => { faults.push(`a dialog: ${d.message()}`); d.dismiss(); });
  page.on("request", (r) => { if (!/^(file|data|blob):/.test(r.url())) faults.push(`asks ${r.url()}`); });
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector("#chart svg");
  return page;
}
const shoot = (page, name) => screenshots && page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
const state = (page) => page.evaluate(() => {
  const video = document.querySelector("video");
  return { at: Number(document.getElementById("chart").getAttribute("aria-valuenow")), rate: video.playbackRate, paused: video.paused };
});
const pressed = (page, selector) => page.locator(selector).getAttribute("aria-pressed");

/** Contrast of a text with what lies behind it, as WCAG 2 counts it. */
const contrasts = (page, selectors) => page.evaluate((selectors) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255, 255];
  };
  return selectors.map((selector) => {
    const node = document.querySelector(selector), text = light(parts(getComputedStyle(node).color)), back = light(ground(node));
    return [selector, (Math.max(text, back) + .05) / (Math.min(text, back) + .05)];
  });
}, selectors);

async function rich() {
  const page = await open(1280, "light");
  await page.waitForFunction(() => document.querySelector("video").readyState >= 2);
  await shoot(page, "light");

  // The map: a row for each kind, painted, on the curve's time axis.
  assert.deepEqual(await page.locator("#map span").allTextContents(), ["0.12 s before", "0.38 s before", "0.62 s before", "0.88 s before"]);
  const colours = await page.evaluate(() => {
    const canvas = document.querySelector("#map canvas"), data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
  });
  assert.ok(colours > 10, `${colours} colours in the map`);
  await page.locator("#map").scrollIntoViewIfNeeded();
  const map = await page.locator("#map").boundingBox();
  await page.mouse.click(map.x + map.width / 2, map.y + map.height / 2);
  assert.ok(Math.abs((await state(page)).at - 2) < 0.05, "a click on the map goes there");
  await page.mouse.move(map.x + map.width * 1.125 / 4, map.y + 4);
  assert.match(await page.locator("#readout").textContent(), /most .*before/);
  assert.ok((await page.locator("#chart .strange").count()) === 1 && (await page.locator("#chart .break").count()) === 2, "breaks have a band");

  // Before, at, after.
  const stills = page.locator("#event-1 .strip button");
  assert.equal(await stills.count(), 3);
  const times = await stills.evaluateAll((nodes) => nodes.map((n) => Number(n.dataset.t)));
  assert.ok(times[0] < times[1] && times[1] < times[2], String(times));
  await stills.nth(2).click();
  assert.ok(Math.abs((await state(page)).at - times[2]) < 0.05);
  assert.match(await page.locator("#event-1 .evidence").textContent(), /Surprise rose from .* times the threshold of 3.25\. Normal footage has such a peak once in 8.00 hours\./);

  // Loop and slow motion: by button, by key, and out again.
  await page.locator("#event-1 .slow").click();
  assert.deepEqual([await pressed(page, "#event-1 .slow"), await pressed(page, "#event-1 .loop"), await pressed(page, "#loop")], ["true", "false", "true"]);
  assert.deepEqual([(await state(page)).rate, await page.locator("#speed").textContent()], [0.25, "¼×"]);
  await page.locator("#event-1 .loop").click();
  assert.deepEqual([(await state(page)).rate, await pressed(page, "#event-1 .loop")], [1, "true"]);
  const span = await page.evaluate(() => { const e = JSON.parse(document.getElementById("data").textContent).events[0]; return [Math.max(0, e.onset - 1), e.end + 1]; });
  const seen = [];
  for (let i = 0; i < 60 && !seen.some((t, k) => k > 0 && t < seen[k - 1] - 0.5); i++) {
    await page.waitForTimeout(100);
    seen.push((await state(page)).at);
  }
  assert.ok(seen.some((t, k) => k > 0 && t < seen[k - 1] - 0.5), `it turns: ${seen}`);
  assert.ok(seen.every((t) => t > span[0] - 0.2 && t < span[1] + 0.4), `it stays in ${span}: ${seen}`);
  await page.locator("#chart").focus();
  await page.keyboard.press("End");
  assert.equal(await pressed(page, "#loop"), "false", "who goes elsewhere leaves the loop");
  for (const rate of [0.5, 0.25, 1]) {
    await page.keyboard.press("s");
    assert.equal((await state(page)).rate, rate);
  }
  await page.keyboard.press("l");
  assert.equal(await pressed(page, "#event-2 .loop"), "true", "the nearest event");
  await page.keyboard.press("l");
  assert.equal(await pressed(page, "#loop"), "false");

  // All of it can be reached without a mouse, and says what it is.
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a, input, [tabindex]")]
    .filter((n) => n.offsetParent && !(n.textContent.trim() || n.getAttribute("aria-label") || n.title || n.labels?.length)).map((n) => n.outerHTML));
  assert.deepEqual(nameless, []);
  assert.match(await page.locator("#command").textContent(), /^startle analyze .*--model small-jepa .*--p-value 0\.01/);

  const texts = [".lead", ".keys", "#readout i", "#event-1 dt", "#event-1 .evidence", ".strip span", ".quiet", "#command", ".hashes dt", "dd .jump", "#event-1 h3", ".note"];
  for (const scheme of ["light", "dark"]) {
    const other = await open(1280, scheme);
    for (const [selector, ratio] of await contrasts(other, texts)) assert.ok(ratio >= 4.5, `${scheme}: ${selector} has a contrast of ${ratio.toFixed(2)}`);
    if (scheme === "dark") await shoot(other, "dark");
    await other.context().close();
  }
  const phone = await open(390, "light");
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} pixels wide on a phone`);
  assert.equal(await phone.locator("#map").isVisible() && await phone.locator("#event-1 .strip").isVisible(), true);
  await shoot(phone, "phone");
}

async function linked() {
  const page = await open(1280, "light");
  const video = page.locator("video");
  assert.equal(await video.getAttribute("preload"), "metadata");
  assert.match(await video.getAttribute("poster"), /^data:image\/jpeg;base64,/);
  assert.match(await page.locator(".beside").textContent(), /beside this page/);
  await page.locator("#event-1 .loop").click();
  await page.waitForFunction(() => !document.querySelector("video").paused && document.querySelector("video").currentTime > 0.2);
}

async function hostile() {
  const page = await open(1280, "light");
  assert.equal(await page.locator("script").count(), 2);
  assert.match(await page.locator("h1").getAttribute("title"), /<script>alert\(1\)<\/script>/);
  const command = await page.locator("#command").textContent();
  assert.ok(command.includes("'videos/") && !command.includes("\n"), command);
  assert.equal(await page.locator("#map b, #map script, #readout script").count(), 0);
  await page.locator("#map").scrollIntoViewIfNeeded();
  const map = await page.locator("#map").boundingBox();
  await page.mouse.move(map.x + map.width / 4, map.y + 4);
  assert.match(await page.locator("#readout").textContent(), /<img src=x/);
  await page.waitForTimeout(300);
}

try {
  await { rich, linked, hostile }[kind]();
  assert.deepEqual(faults, []);
} catch (error) {
  console.error(error.message, faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
