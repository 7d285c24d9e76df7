import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { writeRunning } from "../cli/running-gateway.ts";
import { readConfig } from "../config/read-config.ts";
import { type Json, PLAIN_CALL, post } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

test("what is left of what a provider gives away is seen before and after it is used, and a call that it paid for says so", async (context) => {
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 40 }));
  const allowance = "allowances: [{ name: daily gift, provider: mock, limit: 2000 tokens / day }]";
  const stand = await startStand(context, {
    config: `${providersAt(provider.url)}\n${PRICES}\n${allowance}\nbudgets: [{ name: all, limits: [$1 / day] }]`,
  });
  writeRunning(stand.directory, { pid: process.pid, url: stand.url });
  const purser = async (...words: readonly string[]) => {
    const args = [MAIN, ...words, "--data", stand.directory];
    return (await promisify(execFile)(process.execPath, args, { cwd: stand.directory, env: { ...process.env, NO_COLOR: "1" } })).stdout;
  };
  const left = async (): Promise<Json> => ((await (await fetch(`${stand.url}/api/allowances`)).json()) as Json).data;
  const named = { allowance: "daily gift", name: "daily gift", providers: ["mock"], models: ["*"], until: null };
  const gift = { ...named, unit: "tokens", window: "day", limit: 2000, held: 0 };
  const [{ resets_at, ...before }] = await left();
  assert.deepEqual(before, { ...gift, spent: 0, used: 0, left: 2000 });
  assert.match(resets_at, /T00:00:00.000Z$/);

  const free = (await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL)).headers.get("x-purser-request-id") ?? "";
  await stand.entries(1, "settled");
  const [{ resets_at: _, ...after }] = await left();
  assert.deepEqual(after, { ...gift, spent: 52, used: 52, left: 1948 });
  assert.match(await purser("allowances"), /^Allowance +Limit .*\ndaily gift +2,000 tokens \/ day +\S+ +3 % +52 +1,948 /);
  assert.equal(JSON.parse(await purser("allowances", "--json"))[0].left, 1948);
  assert.match(await purser("explain", free), /Free +by the allowance "daily gift"/);
  const metrics = await (await fetch(`${stand.url}/metrics`)).text();
  assert.match(metrics, /purser_allowance_left_tokens\{allowance="daily gift",window="day"\} 1948\n/);

  const priced = await post(`${stand.url}/v1/chat/completions`, { ...PLAIN_CALL, max_tokens: 1940 });
  const [, second] = await stand.entries(2, "settled");
  assert.equal(second?.charge.cost, 12 * NANODOLLARS.input + 40 * NANODOLLARS.output, "what does not fit whole is paid");
  const report: Json = await (await fetch(`${stand.url}/api/requests/${priced.headers.get("x-purser-request-id")}`)).json();
  assert.equal(report.allowance, null);
  await stand.checkBooks();
});

test("an allowance is shared by providers, told when it is nearly used, and pays no more once it ended", async (context) => {
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 40 }));
  const receiver = await startReceiver(context);
  const address = `{ base_url: { openai: "${provider.url}/v1" }, api_key: secret, models: [MODEL*] }`;
  const file = (until: string) =>
    [
      `providers: { one: ${address.replace("MODEL", "one-")}, other: ${address.replace("MODEL", "other-")} }`,
      PRICES,
      `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`,
      "alerts: { allowance 5%: tell hook, ending 30d: tell hook }",
      `allowances: [{ name: gift, provider: [one, other], limit: 2000 tokens / day${until} }]`,
      "budgets: [{ name: all, limits: [$1 / day] }]",
    ].join("\n");
  const stand = await startStand(context, { config: file("") });
  const call = (model: string) => post(`${stand.url}/v1/chat/completions`, { ...PLAIN_CALL, model });
  const left = async (): Promise<Json> => ((await (await fetch(`${stand.url}/api/allowances`)).json()) as Json).data[0];
  await call("one-large");
  await call("other-large");
  await stand.entries(2, "settled");
  const { providers, used, left: rest, until } = await left();
  assert.deepEqual([providers, used, rest, until], [["one", "other"], 104, 1896, null]);

  const reload = (text: string) =>
    stand.gateway.reload(readConfig({ text: `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${text}\n`, environment: {} }));
  const inTenDays = new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10);
  await reload(file(`, until: ${inTenDays}`));
  const told = await eventually("both notices", () => (receiver.posted.length >= 2 ? receiver.posted : undefined), 20_000);
  const types = told.map(({ body }) => body.type).sort();
  assert.deepEqual(types, ["agreement.ending", "allowance.used"]);
  const { title, text } = told.find(({ body }) => body.type === "allowance.used")?.body.data ?? {};
  assert.equal(title, 'Allowance "gift" is 5% used');
  assert.match(text, /^104 tokens of 2,000 tokens that are given away are used \(5%\)\. It resets/);
  assert.equal((await left()).until.slice(0, 10), new Date(Date.now() + 11 * 86_400_000).toISOString().slice(0, 10));

  await reload(file(", until: 2026-01-31"));
  assert.equal((await left()).left, 0);
  await call("one-large");
  const [, , last] = await stand.entries(3, "settled");
  assert.equal(last?.charge.cost, 12 * NANODOLLARS.input + 40 * NANODOLLARS.output);
  writeRunning(stand.directory, { pid: process.pid, url: stand.url });
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "allowances", "--data", stand.directory], { cwd: stand.directory });
  assert.match(stdout, /Ends\ngift .* over\n/);
  await stand.checkBooks();
});

test("where nothing is given away, that is said with what to write", async (context) => {
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 40 }));
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}` });
  writeRunning(stand.directory, { pid: process.pid, url: stand.url });
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "allowances", "--data", stand.directory], { cwd: stand.directory });
  assert.match(stdout, /no allowances\. What a provider gives away stands under allowances: in purser.yaml/);
});

test("what is told as soon as a gateway starts has a link to it", async (context) => {
  const receiver = await startReceiver(context);
  const until = new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10);
  const file = [
    providersAt("http://127.0.0.1:9"),
    `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`,
    "alerts: { ending 30d: tell hook }",
    `allowances: [{ name: gift, provider: mock, limit: 2000 tokens / day, until: ${until} }]`,
  ].join("\n");
  const stand = await startStand(context, { config: file });
  const notice = await eventually("the notice", () => receiver.posted[0], 20_000);
  assert.equal(notice.body.type, "agreement.ending");
  assert.ok(notice.body.data.link.startsWith(`${stand.url}/acknowledge?token=`), notice.body.data.link);
});
