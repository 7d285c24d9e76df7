/**
 * The dashboard in a real browser, over a year that `scripts/seed.mjs` wrote. With PURSER_SCREENSHOTS=DIR it also makes the pictures of the
 * documents: `PURSER_SCREENSHOTS=docs/pictures npm test -- dashboard`.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { type RunningGateway, startGateway } from "../app.ts";
import { openBudgetFile } from "../config/change-budgets.ts";
import { readConfig } from "../config/read-config.ts";
import { watchConfig } from "../config/watch.ts";
import { hashPassword } from "../people/password.ts";
import type { Json } from "./calls.ts";
import { startMock } from "./clients.ts";
import { CLIENT, startIssuer } from "./issuer.ts";
import { startReceiver } from "./receivers.ts";
import { eventually } from "./stand.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const FIRST_LOAD_MOST = 250_000;
const PICTURES = process.env.PURSER_SCREENSHOTS;
/** Pictures show a company that is busier. */
const CALLS = PICTURES === undefined ? 2_000 : 20_000;
/** What buttons begin with that change something. */
const CHANGES = [
  /^Give/,
  /^Reset/,
  /^Switch (on|off)/,
  /^Revoke/,
  /^New key/,
  /^Test/,
  /^Decline/,
  /^Acknowledge/,
  /^Snooze/,
  /^Let go/,
  /^Change/,
  /^New budget/,
  /^Edit/,
  /^Remove/,
  /^Invite/,
  /^New password/,
  /^Answer/,
  /^Take/,
];
const DESKTOP = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };

/** Debian's name, and others'. */
function findChromium(): string | undefined {
  const names = [process.env.PURSER_TEST_CHROMIUM, "chromium", "chromium-browser", "google-chrome"].flatMap((name) => name ?? []);
  return names.flatMap((name) => spawnSync("sh", ["-c", 'command -v "$0"', name], { encoding: "utf8" }).stdout.trim() || [])[0];
}

interface Scene {
  readonly gateway: RunningGateway;
  readonly directory: string;
  readonly url: string;
  readonly token: string;
  readonly posted: readonly unknown[];
  readonly browser: Browser;
  /** What the browser complained about: scripts that failed, and what the security policy stopped. */
  readonly complaints: string[];
}

async function startScene(context: TestContext, executablePath: string): Promise<Scene> {
  const directory = mkdtempSync(join(tmpdir(), "purser-dashboard-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const [mock, receiver] = [await startMock(context), await startReceiver(context)];
  const options = ["--data", directory, "--calls", String(CALLS), "--webhook", receiver.url, "--openai", `${mock.url}/v1`];
  execFileSync(process.execPath, [join(ROOT, "scripts/seed.mjs"), ...options], { stdio: "pipe" });
  const file = join(directory, "purser.yaml");
  const source = { file, environment: {}, flags: { port: 0 } };
  const config = readConfig(source);
  const gateway = await startGateway({ config, budgetFile: openBudgetFile(config, source) });
  context.after(() => gateway.close());
  context.after(watchConfig(file, (change) => void gateway.reload(change.config), { ...source, current: config }));
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  context.after(() => browser.close());
  const token = readFileSync(join(directory, "data/admin.token"), "utf8").trim();
  return { gateway, directory, url: gateway.url, token, posted: receiver.posted, browser, complaints: [] };
}

async function openContext(
  { browser, url, complaints }: Scene,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: DESKTOP, baseURL: url, locale: "en-GB", ...options });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("console", (message) => {
    // A wrong token and a key that may not are answered by 401 and 403, which browsers write down.
    if (message.type() === "error" && !/status of 40[13]/.test(message.text())) complaints.push(message.text());
  });
  return context;
}

async function signedIn(scene: Scene, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
  const page = await (await openContext(scene, options)).newPage();
  await page.goto(`/#token=${scene.token}`);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return page;
}

async function ask({ url, token }: Scene, path: string): Promise<Json> {
  return (await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })).json();
}

/** A row of the report on the sessions of the last month. */
async function dearestSession(scene: Scene): Promise<Json> {
  const since = new Date(Date.now() - 29 * 86_400_000).toISOString().slice(0, 10);
  const { data } = await ask(scene, `/api/report?by=session&since=${since}`);
  const named = data.filter(({ values }: Json) => values.session !== null);
  return named.toSorted((a: Json, b: Json) => b.cost_nanodollars - a.cost_nanodollars)[0];
}

async function visit(page: Page, path: string, title: string): Promise<void> {
  await page.goto(path);
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  await page.mouse.move(0, 0);
  await page.evaluate("document.fonts.ready.then(() => undefined)");
  await page.screenshot({ path: join(ROOT, PICTURES, `${name}.png`), animations: "disabled" });
}

/** How far below the top of a chart its first line rises, as a share of its height: in the page, which has a canvas, and types of its own. */
const HIGHEST_ACCENT = `(() => {
  const canvas = document.querySelector("main canvas");
  const { width, height } = canvas;
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === red && data[i + 1] === green && data[i + 2] === blue && data[i + 3] === 255) return Math.floor(i / 4 / width) / height;
  return 1;
})()`;

function call({ url }: Scene, key: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "gpt-4o-mini", max_tokens: 100, messages: [{ role: "user", content: "What is a purser?" }] }),
  });
}

/** What axe finds on a page that keeps somebody from using it. */
async function seriousFaults(page: Page): Promise<readonly string[]> {
  // What the browser runs may be injected past the policy of the page.
  const { violations } = (await page.evaluate(`${axe.source}; axe.run()`)) as { violations: Json[] };
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.map(
    ({ id: rule, nodes }) =>
      `${rule}: ${nodes
        .map(({ html }: Json) => html)
        .slice(0, 3)
        .join(" ")}`,
  );
}

/** `$1,234.56` as a number of dollars. */
function dollars(text: string | null): number {
  return Number(/\$([\d,.]+)/.exec(text ?? "")?.[1]?.replaceAll(",", ""));
}

const executable = findChromium();

