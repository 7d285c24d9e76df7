import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { loadEncoding } from "@purser/core/tokens";
import { writeRunning } from "../cli/running-gateway.ts";
import { type Json, PLAIN_CALL, post, readAnswer } from "./calls.ts";
import { attemptsOf, CHAT, COST_AT_TWO, cut, held, PRICED, refuse, startFleet, summary } from "./fleet.ts";
import { answerChat } from "./raw-provider.ts";
import { eventually, highWater } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const CALL = { ...PLAIN_CALL, model: "list-1" };

before(() => loadEncoding("o200k"));

test("200 calls that fail over at once against a budget for fewer never hold and spend more than it has", async (context) => {
  // 60 first attempts have room at once; their failures are charged at their estimates.
  const limit = 100_000_000;
  const budgets =
    "[{ name: small, limits: [$0.10, 3k tokens, 150 requests, 40 concurrent] }, { name: two, for: { provider: two }, limits: [$0.001] }]";
  const fleet = await startFleet(context, { budgets });
  const { stand, one, two } = fleet;
  let calls = 0;
  one.answer = (response, received) => (++calls % 3 === 0 ? cut : calls % 3 === 1 ? refuse(500) : refuse(504))(response, received);
  two.answer = answerChat();
  const statuses = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => (await post(stand.url + CHAT, { ...CALL, model: `list-${i}` })).status),
  );
  await stand.checkBooks();
  assert.ok(statuses.filter((status) => status === 200).length > 0, "some are answered by the second provider");
  assert.ok(statuses.filter((status) => status !== 200).length > 0, "and not all have room");
  const ledger = await stand.ledger();
  const most = highWater(ledger);
  for (const { budget, unit, limit: allowed, held: holds, spent } of await stand.gateway.budgets.balances()) {
    const [key] = [...most.keys()].filter((one) => one.startsWith(`${budget}|${unit}`));
    assert.ok((most.get(key ?? "") ?? 0) <= allowed, `${budget} ${unit}: ${most.get(key ?? "")} of ${allowed}`);
    assert.equal(holds, 0);
    assert.ok(spent <= allowed);
  }
  assert.equal(
    (await stand.gateway.budgets.balances()).find(({ budget, unit }) => budget === "small" && unit === "nanodollars")?.limit,
    limit,
  );
  const reservations = ledger.filter(({ kind }) => kind === "reserved").map(({ reservation }) => reservation);
  const ends = ledger.filter(({ kind }) => kind === "settled" || kind === "released").map(({ reservation }) => reservation);
  assert.equal(new Set(reservations).size, reservations.length);
  assert.deepEqual(ends.toSorted(), reservations.toSorted(), "each attempt ends once");
  assert.ok(reservations.some((id) => id.endsWith(".2")));
});

test("the budgets of the next provider are asked anew", async (context) => {
  const budgets = `[{ name: all, limits: [$10], mode: observe }, { name: two, for: { provider: two }, limits: [1 request] },
    { name: seen, limits: [1 token], mode: observe }]`;
  const fleet = await startFleet(context, { budgets });
  const { stand, one, two } = fleet;
  const { url } = stand;
  one.answer = refuse(500, { "x-request-id": "upstream-1" });
  two.answer = answerChat();

  await context.test("and charged for what it charges", async () => {
    const answered = await post(url + CHAT, CALL);
    assert.equal(answered.status, 200);
    const balances = await stand.gateway.budgets.balances({ budget: "two" });
    assert.equal(balances[0]?.spent, 1);
    const [, second] = await attemptsOf(fleet, answered);
    const detail = second?.map((entry) => "detail" in entry && entry.detail).find((found) => found);
    assert.deepEqual((detail || undefined)?.wouldRefuse, ["seen"], "what only observes refuses nothing");
  });

  await context.test(
    "where they refuse it, the client gets the failure that was there before, and the ledger says why it stopped there",
    async () => {
      const answered = await post(url + CHAT, { ...CALL, model: "list-2" });
      assert.deepEqual([answered.status, answered.json.error.message], [500, "refused with 500"]);
      assert.equal(answered.headers.get("x-request-id"), "upstream-1");
      const attempts = await attemptsOf(fleet, answered);
      assert.deepEqual(
        attempts.map(summary).map(({ provider, end }) => [provider, end]),
        [
          ["one", "released: the provider answered 500"],
          ["two", "denied"],
        ],
      );
    },
  );

  await context.test("and the next one but one is asked, where those of the next refuse", async () => {
    const answered = await post(url + CHAT, { ...CALL, model: "three-1" });
    const attempts = (await attemptsOf(fleet, answered)).map(summary);
    assert.deepEqual(
      attempts.slice(0, 3).map(({ provider }) => provider),
      ["one", "two", "gone"],
    );
    assert.match(attempts[2]?.tried?.[1] ?? "", /^two was not asked: Budget "two"/);
  });
});

