// What a real browser shows of a video in which a white bar grows with time: node player.mjs WIDTH SECONDS PAGE|VIDEO [T…]
// A page: clicks every time of its first event. A video: goes to each T. Prints [T, seconds that the picture shows] pairs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [width, seconds, path, ...times] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: 180_000 });
const page = await browser.newPage();
// Slow machines too.
page.setDefaultTimeout(180_000);
const faults = [];
page.on("pageerror", (e) => faults.push(e.message));

/** The length of the bar in the picture on show, in seconds. */
const shown = async () => {
  await page.waitForFunction(() => {
    const video = document.querySelector("video");
    return video.readyState >= 2 && !video.seeking;
  });
  // A picture is painted after its seek has ended.
  await page.waitForTimeout(200);
  const lit = await page.evaluate((width) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, 8];
    const context = canvas.getContext("2d");
    context.drawImage(document.querySelector("video"), 0, 8, width, 8, 0, 0, width, 8);
    const row = context.getImageData(0, 4, width, 1).data;
    return Array.from({ length: width }, (_, x) => row[4 * x]).filter((value) => value > 180).length;
  }, Number(width));
  return (lit / width) * seconds;
};

try {
  const pairs = [];
  if (path.endsWith(".html")) {
    await page.goto(pathToFileURL(path).href);
    await shown();
    const buttons = page.locator(".events > li:first-child button.jump");
    assert.ok((await buttons.count()) >= 2, "the event has times to click");
    for (const button of await buttons.all()) {
      await button.click();
      pairs.push([Number(await button.getAttribute("data-t")), await shown()]);
    }
  } else {
    await page.setContent("<video muted></video>");
    await page.evaluate((base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      document.querySelector("video").src = URL.createObjectURL(new Blob([bytes], { type: "video/webm" }));
    }, readFileSync(path).toString("base64"));
    await shown();
    for (const t of times.map(Number)) {
      await page.evaluate((t) => { document.querySelector("video").currentTime = t; }, t);
      pairs.push([t, await shown()]);
    }
  }
  assert.deepEqual(faults, []);
  console.log(JSON.stringify(pairs));
} catch (error) {
  console.error(error.message, faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
