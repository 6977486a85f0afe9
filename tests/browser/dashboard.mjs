// Drives the dashboard in a real browser: node dashboard.mjs URL USER PASSWORD WRONG_ATTEMPTS [SCREENSHOT_FOLDER]
// Ends with status 0 when all is as it must be; else it says what is not.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, user, password, screenshots] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = await context.newPage();
const faults = [];
// A refused login is told as an error of the network; that is what it is.
page.on("console", (m) => m.type() === "error" && !/status of 40[13]|status of 429/.test(m.text()) && faults.push(m.text()));
page.on("pageerror", (e) => faults.push(e.message));
page.on("request", (r) => {
  const at = new URL(r.url());
  if (at.protocol !== "data:" && at.protocol !== "blob:" && at.origin !== new URL(url).origin) faults.push(`asks ${r.url()}`);
});

try {
  await page.goto(url);
  await page.waitForSelector("#login:not([hidden])");
  assert.ok(await page.locator("#main").isHidden(), "nothing is shown without a login");
  const attempt = async (word) => {
    await page.fill("#user", user);
    await page.fill("#password", word);
    await page.press("#password", "Enter");
  };
  await attempt("wrong password");
  await page.waitForFunction(() => document.querySelector("#refused").textContent.includes("wrong"));
  await attempt(password);
  await page.waitForSelector("#main:not([hidden])");

  // The curve moves.
  const curve = page.locator(".camera .curve").first();
  await curve.waitFor();
  const readout = page.locator(".camera .readout").first();
  const before = await readout.textContent();
  await page.waitForFunction((old) => document.querySelector(".camera .readout").textContent !== old, before);
  assert.ok((await page.locator(".camera .curve canvas").count()) >= 1, "the curve is drawn");
  assert.match((await curve.getAttribute("aria-label")) ?? "", /\w/, "the curve has words");
  await page.waitForFunction(() => document.querySelector(".camera .screen img")?.naturalWidth > 0);

  // An event appears by itself, and its clip plays.
  const shown = await page.locator(".event").count();
  await page.waitForFunction((n) => document.querySelectorAll(".event").length > n, shown, { timeout: 60_000 });
  const download = page.locator(".event a.download:visible").first();
  await download.waitFor({ timeout: 60_000 });
  const card = page.locator(".event", { has: page.locator("a.download:visible") }).first();
  const id = (await card.locator("a.download").getAttribute("href")).split("/")[3];
  await card.locator(".thumb").click();
  await page.waitForFunction(() => document.querySelector("#video").currentTime > 0.3, null, { timeout: 30_000 });
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector("#player").open);

  // A mark survives a reload.
  const of = () => page.locator(".event", { has: page.locator(`a.download[href*="${id}"]`) });
  await of().locator("button.false").click();
  const pressed = `.event:has(a.download[href*="${id}"]) button.false[aria-pressed="true"]`;
  await page.waitForSelector(pressed);
  await page.reload();
  await page.waitForSelector(pressed);

  // The keyboard reaches everything, and shows where it is.
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      const outline = getComputedStyle(e);
      const seen = outline.outlineStyle !== "none" || outline.boxShadow !== "none";
      return { name: e.id || [...e.classList].join(".") || e.tagName, seen };
    });
    assert.ok(at.seen || at.name === "BODY", `the focus on ${at.name} can be seen`);
    reached.add(at.name);
  }
  for (const name of ["skip", "show-heat", "log-out", "curve", "thumb", "real", "false", "button.download"]) {
    assert.ok([...reached].some((r) => r === name || r.split(".").includes(name) || r.endsWith(name)), `the keyboard reaches ${name}: ${[...reached]}`);
  }

  // Phones: nothing is wider than the window.
  if (screenshots) {
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${screenshots}/desktop.png` });
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(1500);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is ${wide} pixels too wide for a phone`);
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(dark.match(/\d+/g).slice(0, 3).every((v) => Number(v) < 80), `dark is dark: ${dark}`);
  if (screenshots) await page.screenshot({ path: `${screenshots}/phone.png` });

  // Who logs out sees nothing; wrong attempts are limited.
  await page.click("#log-out");
  await page.waitForSelector("#login:not([hidden])");
  for (let i = 0; i < 7; i++) {
    await attempt("wrong again");
    await page.waitForTimeout(400);
  }
  await page.waitForFunction(() => document.querySelector("#refused").textContent.includes("too many"));
  assert.deepEqual(faults, []);
} catch (error) {
  console.error(error.message, faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
