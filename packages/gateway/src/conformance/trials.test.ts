import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { startGateway } from "../app.ts";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import { readConfig } from "../config/read-config.ts";
import { type Json, post, readAnswer } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };
const DAY_MS = 86_400_000;
/** The end of 15 December in Berlin. */
const END = Date.UTC(2026, 11, 15, 23);
const UNTIL = "2026-12-15T23:00:00.000Z";
const TRIAL = "{ name: trial, owner: kim@example.com, limits: [150 tokens / month], mode: observe until 2026-12-15 }";

interface SceneOptions {
  readonly now: number;
  readonly budgets?: string;
  readonly more?: string;
}

async function startScene(context: TestContext, { now, budgets = `[${TRIAL}]`, more = "" }: SceneOptions) {
  context.mock.timers.enable({ apis: ["Date"], now });
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 100 }));
  const config = `${providersAt(provider.url)}\n${PRICES}\ntimezone: Europe/Berlin\nbudgets: ${budgets}\n${more}`;
  const stand = await startStand(context, { config, store: "sqlite" });
  await writeFile(join(stand.directory, "purser.yaml"), config);
  const cwd = stand.directory;
  return {
    stand,
    config: `server: { port: 0 }\ndata: ${JSON.stringify(cwd)}\n${config}\n`,
    call: (who: Record<string, string> = {}, url = stand.url) => post(`${url}/v1/chat/completions`, CALL, who),
    get: async (path: string) => (await readAnswer(await fetch(stand.url + path))).json as Json,
    moveTo: (time: number) => context.mock.timers.setTime(time),
    purser: (...args: readonly string[]) => {
      const io = { cwd, env: {}, style: styleFor({}, {}), now: Date.now, print: () => undefined, say: () => undefined };
      return runCommandLine(args[0] === "check" ? args : [...args, "--data", cwd], io);
    },
  };
}