test("the dashboard, in a browser", { skip: executable === undefined && "not run: chromium is not installed" }, async (context) => {
  const scene = await startScene(context, executable as string);

  await context.test("the first load is small", async () => {
    const page = await (await openContext(scene)).newPage();
    await page.goto(`/#token=${scene.token}`);
    await page.getByText("Who spends, this month").waitFor();
    await page.evaluate("document.fonts.ready.then(() => undefined)");
    const loaded = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]";
    const ours = "({ name }) => /^\\/(assets\\/.*|icon.svg)?$/.test(new URL(name).pathname)";
    const bytes = Number(await page.evaluate(`${loaded}.filter(${ours}).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`));
    assert.ok(bytes > 50_000 && bytes < FIRST_LOAD_MOST, `${bytes} bytes`);
    await page.context().close();
  });

  await context.test("a wrong token is told, the right one is let in and out again", async () => {
    const page = await (await openContext(scene)).newPage();
    await page.goto("/budgets");
    await page.getByLabel("Token or key").fill("pa-wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page
      .getByRole("alert")
      .getByText("neither the owner’s token nor a key")
      .or(page.getByText("neither the owner's token"))
      .waitFor();
    await page.getByLabel("Token or key").fill(scene.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "Budgets" }).waitFor();
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"]);
    await page.goto(`/prices#token=${scene.token}`);
    await page.getByRole("heading", { level: 1, name: "Prices" }).waitFor();
    assert.equal(new URL(page.url()).hash, "", "no token stays in the address");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await page.context().close();
  });

  const page = await signedIn(scene);

  await context.test("the overview shows what the ledger says", async () => {
    // A year is added up when it is looked at first, which the page says and goes on from by itself.
    await eventually("the sums", async () => (await ask(scene, "/api/overview")).is_complete || undefined, 60_000);
    await page.goto("/");
    await page.getByText("The ledger is being added up").waitFor({ state: "hidden" });
    const { data } = await ask(scene, `/api/report?by=team`);
    const month = data.reduce((sum: number, row: Json) => sum + row.cost_nanodollars, 0) / 1e9;
    const shown = dollars(await page.getByText("This month", { exact: true }).locator("xpath=following-sibling::p[1]").textContent());
    assert.ok(Math.abs(shown - month) <= 0.005, `${shown} is shown, and ${month} was spent`);
    await page.getByRole("button", { name: "48 hours" }).click();
    await page.getByRole("heading", { name: "Cost by hour" }).waitFor();
    await page.getByRole("button", { name: "90 days" }).click();
    await picture(page, "overview");
  });

  await context.test("from a budget to the arithmetic of one call", async () => {
    await page.getByRole("link", { name: "Budgets", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Budgets" }).waitFor();
    await page.getByRole("link", { name: "chatbot", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "chatbot" }).waitFor();
    await page.getByRole("heading", { name: "History" }).waitFor();
    await picture(page, "budget");
    await page.getByRole("link", { name: "newest" }).click();
    await page.getByRole("heading", { level: 1, name: "Calls" }).waitFor();
    await page.getByRole("main").getByRole("listitem").filter({ hasText: "$" }).first().getByRole("link").click();
    const total = page.getByText("Charged, rounded up once").locator("xpath=following-sibling::span");
    await total.waitFor();
    const costs = await page.getByRole("region", { name: "How the cost adds up" }).locator("tbody td:last-child").allTextContents();
    const sum = costs.reduce((all, text) => all + dollars(text), 0);
    assert.ok(Math.abs(sum - dollars(await total.textContent())) < 2e-9, `${costs.join(" + ")} is not ${await total.textContent()}`);
    await page.getByRole("link", { name: "team support" }).waitFor();
    await picture(page, "call");
  });

  await context.test("what is expected of a budget far beyond its limit leaves room for what was spent", async () => {
    const other = await page.context().newPage();
    await other.route("**/api/budget-tree", async (route) => {
      const response = await route.fetch();
      const answer: Json = await response.json();
      const { balances } = answer.data.find(({ name }: Json) => name === "chatbot");
      const balance = balances.find(({ unit }: Json) => unit === "nanodollars");
      const limit = Math.ceil(balance.spent / 0.995);
      Object.assign(balance, { limit, left: limit - balance.spent, expected: limit * 20, gone_at: null });
      await route.fulfill({ response, json: answer });
    });
    await visit(other, "/budgets/chatbot", "chatbot");
    await other.getByText(/All but used up; resets in/).waitFor();
    await other.getByRole("main").locator("canvas").first().waitFor();
    const highest = Number(await other.evaluate(HIGHEST_ACCENT));
    assert.ok(highest < 0.5, `what was spent ends ${Math.round(highest * 100)} % below the top of its chart`);
    await other.close();
  });

  const { secret } = await scene.gateway.keys.create({ name: "live", attributes: { team: "support" }, maySet: ["user", "feature"] });

  await context.test("a call appears while one looks", async () => {
    await visit(page, "/calls", "Calls");
    await page.getByText("New ones appear by themselves.").waitFor();
    // The first look finds out where the ledger ends; what comes after it is told.
    await page.getByText("Live", { exact: true }).waitFor();
    const line = page.getByRole("listitem").filter({ hasText: "zoe-the-new" });
    await assert.doesNotReject(async () => {
      for (let tries = 0; tries < 20 && (await line.count()) === 0; tries++) {
        assert.equal((await call(scene, secret, { "x-purser-user": "zoe-the-new", "x-purser-feature": "live" })).status, 200);
        await line
          .first()
          .waitFor({ timeout: 3_000 })
          .catch(() => undefined);
      }
      await line.first().waitFor({ timeout: 1_000 });
    });
  });

  await context.test("the last hour is taken apart by minute, and moves while calls come", async () => {
    await visit(page, "/", "Overview");
    await page.getByRole("button", { name: "60 minutes" }).click();
    await page.getByRole("heading", { name: "Cost by minute" }).waitFor();
    await page.getByRole("button", { name: "feature", exact: true }).first().click();
    await page.waitForURL(/time=minutes.*by=feature|by=feature.*time=minutes/);
    await page.getByRole("main").locator("canvas").first().waitFor();
    await picture(page, "live");
    await page.getByRole("button", { name: "Calls", exact: true }).click();
    await page.getByRole("button", { name: "user", exact: true }).first().click();
    const hour = page.getByRole("table", { name: "Calls of each of the last 60 minutes by user" });
    await hour.waitFor({ state: "attached" });
    assert.equal(await hour.getByRole("row").count(), 1 + 60);
    const named = page
      .getByRole("main")
      .getByRole("listitem")
      .filter({ hasText: /^lou-the-live \d+$/ });
    // More than any other, so that it is named and does not stand under the others.
    for (let i = 0; i < 40; i++) assert.equal((await call(scene, secret, { "x-purser-user": "lou-the-live" })).status, 200);
    await named.filter({ hasText: "lou-the-live 40" }).waitFor();
    const { data } = await ask(scene, "/api/minutes?by=user");
    const lou = data.find(({ value }: Json) => value === "lou-the-live");
    assert.deepEqual([lou.calls, lou.minutes.reduce((sum: number, { calls }: Json) => sum + calls, 0)], [40, 40]);
    const heading = (await hour.getByRole("columnheader").allTextContents()).indexOf("lou-the-live");
    const cells = await hour
      .getByRole("row")
      .locator(`td:nth-child(${heading + 1})`)
      .allTextContents();
    assert.equal(
      cells.reduce((sum, text) => sum + Number(text), 0),
      40,
    );
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.getByRole("table", { name: "Calls of each of the last 60 minutes by user" }).waitFor({ state: "attached" });
    await other.close();
  });

  await context.test("what a provider gives away is shown with what is used of it, beside budgets and prices", async () => {
    const [{ spent, limit }] = (await ask(scene, "/api/allowances")).data;
    for (const [path, title] of [
      ["/", "Overview"],
      ["/prices", "Prices"],
    ] as const) {
      await visit(page, path, title);
      const meter = page.getByRole("listitem").filter({ hasText: "daily free tokens" }).getByRole("meter");
      const label = (await meter.getAttribute("aria-label")) ?? "";
      assert.ok(label.endsWith(`of ${limit.toLocaleString("en-US")} tokens`), label);
      assert.ok(label.includes(` ${spent.toLocaleString("en-US")} tokens spent`), label);
      // Between midnight and two o'clock that is "tomorrow".
      await page.getByText(/begins anew (in|tomorrow)/).waitFor();
    }
  });

  await context.test("a limit that follows what is used says so, with its bounds, and what it will be", async () => {
    await visit(page, "/budgets", "Budgets");
    const budget = page.getByRole("article", { name: "coding agent" });
    await budget.getByText("follows use").waitFor();
    await budget.getByText("CC-310").waitFor();
    await budget.getByRole("link", { name: "coding agent" }).click();
    await page.getByText("This limit follows what is used, from $1.00 to $1,000.00, as each day ends").waitFor();
    const [{ next }] = (await ask(scene, "/api/adjustments")).data;
    await page.getByText(next.why).first().waitFor();
    await page.getByRole("link", { name: "CC-310" }).click();
    await page.waitForURL(/\/usage\?.*cost_center/);
  });

  await context.test("an answer that was known is shown with the call that it is from, how near it is, and what it saved", async () => {
    const { data } = await ask(scene, "/api/requests?outcome=allowed&limit=1");
    const [{ id: from, subject }] = data;
    const known = { rung: "cache similar 0.8 60m (chatbot 0%)", budget: "chatbot", from, nearness: 0.86, saved: 1_230_000 };
    scene.gateway.budgets.recordAnswer({ id: "req_known", subject, input: { most: 12 }, output: { most: 100 } }, known);
    await visit(page, "/calls/req_known", subject.model);
    const main = page.getByRole("main");
    await main.getByText("known answer", { exact: true }).waitFor();
    await main.getByText("No provider was asked: its question is 86 % like that of").waitFor();
    await main.getByText("That saved $0.00123.").waitFor();
    await main.getByRole("link", { name: from }).click();
    await page.waitForURL(`**/calls/${from}`);
    await visit(page, "/usage?by=model&since=30d", "Usage");
    await page.getByText("1 more whose answer was known").waitFor();
  });

  await context.test(
    "what ladders saved is shown with its sum and its rungs, of all budgets and of one, and how it was reckoned",
    async () => {
      const since = new Date(Date.now() - 29 * 86_400_000).toISOString().slice(0, 10);
      const { total, data } = await ask(scene, `/api/savings?since=${since}`);
      assert.deepEqual(
        new Set(data.map(({ rung }: Json) => rung)),
        // The company of the pictures has larger budgets, and refuses nothing.
        new Set(["use gpt-4o-mini", "trim 16000", "cache similar 0.8 60m", ...(PICTURES === undefined ? ["refused"] : [])]),
      );
      const { data: reports } = await ask(scene, `/api/report?since=${since}`);
      assert.equal(reports[0].saved_nanodollars, total.saved_nanodollars);
      await visit(page, "/usage?by=feature&since=30d", "Usage");
      const table = page.getByRole("region", { name: "What each rung of each ladder saved" });
      const row = (name: string) => table.getByRole("row").filter({ hasText: name });
      const use = data.find(({ rung }: Json) => rung === "use gpt-4o-mini");
      await row("use gpt-4o-mini")
        .getByRole("cell", { name: use.calls.toLocaleString("en-US"), exact: true })
        .waitFor();
      await row("trim 16000").getByText("about").waitFor();
      await page.getByText("How this is reckoned").click();
      await page.getByText("The same tokens at the price of the model that it took the place of").waitFor();
      await row("use gpt-4o-mini").getByRole("link", { name: "chatbot" }).click();
      await page.getByRole("heading", { name: "What its ladder saved" }).waitFor();
      await visit(page, "/usage?by=feature&since=30d&filter=user%3Dann", "Usage");
      await page.getByText("Input tokens").waitFor();
      assert.equal(await page.getByText("What ladders saved").count(), 0, "what a filter leaves is not what is said there");
      await visit(page, "/budgets/team%20growth", "team growth");
      await page.getByText("Within and around").waitFor();
      assert.equal(await page.getByText("What its ladder saved").count(), 0);
    },
  );

  await context.test("the address of a question is the question, and its file has the sums of the ledger", async () => {
    await visit(page, "/usage", "Usage");
    await page.getByLabel("By", { exact: true }).selectOption("model");
    await page.getByLabel("Time").selectOption("90d");
    await page.getByRole("button", { name: "Tokens", exact: true }).click();
    await page.waitForURL(/by=.*model.*/);
    await page.getByRole("link", { name: "gpt-4o-mini" }).waitFor();
    const address = page.url();
    await picture(page, "usage");
    const other = await page.context().newPage();
    await other.goto(address);
    await other.getByRole("link", { name: "gpt-4o-mini" }).waitFor();
    assert.equal(await other.getByLabel("By", { exact: true }).inputValue(), "model");
    assert.equal(await other.getByRole("button", { name: "Tokens", exact: true }).getAttribute("aria-pressed"), "true");
    const [download] = await Promise.all([other.waitForEvent("download"), other.getByRole("link", { name: "Download CSV" }).click()]);
    const [header = "", ...rows] = readFileSync(await download.path(), "utf8")
      .trim()
      .split("\n");
    const place = header.split(",").indexOf("cost_dollars");
    const inFile = rows.reduce((sum, row) => sum + BigInt((row.split(",")[place] ?? "").replace(".", "")), 0n);
    const since = new Date(Date.now() - 89 * 86_400_000).toISOString().slice(0, 10);
    const { data } = await ask(scene, `/api/report?since=${since}`);
    assert.equal(inFile, BigInt(data[0].cost_nanodollars));
    await other.close();
  });

  await context.test("a day on which nothing was used is in the chart too", async () => {
    const days = page.getByRole("table", { name: "Use over time" }).getByRole("row");
    await call(scene, secret, { "x-purser-user": "cleo" });
    await visit(page, "/usage?by=user&since=30d&filter=user%3Dcleo", "Usage");
    await page.getByRole("link", { name: "cleo" }).waitFor();
    await days.nth(30).waitFor({ state: "attached" });
    assert.equal(await days.count(), 1 + 30);
    await visit(page, "/usage?by=user&since=24h&filter=user%3Dcleo", "Usage");
    await page.getByRole("link", { name: "cleo" }).waitFor();
    await days.nth(24).waitFor({ state: "attached" });
    assert.equal(await days.count(), 1 + 24);
  });

  await context.test("a name that a spreadsheet would take for a formula is a text in the file", async () => {
    await call(scene, secret, { "x-purser-user": "=1+1" });
    await visit(page, "/usage?by=user&since=24h", "Usage");
    await page.getByRole("link", { name: "=1+1" }).waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download CSV" }).click()]);
    assert.match(readFileSync(await download.path(), "utf8"), /,'=1\+1,/);
  });

  await context.test("what another limit would have done", async () => {
    await visit(page, "/budgets/company", "company");
    await page.getByLabel(/^Instead of/).fill("$1");
    await page.getByLabel("Looking back").selectOption("31");
    await page.getByRole("button", { name: "Look" }).click();
    await page.getByText(/It would have refused \d/).waitFor();
    await page.getByLabel(/^Instead of/).fill("$100000");
    await page.getByRole("button", { name: "Look" }).click();
    await page.getByText("It would have refused none").waitFor();
  });

  await context.test("more is given, taken back, and a budget begins again", async () => {
    await visit(page, "/budgets/chatbot", "chatbot");
    await page.getByRole("button", { name: "Give more" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("How much more").fill("25");
    await dialog.getByLabel("Why").fill("the launch");
    await dialog.getByRole("button", { name: "Give" }).click();
    await page.getByText("the launch").waitFor();
    const [grant] = (await ask(scene, "/api/grants?budget=chatbot")).data;
    assert.deepEqual([grant.amount, grant.why], [25_000_000_000, "the launch"]);
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByText("Nothing is given on top").waitFor();
    await page.getByRole("button", { name: "Reset" }).click();
    await dialog.getByLabel("Why").fill("a loop of ours");
    await dialog.getByRole("button", { name: "Reset" }).click();
    await dialog.waitFor({ state: "hidden" });
    const balances = (await ask(scene, "/api/budgets?budget=chatbot")).data;
    assert.ok(balances.every(({ spent }: Json) => spent === 0));
  });

  await context.test("a limit is changed in the file, holds at once, and nothing else of the file is another", async () => {
    const file = join(scene.directory, "purser.yaml");
    const before = readFileSync(file, "utf8");
    const limitsOf = async () =>
      (await ask(scene, "/api/budget-tree")).data.find(({ name }: Json) => name === "chatbot").limits.map(({ text }: Json) => text);
    const [old = ""] = (await limitsOf()) as string[];
    await visit(page, "/budgets/chatbot", "chatbot");
    await page.getByRole("button", { name: "Change limit" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("New amount").fill("4321");
    await dialog.getByLabel("Why").fill("the launch");
    await dialog.getByRole("button", { name: "Change" }).click();
    await dialog.waitFor({ state: "hidden", timeout: 15_000 });
    assert.equal((await limitsOf())[0], "$4,321.00 / month");
    await page.getByText("$4,321.00").first().waitFor();
    const lines = readFileSync(file, "utf8").split("\n");
    const changed = lines.filter((line, i) => line !== before.split("\n")[i]);
    assert.deepEqual([lines.length, changed.length], [before.split("\n").length, 1], `${old} was to be another amount`);
    assert.match(changed[0] ?? "", /"\$4321 \/ month"/);
  });

  await context.test("a budget is made in lines that are read back, changed with the rest of it kept, and taken out", async () => {
    const file = join(scene.directory, "purser.yaml");
    const before = readFileSync(file, "utf8");
    const dialog = page.getByRole("dialog");
    await visit(page, "/budgets", "Budgets");
    await page.getByRole("button", { name: "New budget" }).click();
    await dialog.getByLabel("Name").fill("campaign");
    await dialog.getByLabel("For whom").fill("team=support\nfeature=campaign|launch*");
    await dialog.getByLabel("Limits").fill("$5 / month\n$5 / fortnight");
    await dialog.getByText('"fortnight" is not a window').waitFor();
    assert.equal(await dialog.getByLabel("Limits").getAttribute("aria-invalid"), "true");
    await dialog.getByLabel("Limits").fill("$5 / month\n1k requests / day");
    await dialog.getByLabel("Each").fill("user");
    await dialog.getByLabel("Ladder").fill("80%: use gpt-4o-mini\n90%: shorten 300\n90%: slow");
    await dialog.getByText(/feature campaign or launch\* may use \$5\.00 a month and 1,000 requests a day, each user apart/).waitFor();
    await picture(page, "budget-new");
    await dialog.getByLabel("Why").fill("the launch");
    await dialog.getByRole("button", { name: "Make the budget" }).click();
    await page.getByRole("heading", { level: 1, name: "campaign" }).waitFor();
    const made = `  - name: campaign
    for:
      team: support
      feature: [campaign, launch*]
    per: [user]
    limits: [$5 / month, 1k requests / day]
    ladder:
      80%: use gpt-4o-mini
      90%: [shorten 300, slow]
`;
    const text = readFileSync(file, "utf8");
    assert.equal(text.replace(made, ""), before, text);

    // What the form does not show is kept, and so is what somebody wrote beside it.
    writeFileSync(file, text.replace("    per: [user]\n", "    per: [user]\n    min_output: 64   # short will do\n"));
    await page.getByRole("button", { name: "Edit" }).click();
    await dialog.getByText("kept too: min_output").waitFor();
    await dialog.getByLabel("Limits").fill("$6 / month\n1k requests / day");
    await dialog.getByText(/may use \$6\.00 a month/).waitFor();
    await dialog.getByLabel("Mode").selectOption("observe");
    await dialog.getByText("It only observes").waitFor();
    await dialog.getByLabel("Why").fill("to see first");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "hidden", timeout: 15_000 });
    await page
      .getByText(/may use \$6\.00 a month/)
      .first()
      .waitFor();
    const changed = readFileSync(file, "utf8");
    assert.match(changed, /limits: \[\$6 \/ month, 1k requests \/ day\]/);
    assert.match(changed, / {4}min_output: 64 {3}# short will do\n/);
    assert.match(changed, / {6}90%: \[shorten 300, slow\]\n {4}mode: observe\n/);

    await page.getByRole("button", { name: "Remove" }).click();
    await dialog.getByText("stays in the ledger").waitFor();
    await dialog.getByLabel("Why").fill("over");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { level: 1, name: "Budgets" }).waitFor();
    await page.getByRole("link", { name: "chatbot" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "campaign", exact: true }).count(), 0);
    assert.equal(readFileSync(file, "utf8"), before);
    const { data } = await ask(scene, "/api/audit");
    const whys = data.flatMap(({ what, details }: Json) => (/budgets/.test(what) && details.body?.why ? [details.body.why] : []));
    assert.deepEqual(whys.slice(0, 3), ["over", "to see first", "the launch"]);
  });

  await context.test("what is switched off is refused, until it is switched on", async () => {
    await visit(page, "/budgets/chatbot", "chatbot");
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByRole("dialog").getByLabel("Why").fill("it swears");
    await page.getByRole("dialog").getByRole("button", { name: "Switch off" }).click();
    await page.getByText("it swears").waitFor();
    const refused = await call(scene, secret, { "x-purser-feature": "chatbot" });
    assert.match(await refused.text(), /it swears/);
    await page.getByRole("button", { name: "Switch on" }).click();
    await page.getByText("it swears").waitFor({ state: "hidden" });
    assert.equal((await call(scene, secret, { "x-purser-feature": "chatbot" })).status, 200);
  });

  await context.test("a channel is tested, and the delivery stands in the log", async () => {
    await visit(page, "/alerts", "Alerts");
    const before = scene.posted.length;
    await page.getByRole("button", { name: "Test finance" }).click();
    await page.getByText("The test was delivered.").waitFor();
    assert.ok(scene.posted.length > before);
    await page.getByRole("cell", { name: "delivered" }).first().waitFor();
  });

  await context.test("an alert is put off, and acknowledged, and both are seen", async () => {
    const [{ id, title }] = (await ask(scene, "/api/alerts?state=open")).data;
    await visit(page, "/alerts", "Alerts");
    const row = page
      .getByRole("listitem")
      .filter({ has: page.getByRole("button", { name: `Acknowledge: ${title}` }) })
      .first();
    await row.getByRole("button", { name: /^Snooze a day/ }).click();
    await row.getByText("Snoozed by the owner until").waitFor();
    assert.equal((await ask(scene, "/api/alerts?state=snoozed")).data[0].id, id);
    await row.getByRole("button", { name: /^Acknowledge/ }).click();
    await page.getByText("Acknowledged by the owner").waitFor();
    const [acknowledged] = (await ask(scene, "/api/alerts?state=acknowledged")).data;
    assert.deepEqual([acknowledged.id, acknowledged.by], [id, "the owner"]);
  });

  await context.test("a guard that stands against a loop is seen, and lets go", async () => {
    const looping = { "x-purser-feature": "looping" };
    const budget = "{ name: loops, for: { feature: looping }, limits: [$100 / day], guard: { repeats: 2, lasts: 1 h } }";
    appendFileSync(join(scene.directory, "purser.yaml"), `  - ${budget}\n`);
    await eventually(
      "the guard",
      async () => (await ask(scene, "/api/budget-tree")).data.some(({ name }: Json) => name === "loops") || undefined,
    );
    assert.deepEqual([(await call(scene, secret, looping)).status, (await call(scene, secret, looping)).status], [200, 402]);
    await visit(page, "/alerts", "Alerts");
    await page.getByText("This call came 2 times within ten minutes").waitFor();
    await page.getByRole("button", { name: "Let go: loops repeats" }).click();
    await page.getByText("Nothing runs in a loop.").waitFor();
    assert.equal((await call(scene, secret, looping)).status, 200);
  });

  await context.test("who asks for more is answered, and the call goes on", async () => {
    // The first two fill the budget, the third asks.
    for (let i = 0; i < 2; i++) await call(scene, secret, { "x-purser-feature": "campaign-texts" });
    const waiting = call(scene, secret, { "x-purser-feature": "campaign-texts" });
    await visit(page, "/requests", "Requests for more");
    await page.getByText("campaign texts").waitFor();
    await page.getByRole("button", { name: "Give" }).click();
    assert.equal((await waiting).status, 200);
    await page.getByText("Nobody asks for more.").waitFor();
  });

  await context.test("a conversation that is handed over is read, taken, answered and given back, and moves by itself", async () => {
    const budget = "{ name: desk, for: { feature: desk }, per: user, limits: [1 requests / day], ladder: { 100%: hand over keep 2d } }";
    appendFileSync(join(scene.directory, "purser.yaml"), `  - ${budget}\n`);
    await eventually(
      "the desk",
      async () => (await ask(scene, "/api/budget-tree")).data.some(({ name }: Json) => name === "desk") || undefined,
    );
    const chat = async (user: string) => {
      const json: Json = await (await call(scene, secret, { "x-purser-feature": "desk", "x-purser-user": user })).json();
      return json.choices[0].message.content;
    };
    for (const user of ["nora", "nora", "otto", "otto"]) await chat(user);
    await visit(page, "/conversations", "Handovers");
    const row = page.getByRole("listitem").filter({ hasText: "nora" });
    await row.getByText("with nobody").waitFor();
    await row.getByRole("link", { name: "nora" }).click();
    await page.getByRole("heading", { level: 1, name: "nora" }).waitFor();
    const log = page.getByRole("log", { name: "What was said" });
    await log.getByText("What is a purser?").waitFor();
    await page.getByRole("button", { name: "Take" }).click();
    await page.getByText("with the owner").waitFor();
    await page.getByText("Given back now, its next call would be handed over anew").waitFor();
    const [otto] = (await ask(scene, "/api/handovers")).data.filter(({ subject }: Json) => subject.user === "otto");
    const answer = page.getByLabel("The answer to the next call");
    await answer.fill("Whoever keeps\nthe accounts of a ship.");
    await page.getByRole("button", { name: "Answer", exact: true }).click();
    await page.getByRole("status").getByText("Answered.").waitFor();
    await log.getByText("not read yet").waitFor();
    assert.equal(await answer.inputValue(), "");
    await picture(page, "handover");
    await answer.fill("And");
    const reads = async () => (await ask(scene, "/api/audit?limit=200")).data.filter(({ what }: Json) => what === "handover.read").length;
    const before = await reads();
    assert.equal(await chat("nora"), "Whoever keeps\nthe accounts of a ship.");
    await log.getByText("just now, read").waitFor({ timeout: 15_000 });
    assert.equal(await answer.inputValue(), "And", "what somebody writes stays while others do something");
    assert.ok((await reads()) - before <= 3, "it is read again when something has changed, not each time that it is looked for");
    await page.getByRole("button", { name: "Answer and give back" }).click();
    await page.getByText("given back", { exact: true }).waitFor();
    assert.equal(await answer.count(), 0);
    assert.equal(await chat("nora"), "And");
    assert.equal((await ask(scene, "/api/handovers")).data[0].id, otto.id);
  });

  await context.test("a key is made, shown once with what to paste, and revoked", async () => {
    await visit(page, "/keys", "Keys");
    await page.getByRole("button", { name: "New key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("newsletter");
    await dialog.getByLabel("Team").fill("growth");
    await dialog.getByRole("button", { name: "Make the key" }).click();
    const shown = (await page.getByLabel("The key", { exact: true }).textContent()) ?? "";
    assert.match(shown, /^pk-/);
    await page.getByRole("button", { name: "Claude Code" }).click();
    await page.getByText(`ANTHROPIC_AUTH_TOKEN=${shown}`).waitFor();
    assert.equal((await call(scene, shown)).status, 200);
    page.once("dialog", (confirmation) => void confirmation.accept());
    await page.getByRole("button", { name: "Revoke newsletter" }).click();
    await page.getByRole("button", { name: "Revoke newsletter" }).waitFor({ state: "detached" });
    assert.equal((await call(scene, shown)).status, 401);
  });

  await context.test("somebody is invited, signs in with the password that was made, gets another one, and is removed", async () => {
    await visit(page, "/people", "People");
    await page.getByText("Nobody signs in by name yet.").waitFor();
    await page.getByRole("button", { name: "Invite" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("rosa");
    await dialog.getByLabel("May").selectOption("member");
    await dialog.getByLabel("Team").fill("support");
    assert.deepEqual(await seriousFaults(page), []);
    await dialog.getByRole("button", { name: "Make a password" }).click();
    const shown = page.getByLabel("What to hand over", { exact: true });
    const passwordIn = async () => /Password {2}(\S+)/.exec((await shown.textContent()) ?? "")?.[1] ?? "";
    await shown.waitFor();
    const first = await passwordIn();
    const people = page.getByRole("region", { name: "People" });
    await people.getByText("user=rosa, team=support").waitFor();
    await page.getByRole("region", { name: "Who came" }).getByText("Invited somebody").first().waitFor();

    const own = await (await openContext(scene)).newPage();
    const signIn = async (password: string) => {
      await visit(own, "/me", "Sign in");
      await own.getByLabel("Name", { exact: true }).fill("rosa");
      await own.getByLabel("Password").fill(password);
      await own.getByRole("button", { name: "Sign in" }).click();
      await own.getByRole("heading", { level: 1, name: "My budget" }).waitFor();
    };
    await signIn(first);
    page.once("dialog", (confirmation) => void confirmation.accept());
    await page.getByRole("button", { name: "New password for rosa" }).click();
    await eventually("another password", async () => ((await passwordIn()) === first ? undefined : true));
    const second = await passwordIn();
    await signIn(second);
    await own.getByRole("button", { name: "Change password" }).click();
    const ownDialog = own.getByRole("dialog", { name: "Change your password" });
    const change = async (current: string, next: string, again = next) => {
      await ownDialog.getByLabel("Current password").fill(current);
      await ownDialog.getByLabel("New password", { exact: true }).fill(next);
      await ownDialog.getByLabel("New password again").fill(again);
      await ownDialog.getByRole("button", { name: "Change it" }).click();
    };
    await change(second, "eight bells and a wet deck", "eight bells and a wet dock");
    await ownDialog.getByText("typed in two ways").waitFor();
    await change(first, "eight bells and a wet deck");
    await ownDialog.getByText("This is not your current password.").waitFor();
    assert.deepEqual(await seriousFaults(own), []);
    await change(second, "eight bells and a wet deck");
    await ownDialog.getByText("Your password is changed.").waitFor();
    await ownDialog.getByRole("button", { name: "Done" }).click();
    await visit(own, "/me", "My budget");
    await visit(page, "/people", "People");
    await page.getByRole("region", { name: "Who came" }).getByText("Set another password").first().waitFor();
    await page.getByRole("region", { name: "Who came" }).getByText("Signed in").first().waitFor();
    assert.equal(await page.getByText(first).count(), 0, "a password is shown once");
    await picture(page, "people");
    page.once("dialog", (confirmation) => void confirmation.accept());
    await page.getByRole("button", { name: "Remove rosa" }).click();
    await page.getByText("Nobody signs in by name yet.").waitFor();
    await visit(own, "/me", "Sign in");
    await own.context().close();
  });

  await context.test("a session shows what its calls sent, and is switched off by itself", async () => {
    const { values, ...sums } = await dearestSession(scene);
    await visit(page, "/sessions?since=30d", "Sessions");
    await page.getByRole("link", { name: values.session }).click();
    await page.getByRole("heading", { level: 1, name: values.session }).waitFor();
    const lines = page.getByRole("main").locator("li");
    await lines.first().waitFor();
    assert.equal(await lines.count(), sums.calls + sums.refusals);
    assert.equal(
      dollars(await page.getByRole("main").getByText(/^\$/).first().textContent()),
      Number((sums.cost_nanodollars / 1e9).toFixed(2)),
    );
    await picture(page, "session");
    await page.getByRole("button", { name: "Switch off" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Why").fill("it loops");
    await dialog.getByRole("button", { name: "Switch off" }).click();
    await dialog.waitFor({ state: "hidden" });
    const { key, secret } = await scene.gateway.keys.create({ name: "agents", maySet: ["session"] });
    const refused = await call(scene, secret, { "x-purser-session": values.session });
    assert.equal(refused.ok, false);
    assert.match(await refused.text(), /it loops/);
    assert.equal((await call(scene, secret, { "x-purser-session": "another" })).status, 200);
    await scene.gateway.keys.revoke(key.id);
    const [{ id }] = (await ask(scene, "/api/switches")).data;
    await fetch(`${scene.url}/api/switches/${id}`, { method: "DELETE", headers: { authorization: `Bearer ${scene.token}` } });
  });

  await context.test("the settings say what the file says and no secret, and who did what", async () => {
    await visit(page, "/settings", "Settings");
    await page.getByText(join(scene.directory, "purser.yaml")).waitFor();
    await page.getByRole("region", { name: "Who did what" }).getByText("POST /api/switches").first().waitFor();
    for (const { apiKey } of readConfig({ file: join(scene.directory, "purser.yaml"), environment: {} }).providers)
      assert.ok(apiKey === undefined || !(await page.content()).includes(apiKey));
  });

  await context.test("prices are found by name", async () => {
    await visit(page, "/prices", "Prices");
    await page.getByLabel("Find a model").fill("claude-sonnet-4-6");
    await page.getByRole("region", { name: "Prices" }).getByText("claude-sonnet-4-6").first().waitFor();
  });

  await context.test("the holder of a key sees what is left of it, and nothing else", async () => {
    const own = await (await openContext(scene)).newPage();
    await own.goto(`/me#token=${secret}`);
    await own.getByRole("heading", { level: 1, name: "My budget" }).waitFor();
    await own.getByRole("heading", { name: "team support" }).waitFor();
    assert.deepEqual(await own.getByRole("navigation").getByRole("link").allTextContents(), ["My budget"]);
    await own.goto("/keys");
    await own.getByText("Your key shows what is yours").waitFor();
    assert.equal(await own.evaluate(async () => (await fetch("/api/keys")).status), 403);
    await own.context().close();
  });

  await context.test("a member sees its own calls and costs, and no others", async () => {
    const { key, secret: own } = await scene.gateway.keys.create({
      name: "mia",
      role: "member",
      attributes: { user: "mia", team: "support" },
    });
    assert.equal((await call(scene, own)).status, 200);
    const look = await (await openContext(scene)).newPage();
    await look.goto(`/me#token=${own}`);
    await look.getByRole("heading", { level: 1, name: "My budget" }).waitFor();
    assert.deepEqual(await look.getByRole("navigation").getByRole("link").allTextContents(), ["Calls", "Sessions", "Usage", "My budget"]);
    await visit(look, "/calls", "Calls");
    const lines = look.getByRole("main").getByRole("listitem");
    await lines.first().waitFor();
    assert.equal(await lines.count(), 1);
    await lines.first().getByRole("link").click();
    await look.getByText("Charged, rounded up once").waitFor();
    await visit(look, "/usage?by=user&since=24h", "Usage");
    await look.getByRole("link", { name: "mia" }).waitFor();
    const rows = look
      .getByRole("main")
      .locator("tbody tr")
      .filter({ has: look.getByRole("link") });
    assert.equal(await rows.count(), 1);
    await visit(look, "/sessions?since=30d", "Sessions");
    await look.getByText("No call named its session").waitFor();
    const others = (await dearestSession(scene)).values.session;
    await visit(look, `/sessions/session/${others}`, others);
    await look.getByText("No call of this session was found").waitFor();
    await look.goto("/budgets");
    await look.getByText("Your key shows what is yours").waitFor();
    await look.context().close();
    await scene.gateway.keys.revoke(key.id);
  });

  await context.test("a viewer sees every screen, and no button that changes anything", async () => {
    const { secret: viewing } = await scene.gateway.keys.create({ name: "vic", role: "viewer" });
    await scene.gateway.budgets.grant({
      id: "grant_viewed",
      budget: "chatbot",
      amount: "$1 / month",
      giver: "kim",
      why: "something to revoke",
      until: new Date(Date.now() + 3_600_000).toISOString(),
    });
    const look = await (await openContext(scene)).newPage();
    await look.goto(`/#token=${viewing}`);
    await look.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await look.getByText("Live", { exact: true }).waitFor();
    const links = "[...document.querySelectorAll('nav a')].map(({ pathname }) => pathname)";
    const places = (await look.evaluate(links)) as string[];
    assert.equal(places.length, 13);
    const { id } = (await ask(scene, "/api/requests?limit=1")).data[0];
    for (const path of [...places, "/budgets/chatbot", `/calls/${id}`]) {
      await look.goto(path);
      await look.getByRole("heading", { level: 1 }).waitFor();
      await look.getByRole("status", { name: "Loading" }).first().waitFor({ state: "detached" });
      assert.equal(await look.getByRole("alert").count(), 0, `${path} says that something is wrong`);
      for (const name of CHANGES) assert.equal(await look.getByRole("button", { name }).count(), 0, `${path} has a button "${name}"`);
    }
    await visit(look, "/conversations", "Handovers");
    await look.getByRole("listitem").filter({ hasText: "otto" }).waitFor();
    assert.equal(await look.getByRole("main").getByRole("link").count(), 0, "what was said is not for viewers");
    await visit(look, (await ask(scene, "/api/handovers")).data.map(({ id }: Json) => `/conversations/${id}`)[0], "Handover");
    await look.getByRole("alert").waitFor();
    assert.equal(await look.getByText("What is a purser?").count(), 0);
    await look.goto("/budgets/chatbot");
    await look.getByText("something to revoke").waitFor();
    assert.equal(await look.getByRole("button", { name: "Revoke" }).count(), 0);
    await look.context().close();
  });

  await context.test("all of it is reached with the keyboard", async () => {
    await visit(page, "/", "Overview");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.id"), "main");
    await page.getByRole("link", { name: "Prices" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Prices" }).waitFor();
    await visit(page, "/budgets/company", "company");
    await page.getByRole("button", { name: "Give more" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  });

  const { id } = (await ask(scene, "/api/requests?outcome=allowed&limit=1")).data[0];
  const conversation = `/conversations/${(await ask(scene, "/api/handovers")).data[0].id}`;
  const session = `/sessions/session/${(await dearestSession(scene)).values.session}`;
  const screens = [
    "/",
    "/budgets",
    "/budgets/company",
    "/budgets/each%20user",
    "/calls",
    `/calls/${id}`,
    "/sessions?since=30d",
    session,
    "/usage",
    "/alerts",
    "/requests",
    "/conversations",
    conversation,
    "/keys",
    "/people",
    "/prices",
    "/settings",
    "/me",
    "/?time=minutes&by=user",
    "/budgets/coding%20agent",
  ];
  for (const [name, options] of [
    ["light, wide", { colorScheme: "light" }],
    ["dark, on a phone", { colorScheme: "dark", viewport: PHONE }],
  ] as const) {
    await context.test(`no screen has a serious fault of accessibility or is too wide: ${name}`, async () => {
      const look = await signedIn(scene, options);
      for (const path of screens) {
        await look.goto(path, { waitUntil: "load" });
        await look.getByRole("heading", { level: 1 }).waitFor();
        await look.getByRole("status", { name: "Loading" }).first().waitFor({ state: "detached" });
        assert.deepEqual(await seriousFaults(look), [], `${path} ${name}`);
        const excess = Number(await look.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"));
        assert.ok(excess <= 0, `${path} is ${excess} pixels too wide ${name}`);
        if (path === "/" && name === "dark, on a phone") await picture(look, "phone");
      }
      for (const [path, button, lines] of [
        ["/budgets", "New budget", "$5 / fortnight"],
        ["/budgets/chatbot", "Edit", "1M tokens"],
        ["/budgets/chatbot", "Remove", undefined],
      ] as const) {
        await look.goto(path, { waitUntil: "load" });
        await look.getByRole("button", { name: button }).click();
        const dialog = look.getByRole("dialog");
        if (button === "New budget") await dialog.getByLabel("Name").fill("another");
        if (lines !== undefined) {
          await dialog.getByLabel("Limits").fill(lines);
          await dialog.getByText(/is not a window|has no window/).waitFor();
        } else await dialog.getByText("is taken out of").waitFor();
        assert.deepEqual(await seriousFaults(look), [], `${button} ${name}`);
        const excess = Number(
          await look.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('dialog[open]'))"),
        );
        assert.ok(excess <= 0, `${button} is ${excess} pixels too wide ${name}`);
      }
      await look.context().close();
    });
  }

  await context.test(
    "who has a name signs in by it, with the keyboard and on a phone, and by way of a provider of identities",
    async () => {
      const issuer = await startIssuer(context);
      const config = join(scene.directory, "purser.yaml");
      const written = readFileSync(config, "utf8");
      const oidc = `{ issuer: "${issuer.url}", client_id: ${CLIENT.id}, client_secret: "${CLIENT.secret}", label: Harbour, otherwise: member }`;
      const password = await hashPassword("seven seas and more", { log: 10, blocks: 8, times: 1 });
      await scene.gateway.reload(
        readConfig({
          file: config,
          text: `${written}\nlogin: { people: { vic: { role: viewer, password: "${password}" } }, oidc: ${oidc} }\n`,
          environment: {},
        }),
      );
      for (const [name, options] of [
        ["light", { colorScheme: "light" }],
        ["dark, on a phone", { colorScheme: "dark", viewport: PHONE }],
      ] as const) {
        const look = await (await openContext(scene, options)).newPage();
        await visit(look, "/budgets", "Sign in");
        assert.deepEqual(await seriousFaults(look), [], name);
        assert.ok(Number(await look.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")) <= 0);
        if (name === "light") await picture(look, "sign-in");
        const keys = ["Tab", "Tab", "Tab", "Tab", "vic", "Tab", "the wrong one", "Enter"];
        for (const key of keys) await (/^(Tab|Enter)$/.test(key) ? look.keyboard.press(key) : look.keyboard.type(key));
        await look.getByRole("alert").getByText("do not go together").waitFor();
        await look.getByLabel("Password").fill("seven seas and more");
        await look.keyboard.press("Enter");
        await look.getByRole("heading", { level: 1, name: "Budgets" }).waitFor();
        assert.equal(await look.getByRole("button", { name: "Give more" }).count(), 0);
        await look.context().close();
      }
      const look = await (await openContext(scene)).newPage();
      await visit(look, "/usage?by=model", "Sign in");
      await look.getByRole("button", { name: "Token or key" }).click();
      await look.getByLabel("Token or key").waitFor();
      issuer.visitor = { email: "ann@example.com" };
      await look.getByRole("link", { name: "Sign in with Harbour" }).click();
      await look.getByRole("button", { name: /Sign out/ }).waitFor();
      assert.equal(new URL(look.url()).pathname, "/usage");
      await look.context().close();
    },
  );

  await context.test("the browser complained about nothing", () => assert.deepEqual(scene.complaints, []));
});
