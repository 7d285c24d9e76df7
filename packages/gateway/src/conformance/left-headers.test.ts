import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { FORMATS, PLAIN_CALL, post } from "./calls.ts";
import { answerChat, chatAnswer, startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const PATH = FORMATS[0].path;

async function start(context: TestContext, limits: string, more = "", ofBudget = "") {
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 5 }));
  const config = [providersAt(provider.url), PRICES, `budgets: [{ name: "größe", limits: [${limits}]${ofBudget} }]`, more].join("\n");
  return { provider, stand: await startStand(context, { config }) };
}

/** Seconds from now on, as the fields have them. */
function secondsUntil(instant: number): readonly number[] {
  const seconds = Math.ceil((instant - Date.now()) / 1000);
  return [seconds - 1, seconds, seconds + 1, seconds + 2];
}

function nextDay(): number {
  return (Math.floor(Date.now() / 86_400_000) + 1) * 86_400_000;
}

for (const stream of [false, true])
  test(`an answer ${stream ? "that streams" : "as a whole"} says what is left of the tightest limit and when it resets, in our header and in the standard's`, async (context) => {
    const { stand } = await start(context, "1000 tokens / day, $9000 / month");
    const day = nextDay();
    const { headers, status } = await post(stand.url + PATH, { ...PLAIN_CALL, stream });
    assert.equal(status, 200);
    const [, left] = /^gr%C3%B6%C3%9Fe; left=(\d+); unit=tokens; resets_at=(.*)$/.exec(headers.get("x-purser-left") ?? "") ?? [];
    assert.ok(Number(left) > 800 && Number(left) < 1000, "what the call may use is held");
    assert.ok(headers.get("x-purser-left")?.endsWith(`resets_at=${new Date(day).toISOString()}`));
    assert.equal(headers.get("ratelimit-policy"), '"gr__e-tokens-day";q=1000;qu="tokens";w=86400');
    const [, remaining, resets] = /^"gr__e-tokens-day";r=(\d+);t=(\d+)$/.exec(headers.get("ratelimit") ?? "") ?? [];
    assert.equal(remaining, left);
    assert.ok(secondsUntil(day).includes(Number(resets)), `${resets} seconds`);
  });

test("what never resets says no time at which it does", async (context) => {
  const { stand } = await start(context, "$1");
  const { headers } = await post(stand.url + PATH, PLAIN_CALL);
  assert.match(headers.get("x-purser-left") ?? "", /^gr%C3%B6%C3%9Fe; left=\d+; unit=nanodollars$/);
  assert.equal(headers.get("ratelimit-policy"), '"gr__e-nanodollars-lifetime";q=1000000;qu="usd-micros"');
  assert.match(headers.get("ratelimit") ?? "", /^"gr__e-nanodollars-lifetime";r=99\d{4}$/);
});

test("tokens that are weighted say so", async (context) => {
  const { stand } = await start(context, "9000 tokens", "", ", weights: { output: 4 }");
  const { headers } = await post(stand.url + PATH, PLAIN_CALL);
  assert.match(headers.get("x-purser-left") ?? "", /^gr%C3%B6%C3%9Fe; left=\d+; unit=weighted_tokens$/);
  assert.equal(headers.get("ratelimit-policy"), '"gr__e-tokens-lifetime";q=9000;qu="weighted-tokens"');
});

test("what a provider says of its own limits stays, and comes first", async (context) => {
  const { stand, provider } = await start(context, "1000 tokens / day");
  provider.answer = (response) => {
    response.writeHead(200, { "content-type": "application/json", "x-ratelimit-remaining-tokens": "17", RateLimit: '"theirs";r=3;t=4' });
    response.end(JSON.stringify(chatAnswer("Aye.", { input: 12, output: 5 })));
  };
  const { headers } = await post(stand.url + PATH, PLAIN_CALL);
  assert.equal(headers.get("x-ratelimit-remaining-tokens"), "17");
  assert.match(headers.get("ratelimit") ?? "", /^"theirs";r=3;t=4, "gr__e-tokens-day";r=\d+;t=\d+$/);
});

test("whoever does not want amounts shown has none of these headers, nor does a call without a limit", async (context) => {
  const hidden = await start(context, "1000 tokens / day", "expose: { left: false }");
  const free = await start(context, "");
  for (const { stand } of [hidden, free]) {
    const { headers, status } = await post(stand.url + PATH, PLAIN_CALL);
    assert.equal(status, 200);
    assert.deepEqual(
      ["x-purser-left", "ratelimit", "ratelimit-policy"].map((name) => headers.get(name)),
      [null, null, null],
    );
  }
});
