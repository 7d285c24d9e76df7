/**
 * The overview over a long ledger and over an empty one: `npm run bench -- dashboard [--calls 560000] [--rounds 10] [--data DIR]`.
 *
 * Two gateways run at once, one over a year that `scripts/seed.mjs` wrote (two rows of the ledger a call), one over nothing. In every round a browser
 * signed in to each, in random order, opens `/` and the time is taken until figures and budgets are there and a button answers. What is printed is the
 * difference inside a round, the median of all rounds, and how long a gateway took to make its sums when it first started over that ledger.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { seed } from "../scripts/seed.mjs";
import { medianInterval, quantile, seededRandom } from "./statistics.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const MAIN = join(ROOT, "packages/gateway/dist/cli/main.js");
const CHROMIUM = process.env.PURSER_TEST_CHROMIUM ?? "/usr/bin/chromium";
const PROMISED_MS = 1_000;

const { values } = parseArgs({
  options: { calls: { type: "string", default: "560000" }, rounds: { type: "string", default: "10" }, data: { type: "string" } },
});
if (!existsSync(CHROMIUM)) {
  console.log("dashboard: not run. Chromium is not installed (PURSER_TEST_CHROMIUM says where it is).");
} else {
  await main({ calls: Number(values.calls), rounds: Number(values.rounds), kept: values.data });
}

async function main({ calls, rounds, kept }) {
  const folder = kept === undefined ? mkdtempSync(join(os.tmpdir(), "purser-dashboard-")) : resolve(kept);
  const gateways = [];
  try {
    const long = await startGateway(gateways, await longLedger(join(folder, "long"), calls));
    const empty = await startGateway(gateways, emptyLedger(join(folder, "empty")));
    console.log(`${long.entries.toLocaleString("en-US")} rows. Sums of all of them: ${seconds(await untilSummed(long))} after the start.`);
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    const pages = [await signIn(browser, long), await signIn(browser, empty)];
    const random = seededRandom(Date.now());
    const differences = [];
    const times = [[], []];
    for (let round = 0; round < rounds; round++) {
      const order = random() < 0.5 ? [0, 1] : [1, 0];
      for (const i of order) times[i].push(await openOverview(pages[i]));
      differences.push(times[0].at(-1) - times[1].at(-1));
    }
    await browser.close();
    const { median, low, high } = medianInterval(differences);
    console.log(
      `Until the overview answers, p50: ${ms(quantile(times[0], 0.5))} over the long ledger, ${ms(quantile(times[1], 0.5))} over the empty one.`,
    );
    console.log(`Later by ${ms(median)} (${ms(low)} to ${ms(high)}); promised is less than ${ms(PROMISED_MS)}.`);
  } finally {
    for (const child of gateways) child.kill("SIGTERM");
    await wait(500);
    if (kept === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function longLedger(directory, calls) {
  const known = join(directory, "entries.txt");
  if (existsSync(known)) return { config: join(directory, "purser.yaml"), entries: Number(readFileSync(known, "utf8")) };
  console.log(`Writing a year of ${calls.toLocaleString("en-US")} calls …`);
  const { config, entries } = await seed({ directory, calls });
  writeFileSync(known, String(entries));
  return { config, entries };
}

function emptyLedger(directory) {
  mkdirSync(directory, { recursive: true });
  const config = join(directory, "purser.yaml");
  writeFileSync(config, `data: ${JSON.stringify(join(directory, "data"))}\nbudgets: [{ name: company, limits: [$100 / month] }]\n`);
  return { config, entries: 0 };
}

async function startGateway(gateways, { config, entries }) {
  const child = spawn(process.execPath, [MAIN, "serve", "--config", config, "--port", "0", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  gateways.push(child);
  const [line] = await new Promise((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk).split("\n"))));
  const token = readFileSync(join(dirname(config), "data/admin.token"), "utf8").trim();
  return { url: JSON.parse(line).url, token, entries };
}

async function untilSummed({ url, token }) {
  const startedAt = performance.now();
  for (;;) {
    const overview = await (await fetch(`${url}/api/overview`, { headers: { authorization: `Bearer ${token}` } })).json();
    if (overview.is_complete) return performance.now() - startedAt;
    await wait(500);
  }
}

async function signIn(browser, { url, token }) {
  const page = await (await browser.newContext({ baseURL: url })).newPage();
  await page.goto(`/#token=${token}`);
  await page.getByText("Who spends, this month").waitFor();
  return page;
}

async function openOverview(page) {
  const startedAt = performance.now();
  await page.goto("/", { waitUntil: "commit" });
  await page.getByRole("meter").first().waitFor();
  await page.getByRole("button", { name: "48 hours" }).click();
  await page.getByRole("heading", { name: "Cost by hour" }).waitFor();
  return performance.now() - startedAt;
}

function ms(value) {
  return `${Math.round(value).toLocaleString("en-US")} ms`;
}

function seconds(value) {
  return `${(value / 1_000).toFixed(1)} s`;
}
