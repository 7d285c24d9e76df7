import assert from "node:assert/strict";
import { test } from "node:test";
import { JSON_HEADERS, PLAIN_CALL, post } from "./calls.ts";
import { startRawProvider } from "./raw-provider.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

test("a call that waits in a leaky bucket is sent when there is room, and not at all when its caller goes away", async (context) => {
  const provider = await startRawProvider(context);
  const budgets = '[{ name: leaky, limits: ["40 requests / minute leaky burst 1 wait 10m"] }]';
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  const call = `${stand.url}/v1/chat/completions`;
  assert.equal((await post(call, PLAIN_CALL)).status, 200);

  const leaving = new AbortController();
  const init = { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(PLAIN_CALL) };
  const gone = fetch(call, { ...init, signal: leaving.signal }).catch((error: unknown) => error);
  const waits = post(call, PLAIN_CALL);
  // The balance is asked for on the same server, so by then it has read both calls.
  await fetch(`${stand.url}/api/budgets`);
  leaving.abort(new Error("enough"));
  assert.match(String(await gone), /enough/);
  assert.equal((await waits).status, 200);
  assert.equal(provider.received.length, 2, "whoever went away was not sent");
  await stand.entries(2, "settled");
  assert.deepEqual((await stand.ledger("reserved", "denied")).length, 2);
  assert.deepEqual(stand.notices, []);
  await stand.checkBooks();
});

test("a gateway that stops lets its waiting calls end as their callers go away", async (context) => {
  const provider = await startRawProvider(context);
  const budgets = '[{ name: leaky, limits: ["1 request / minute leaky wait 10m"] }]';
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  const call = `${stand.url}/v1/chat/completions`;
  assert.equal((await post(call, PLAIN_CALL)).status, 200);
  const leaving = new AbortController();
  const gone = fetch(call, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(PLAIN_CALL), signal: leaving.signal });
  await fetch(`${stand.url}/api/budgets`);
  const closed = stand.gateway.close();
  leaving.abort();
  await assert.rejects(gone);
  await closed;
  assert.equal(provider.received.length, 1);
});

test("a refusal of a moving window says when it has room again, in its headers and in words", async (context) => {
  const provider = await startRawProvider(context);
  const budgets =
    '[{ name: rolling, limits: ["1 request / rolling 24h"] }, { name: rate, limits: ["9 requests / minute bucket burst 30"] }]';
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  const call = `${stand.url}/v1/chat/completions`;
  assert.equal((await post(call, PLAIN_CALL)).status, 200);
  await eventually("the first call to settle", async () => ((await stand.ledger("settled")).length > 0 ? true : undefined));
  const refused = await post(call, PLAIN_CALL);
  assert.equal(refused.status, 402);
  assert.match(
    refused.json.error.message,
    /has nothing left of 1 request in any day \(1 request spent\)\. It has room for it again \d{4}-/,
  );
  const { window, resets_at } = refused.json.error.budget;
  assert.equal(window, "rolling 1d");
  const hours = (Date.parse(resets_at) - Date.now()) / 3_600_000;
  assert.ok(hours > 23.5 && hours <= 24.4, `${hours} hours`);
  assert.match(String(refused.headers.get("ratelimit-policy")), /"rolling-requests-rolling 1d";q=1;qu="requests";w=86400/);
  assert.match(String(refused.headers.get("ratelimit-policy")), /"rate-requests-minute bucket";q=30;qu="requests"(,|$)/);
});
