// The page of many results in a real browser: node index.mjs PAGE COUNT [SHOTS-FOLDER]. Prints what it took.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [path, count, shots] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--enable-precise-memory-info"], timeout: 180_000,
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(180_000);
const faults = [], asked = [];
page.on("pageerror", (e) => faults.push(e.message));
page.on("dialog", (d) => { faults.push(`a dialog: ${d.message()}`); d.dismiss(); });
page.on("request", (r) => { if (!r.url().startsWith("file:")) asked.push(r.url()); });
const total = () => page.evaluate(() => Number(document.getElementById("list").getAttribute("aria-rowcount")) - 1);
const rows = () => page.locator("#view .row").count();
/** How long the page's script takes for something, painting included, ms. */
const timed = (body, ...values) => page.evaluate(async ([body, values]) => {
  const start = performance.now();
  new Function("values", body)(values);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}, [body, values]);

try {
  const start = Date.now();
  await page.goto(pathToFileURL(path).href);
  await page.locator("#view .row").first().waitFor();
  const open_ms = Date.now() - start;
  assert.equal(await total(), Number(count));
  assert.ok(await page.locator("#static").isHidden(), "the lines of the script stand for those of the page");
  const heap_mb = (await page.evaluate(() => performance.memory.usedJSHeapSize)) / 1e6;

  let most = 0;
  for (const share of [0.25, 0.5, 0.9999, 0]) {
    await page.evaluate((share) => { const v = document.getElementById("view"); v.scrollTop = share * v.scrollHeight; }, share);
    await page.waitForTimeout(50);
    most = Math.max(most, await rows());
    assert.ok((await rows()) > 0, "there are rows wherever one scrolls");
  }
  assert.ok(most < 60, `only the rows on show are there: ${most}`);

  const find_ms = [];
  for (const text of ["c", "cl", "clip", "clip7", ""]) {
    find_ms.push(await timed("const f = document.getElementById('find'); f.value = values[0]; f.dispatchEvent(new Event('input', { bubbles: true }));", text));
  }
  await page.fill("#find", "no such name anywhere");
  assert.equal(await total(), 0);
  await page.fill("#find", "");
  await page.selectOption("#status", "events");
  const hit = await total();
  assert.ok(hit <= Number(count));
  for (const text of await page.locator("#view .row").allTextContents()) assert.match(text, /event/);
  await page.selectOption("#status", "");

  const sort_ms = [];
  const heads = page.locator("#heads button:not([disabled])");
  for (let i = 0; i < (await heads.count()); i++) sort_ms.push(await timed("document.querySelectorAll('#heads button:not([disabled])')[values[0]].click()", i));
  const peaks = (await page.locator("#view .row > :nth-child(4)").allTextContents()).map(Number).filter(Number.isFinite);
  await heads.nth(2).click();
  await heads.nth(2).click();
  if (peaks.length > 1) {
    const sorted = (await page.locator("#view .row > :nth-child(4)").allTextContents()).map(Number).filter(Number.isFinite);
    assert.deepEqual(sorted, [...sorted].sort((a, b) => a - b), "a second click turns the order round");
  }
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `no sideways scrolling at ${width}`);
    if (shots) await page.screenshot({ path: `${shots}/index-${width}.png` });
  }
  assert.deepEqual([faults, asked], [[], []]);
  console.log(JSON.stringify({ open_ms, heap_mb, find_ms, sort_ms, rows: most, events: hit }));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