test("every attempt is explained", async (context) => {
  const fleet = await startFleet(context);
  const { stand, one, two } = fleet;
  one.answer = cut;
  two.answer = answerChat();
  const answered = await post(stand.url + CHAT, CALL, { "x-purser-user": "ann" });
  const [first] = await attemptsOf(fleet, answered);
  const id = answered.headers.get("x-purser-request-id");
  const ask = async (path: string): Promise<Json> => (await readAnswer(await fetch(`${stand.url}${path}`))).json;
  const report = await ask(`/api/requests/${id}`);
  const { attempts } = report;
  assert.deepEqual(
    attempts.map(({ id: one, provider, outcome, certainty, cost_nanodollars }: Json) => [
      one,
      provider,
      outcome,
      certainty,
      cost_nanodollars,
    ]),
    [
      [id, "one", "settled", "unconfirmed", held(first ?? [])],
      [`${id}.2`, "two", "settled", "confirmed", COST_AT_TWO],
    ],
  );
  assert.match(attempts[0].end, /^broke off: /);
  const second = await ask(`/api/requests/${id}.2`);
  assert.deepEqual(second.attempts, attempts);
  assert.match(second.tried[0], /^one broke off: /);
  assert.equal(second.arithmetic.length, 2, "by the price of the provider that answered");
  writeRunning(stand.directory, { url: stand.url, pid: process.pid });
  const env = { ...process.env, PURSER_DATA: stand.directory };
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "explain", id ?? ""], { env, cwd: stand.directory });
  assert.match(stdout, /^Attempts\n.*\n *req_\S+ +one +broke off: .* unconfirmed\n *req_\S+\.2 +two +answered .*\n *together .*\$/m);
  two.answer = refuse(400);
  one.answer = answerChat();
  const alone = await post(stand.url + CHAT, { ...CALL, model: "list-3" });
  assert.deepEqual((await ask(`/api/requests/${alone.headers.get("x-purser-request-id")}`)).attempts, []);
});

test("a caller's own key goes to the provider that it is for, and to no other", async (context) => {
  const { stand, one, two } = await startFleet(context, { hasKey: false });
  one.answer = refuse(500);
  two.answer = answerChat();
  const answered = await post(stand.url + CHAT, CALL, { authorization: "Bearer sk-callers-own" });
  assert.equal(answered.status, 200);
  assert.equal(one.received.at(-1)?.headers.authorization, "Bearer sk-callers-own");
  assert.equal(two.received.at(-1)?.headers.authorization, undefined);
  assert.doesNotMatch(JSON.stringify(two.received), /sk-callers-own/);
});

test("a provider that is switched off is passed over", async (context) => {
  const fleet = await startFleet(context);
  const { stand, one, two } = fleet;
  one.answer = answerChat();
  two.answer = answerChat();
  await post(`${stand.url}/api/switches`, { for: { provider: "one" }, why: "it is being mended" });
  const answered = await post(stand.url + CHAT, CALL);
  assert.deepEqual([answered.status, one.received.length, two.received.length], [200, 0, 1]);
  assert.deepEqual((await attemptsOf(fleet, answered)).map(summary)[0]?.tried, ["one was left out: it is switched off"]);
  await post(`${stand.url}/api/switches`, { for: { provider: "two" }, why: "and that one too" });
  const refused = await post(stand.url + CHAT, CALL);
  assert.deepEqual([refused.status, refused.json.error.budget?.reason ?? refused.json.error.code], [402, "switched_off"]);
});

