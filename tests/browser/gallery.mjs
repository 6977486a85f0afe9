// Pictures of pages: node gallery.mjs OUT NAME=PAGE… — each at desk width in light and dark and at phone width in light, as JPEG.
import { mkdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [out, ...pages] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: 180_000 });
const views = [["light", 1100, "light"], ["dark", 1100, "dark"], ["phone", 390, "light"]];
let faults = 0;
for (const entry of pages) {
  const [name, path] = entry.split("=");
  for (const [view, width, colorScheme] of views) {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    page.on("pageerror", (e) => { faults += 1; console.error(`${name} ${view}: ${e.message}`); });
    await page.goto(pathToFileURL(path).href);
    await page.waitForTimeout(1500);
    const height = Math.min(2400, await page.evaluate(() => document.documentElement.scrollHeight));
    await page.screenshot({ path: `${out}/${name}-${view}.jpg`, type: "jpeg", quality: 50, fullPage: true, clip: { x: 0, y: 0, width, height } });
    await page.close();
  }
}
await browser.close();
process.exitCode = faults ? 1 : 0;
