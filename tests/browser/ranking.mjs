// A ranking's page in a real browser: node ranking.mjs PAGE SECONDS-AT-WHICH-THEY-PART
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [path, parts] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: 180_000 });
const page = await browser.newPage();
page.setDefaultTimeout(180_000);
const faults = [];
page.on("pageerror", (e) => faults.push(e.message));
const times = () => page.evaluate(() => [...document.querySelectorAll("video")].map((v) => v.currentTime));
const still = () => page.waitForFunction(() => [...document.querySelectorAll("video")].every((v) => v.readyState >= 2 && !v.seeking));

try {
  await page.goto(pathToFileURL(path).href);
  await still();
  assert.equal((await times()).length, 2);
  await page.keyboard.press("p");
  await still();
  for (const t of await times()) assert.ok(Math.abs(t - Number(parts)) < 0.02, `${t} is where they part, ${parts}`);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press(".");
  await still();
  const [a, b] = await times();
  assert.ok(Math.abs(a - b) < 1e-6 && a < Number(parts) - 0.9, `${a} ${b}: a second back and a frame on`);
  await page.click("#play");
  await page.waitForFunction((from) => document.querySelector("video").currentTime > from + 0.3, a);
  const [one, other] = await times();
  assert.ok(Math.abs(one - other) < 0.15, `in lockstep: ${one} ${other}`);
  await page.click("#play");
  const lines = () => page.locator("#surprise polyline").count();
  assert.equal(await lines(), 2);
  await page.locator("input[data-version='1']").uncheck();
  assert.equal(await lines(), 1);
  assert.equal(await page.locator("#difference polyline").count(), 0);
  assert.ok(await page.locator("#part").isDisabled(), "nothing parts from one version");
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `no sideways scrolling at ${width}`);
  }
  assert.deepEqual(faults, []);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