test("what ladders did to a call goes with it, and another model has a list of its own", async (context) => {
  const messages = Array.from({ length: 20 }, (_, i) => ({
    role: i % 2 === 0 ? "user" : "assistant",
    content: `${i} bottles of rum. `.repeat(20),
  }));
  const budgets = `[{ name: all, limits: [$10], ladder: { 0%: ["use named-model", trim 400, shorten 300, cache] } }]`;
  const fleet = await startFleet(context, { budgets });
  const { stand, one, two } = fleet;
  one.answer = refuse(503);
  two.answer = answerChat();
  // The other model is cheaper than the one that is asked for, which is served by the dearest.
  const asked = { model: "gone-dear", max_tokens: 500, messages: [...messages, { role: "user", content: "Ahoy" }] };
  const answered = await post(stand.url + CHAT, asked);
  assert.equal(answered.status, 200, answered.text);
  const sent = JSON.parse(two.received.at(-1)?.body ?? "{}");
  assert.equal(sent.model, "maker/named-model");
  assert.equal(sent.max_tokens, 300);
  assert.ok(sent.messages.length < messages.length);
  const attempts = (await attemptsOf(fleet, answered)).map(summary);
  assert.deepEqual(
    attempts.map(({ provider, model }) => [provider, model]),
    [
      ["one", "named-model"],
      ["two", "named-model"],
    ],
  );
  const rungs = answered.headers.get("x-purser-rung") ?? "";
  assert.equal(rungs.match(/trim/g)?.length, 1, rungs);
  one.answer = answerChat();
  const before = two.received.length;
  const again = await post(stand.url + CHAT, asked);
  assert.equal(again.headers.get("x-purser-rung"), "cache 60m (all 0%)", "the answer of the second provider is the answer");
  assert.equal(two.received.length, before);
});

test("a call that names no cap is held for what its next provider can write, whatever the one before could", async (context) => {
  const call = { model: "brief-model", messages: [{ role: "user", content: "Ahoy" }] };
  for (const { budgets, sent } of [
    { budgets: "[]", sent: undefined },
    { budgets: "[{ name: all, limits: [$10] }]", sent: 8192 },
    { budgets: "[{ name: one, for: { provider: one }, limits: [$10], ladder: { 0%: shorten 300 } }]", sent: 300 },
  ]) {
    await context.test(`with budgets: ${budgets}`, async (inner) => {
      const fleet = await startFleet(inner, { budgets });
      fleet.one.answer = refuse(503);
      fleet.two.answer = cut;
      await post(fleet.stand.url + CHAT, call);
      await fleet.stand.checkBooks();
      const [end] = (await fleet.stand.ledger()).filter(({ kind, reservation }) => kind === "settled" && reservation.endsWith(".2"));
      assert.equal(end?.kind === "settled" && end.charge.certainty, "unconfirmed");
      assert.equal(end?.kind === "settled" && end.charge.usage.outputTokens, sent ?? 8192);
      assert.equal(JSON.parse(fleet.two.received.at(-1)?.body ?? "{}").max_tokens, sent);
    });
  }
});

test("a call that waited for its budget goes on as well when it is made", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: Date.UTC(2026, 10, 20, 12) });
  const budgets = "[{ name: daily, limits: [1 request / day], ladder: { 100%: queue } }]";
  const { stand, one, two } = await startFleet(context, { budgets });
  one.answer = answerChat();
  two.answer = answerChat();
  assert.equal((await post(stand.url + CHAT, CALL)).status, 200);
  const waiting = await post(stand.url + CHAT, CALL, { prefer: "respond-async" });
  assert.equal(waiting.status, 202, waiting.text);
  one.answer = refuse(503);
  context.mock.timers.setTime(Date.UTC(2026, 10, 21));
  const done = await eventually("the queued call to end", async () => {
    const answered = await readAnswer(await fetch(`${stand.url}/queue/${waiting.json.id}`));
    return answered.status === 202 ? undefined : answered;
  });
  assert.deepEqual([done.status, two.received.length], [200, 1]);
  const settled = (await stand.entries(2, "settled")).at(-1);
  assert.equal(settled?.charge.cost, 12 * PRICED.two.input + 5 * PRICED.two.output);
  assert.match(settled?.reservation ?? "", /\.2$/);
});