describe("a trial with an end", () => {
  test("refuses nothing before it, and from that instant on whatever finds no room beside what was used", async (context) => {
    const { stand, call, get, moveTo } = await startScene(context, { now: END - 5 * DAY_MS });
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 200);
    moveTo(END - 1);
    assert.equal((await call()).status, 200);
    await stand.entries(3, "settled");
    const [before] = (await get("/budget")).data;
    assert.deepEqual([before.spent, before.observes_until], [336, UNTIL]);
    moveTo(END);
    const refused = await call();
    assert.equal(refused.status, 402);
    assert.match(refused.text, /Budget \\"trial\\"/);
    const [after] = (await get("/budget")).data;
    assert.deepEqual([after.spent, "observes_until" in after], [336, false]);
    await stand.checkBooks();
  });

  test("is not begun anew by a restart, and ends while nobody runs", async (context) => {
    const { stand, config, call, moveTo } = await startScene(context, { now: END - DAY_MS });
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 200);
    await stand.entries(2, "settled");
    await stand.gateway.close();
    moveTo(END + 1);
    const again = await startGateway({ config: readConfig({ text: config, environment: {} }) });
    context.after(() => again.close());
    assert.equal((await call({}, again.url)).status, 402);
  });

  test("ends early, or later, when the file says so", async (context) => {
    const { stand, config, call } = await startScene(context, { now: END - 5 * DAY_MS });
    const statuses: number[] = [];
    for (const mode of ["observe until 2026-12-15", "enforce", "observe until 2026-12-11", "observe until 2026-12-09"]) {
      await stand.gateway.reload(readConfig({ text: config.replace("observe until 2026-12-15", mode), environment: {} }));
      statuses.push((await call()).status, (await call()).status);
    }
    assert.deepEqual(statuses, [200, 200, 402, 402, 200, 200, 402, 402]);
  });

  test("of the whole file is that of every budget that says nothing itself", async (context) => {
    const budgets = "[{ name: a, limits: [1 request / year] }, { name: b, for: { team: ops }, limits: [1 request / year], mode: enforce }]";
    const { call, get, moveTo } = await startScene(context, { now: END - DAY_MS, budgets, more: "mode: observe until 2026-12-15" });
    const statuses = async () => [(await call()).status, (await call({ "x-purser-team": "ops" })).status];
    assert.deepEqual(
      [await statuses(), await statuses()],
      [
        [200, 200],
        [200, 402],
      ],
    );
    const tree = (await get("/api/budget-tree")).data;
    assert.deepEqual(
      tree.map((one: Json) => [one.name, one.mode, one.observes_until]),
      [
        ["a", "observe", UNTIL],
        ["b", "enforce", null],
      ],
    );
    moveTo(END);
    assert.deepEqual(await statuses(), [402, 402]);
    assert.deepEqual(
      [(await get("/api/budget-tree")).data[0].mode, (await get("/api/budget-tree")).data[0].observes_until],
      ["enforce", null],
    );
  });

  test("is reported: how many calls would have been refused, of whom, and until when", async (context) => {
    const budgets = `[${TRIAL}, { name: each, per: user, limits: [1 request / year], mode: observe }, { name: hard, limits: [$1000] }]`;
    const { stand, call, get, moveTo, purser } = await startScene(context, { now: END - 5 * DAY_MS, budgets });
    for (const user of ["ann", "ann", "bob", "ann"]) assert.equal((await call({ "x-purser-user": user })).status, 200);
    await stand.entries(4, "settled");
    const { data } = await get("/api/trials");
    const cost = 12 * 3_000 + 100 * 15_000;
    const ofAnn = (calls: number) => ({ whose: "user=ann", calls, cost_nanodollars: calls * cost });
    assert.deepEqual(
      data.map(({ needs: _, ...one }: Json) => one),
      [
        {
          budget: "trial",
          owner: "kim@example.com",
          mode: "observe",
          observes_until: UNTIL,
          ended_at: null,
          first_at: "2026-12-10T23:00:00.000Z",
          last_at: "2026-12-10T23:00:00.000Z",
          would_refuse_calls: 3,
          would_refuse_nanodollars: 3 * cost,
          whose: [ofAnn(2), { whose: "user=bob", calls: 1, cost_nanodollars: cost }],
          whose_total: 2,
        },
        {
          budget: "each",
          owner: "kim@example.com",
          mode: "observe",
          observes_until: null,
          ended_at: null,
          first_at: "2026-12-10T23:00:00.000Z",
          last_at: "2026-12-10T23:00:00.000Z",
          would_refuse_calls: 2,
          would_refuse_nanodollars: 2 * cost,
          whose: [ofAnn(2)],
          whose_total: 1,
        },
      ],
    );
    assert.match(data[0].needs[0].rests_on, /^of 7 whole days that it needs to see, it has seen 0$/);
    await stand.gateway.close();
    // Without a gateway the ledger itself is added up.
    const shown = (await purser("trials")).text;
    assert.match(shown, /^trial +2026-12-15 23:00 UTC \(in 5 days\) +3 +\$/m);
    assert.match(shown, /^each +never +2 /m);
    assert.match(shown, /^trial would have refused 2 of user=ann, 1 of user=bob\.$/m);
    assert.match((await purser("trials", "tril")).text, /No budget "tril" observes.*Did you mean "trial"/);
    assert.match(
      (await purser("budgets", "trial")).text,
      /^trial only observes and refuses nothing until 2026-12-15 23:00 UTC \(in 5 days\)/m,
    );
    assert.match((await purser("check")).text, /trial: .*It only observes and refuses nothing until 2026-12-16 00:00 Europe\/Berlin\./);
    moveTo(END);
    assert.match((await purser("trials")).text, /^trial +2026-12-15 23:00 UTC on +3 /m);
    assert.doesNotMatch((await purser("budgets", "trial")).text, /only observes/);
  });

  test("is told of before its end with what it would have refused, and when it is over, by whichever gateway runs then", async (context) => {
    const receiver = await startReceiver(context);
    const more = `channels: { hook: { kind: webhook, url: "${receiver.url}/in" } }\nalerts: { trial: tell hook }`;
    const { stand, config, call, moveTo } = await startScene(context, { now: END - 5 * DAY_MS, more });
    for (const user of ["ann", "ann", "bob"]) assert.equal((await call({ "x-purser-user": user })).status, 200);
    await stand.entries(3, "settled");
    const titles = () => receiver.posted.map(({ body }) => body.data.title);
    const told = (count: number) => eventually(`${count} notices`, () => receiver.posted.length >= count || undefined, 20_000);
    moveTo(END - 3 * DAY_MS);
    await told(1);
    await stand.gateway.close();
    const again = await startGateway({ config: readConfig({ text: config, environment: {} }) });
    context.after(() => again.close());
    moveTo(END);
    await told(2);
    const [soon, over] = receiver.posted.map(({ body }) => body.data);
    assert.deepEqual(titles(), [
      'Budget "trial" refuses calls from 2026-12-16 00:00 Europe/Berlin on',
      'The trial of budget "trial" is over: it refuses calls',
    ]);
    const so = /2 calls that cost \$0\.003072 would have been refused: 1 of user=ann, 1 of user=bob\./;
    assert.match(soon.text, /^Its trial ends in 3 days\. So far 2 calls/);
    assert.match(soon.text, so);
    assert.match(soon.text, /`purser recommend`/);
    assert.match(over.text, so);
    assert.deepEqual([soon.severity, over.severity, soon.would_refuse_calls, soon.is_over], ["warning", "info", 2, false]);
  });
});
