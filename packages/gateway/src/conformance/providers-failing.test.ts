import assert from "node:assert/strict";
import { before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { loadEncoding } from "@purser/core/tokens";
import { JSON_HEADERS, PLAIN_CALL, post } from "./calls.ts";
import {
  attemptsOf,
  CHAT,
  COST_AT_TWO,
  chatStream,
  cut,
  cutAfterHead,
  cutInTheMiddle,
  held,
  messageStream,
  overloadedEvent,
  PRICED,
  refuse,
  silence,
  startFleet,
  summary,
} from "./fleet.ts";
import { type Answer, answerChat, chatEvent, STREAM_HEADERS, writeJson } from "./raw-provider.ts";

before(() => loadEncoding("o200k"));

test("a call whose provider fails is answered by the next one", async (context) => {
  const fleet = await startFleet(context);
  const { stand, one, two, claude } = fleet;
  let models = 0;
  /** A model that no circuit knows yet. */
  const call = (more: object = {}, prefix = "list") => ({ ...PLAIN_CALL, model: `${prefix}-${models++}`, ...more });
  const spentBy = async (user: string) => {
    const balances = await stand.gateway.budgets.balances({ subject: { user } });
    return balances.find(({ unit }) => unit === "nanodollars")?.spent;
  };

  const ENDS: readonly { how: string; answer: Answer; end: RegExp; tried: RegExp; streamOnly?: true; wholeOnly?: true; at?: string }[] = [
    { how: "500", answer: refuse(500), end: /^released: the provider answered 500$/, tried: /^one answered 500$/ },
    { how: "503", answer: refuse(503), end: /^released/, tried: /^one answered 503$/ },
    { how: "529", answer: refuse(529), end: /^released/, tried: /^one answered 529$/ },
    { how: "429", answer: refuse(429), end: /^released/, tried: /^one answered 429$/ },
    { how: "429 for long", answer: refuse(429, { "retry-after": "3600" }), end: /^released/, tried: /^one answered 429$/ },
    { how: "504, after which the call may have been made", answer: refuse(504), end: /^settled unconfirmed$/, tried: /^one answered 504$/ },
    { how: "silence", answer: silence, end: /^settled unconfirmed$/, tried: /^silent did not answer in time$/, at: "silent" },
    { how: "a cut before the head", answer: cut, end: /^settled unconfirmed$/, tried: /^one broke off: / },
    {
      how: "a whole answer that is cut in its middle",
      answer: cutInTheMiddle,
      end: /^settled unconfirmed$/,
      tried: /^one broke off: /,
      wholeOnly: true,
    },
    { how: "a cut after the head", answer: cutAfterHead, end: /^settled unconfirmed$/, tried: /^one broke off: /, streamOnly: true },
  ];
  for (const { how, answer, end, tried, streamOnly, wholeOnly, at } of ENDS) {
    for (const stream of streamOnly ? [true] : wholeOnly ? [false] : [false, true]) {
      await context.test(`${how}, ${stream ? "streamed" : "whole"}`, async () => {
        one.answer = answer;
        two.answer = stream ? chatStream : answerChat();
        const user = `${how} ${stream}`.replaceAll(/\W/g, "");
        const asked = call(stream ? { stream, stream_options: { include_usage: true } } : {}, at);
        const answered = await post(stand.url + CHAT, asked, { "x-purser-user": user });
        assert.equal(answered.status, 200, answered.text);
        assert.match(answered.text, /Aye/);
        assert.equal(answered.headers.get("x-purser-provider"), "two");
        assert.equal(answered.headers.get("x-purser-attempts"), "2");
        const attempts = await attemptsOf(fleet, answered);
        const [first, second] = attempts.map(summary);
        assert.equal(attempts.length, 2);
        assert.equal(first?.provider, at ?? "one");
        assert.match(first?.end ?? "", end);
        const isCharged = first?.end.startsWith("settled");
        assert.equal(first?.cost, isCharged ? held(attempts[0] ?? []) : 0);
        assert.deepEqual(
          { ...second, tried: undefined },
          { provider: "two", model: asked.model, end: "settled confirmed", cost: COST_AT_TWO, tried: undefined },
        );
        assert.equal(second?.tried?.length, 1);
        assert.match(second?.tried?.[0] ?? "", tried);
        assert.equal(await spentBy(user), (first?.cost ?? 0) + COST_AT_TWO);
      });
    }
  }

  await context.test("nobody listens there: nothing is charged for it", async () => {
    two.answer = answerChat();
    const answered = await post(stand.url + CHAT, call({}, "gone"));
    assert.equal(answered.status, 200);
    const [first, second] = (await attemptsOf(fleet, answered)).map(summary);
    assert.match(first?.end ?? "", /^released: not sent: connect ECONNREFUSED/);
    assert.match(second?.tried?.[0] ?? "", /^gone was not reached: connect ECONNREFUSED/);
  });

  await context.test("a stream that begins with the event of a refusal goes on, too", async () => {
    one.answer = overloadedEvent;
    two.answer = messageStream;
    const answered = await post(`${stand.url}/v1/messages`, call({ stream: true }));
    assert.equal(answered.status, 200);
    assert.doesNotMatch(answered.text, /overloaded/);
    assert.match(answered.text, /Aye/);
    assert.match((await attemptsOf(fleet, answered)).map(summary)[1]?.tried?.[0] ?? "", /^one answered 529$/);
  });

  await context.test("a stream that was cut in the middle is not begun anew: its client has a part of it", async () => {
    const before = two.received.length;
    one.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(chatEvent("Aye"), () => response.destroy());
    };
    await assert.rejects(post(stand.url + CHAT, call({ stream: true })));
    assert.equal(two.received.length, before);
    await stand.checkBooks();
  });

  for (const status of [400, 401, 403, 404, 422]) {
    await context.test(`${status} is passed on as it is: another provider would say the same, or must not hide it`, async () => {
      const before = two.received.length;
      one.answer = refuse(status);
      const answered = await post(stand.url + CHAT, call());
      assert.equal(answered.status, status);
      assert.equal(answered.json.error.message, `refused with ${status}`);
      assert.equal(answered.headers.get("x-purser-attempts"), "1");
      assert.equal(two.received.length, before);
    });
  }

  await context.test("where all fail, the client gets what the last of them said", async () => {
    one.answer = refuse(500);
    two.answer = refuse(503, { "x-request-id": "upstream-2" });
    const answered = await post(stand.url + CHAT, call());
    assert.equal(answered.status, 503);
    assert.equal(answered.json.error.message, "refused with 503");
    assert.equal(answered.headers.get("x-request-id"), "upstream-2");
    assert.equal(answered.headers.get("x-purser-provider"), "two");
    assert.deepEqual(
      (await attemptsOf(fleet, answered)).map(summary).map(({ end }) => end),
      ["released: the provider answered 500", "released: the provider answered 503"],
    );
  });

  await context.test("what a route does not name is not retried", async () => {
    one.answer = refuse(500);
    two.answer = answerChat();
    assert.equal((await post(stand.url + CHAT, call({}, "strict"))).status, 500);
    one.answer = refuse(503);
    assert.equal((await post(stand.url + CHAT, call({}, "strict"))).status, 200);
  });

  await context.test("one provider is asked again, as often as its route says, and waited for when it asks for that", async () => {
    let times = 0;
    one.answer = (response, received) =>
      ++times < 3 ? refuse(429, { "retry-after-ms": "5" })(response, received) : answerChat()(response, received);
    const answered = await post(stand.url + CHAT, call({}, "again"));
    assert.equal(answered.status, 200);
    assert.equal(answered.headers.get("x-purser-attempts"), "3");
    assert.deepEqual(
      (await attemptsOf(fleet, answered)).map(summary).map(({ end }) => end),
      ["released: the provider answered 429", "released: the provider answered 429", "settled confirmed"],
    );
  });

  await context.test("one that asks to be left alone for long is not asked again, and its answer is passed on with that", async () => {
    const before = one.received.length;
    one.answer = refuse(429, { "retry-after": "30" });
    const answered = await post(stand.url + CHAT, call({}, "again"));
    assert.equal(answered.status, 429);
    assert.equal(answered.headers.get("retry-after"), "30");
    assert.equal(one.received.length, before + 1);
  });

  await context.test("more attempts than providers go round", async () => {
    one.answer = refuse(500);
    two.answer = refuse(500);
    const before = [one.received.length, two.received.length] as const;
    const answered = await post(stand.url + CHAT, call({}, "three"));
    assert.equal(answered.status, 502);
    assert.equal(answered.headers.get("x-purser-attempts"), null);
    assert.equal((await attemptsOf(fleet, answered)).length, 6);
    assert.deepEqual([one.received.length - before[0], two.received.length - before[1]], [2, 2]);
  });

  await context.test("a provider gets the name that it knows, and its own key; budgets know the model by one name", async () => {
    one.answer = refuse(500);
    two.answer = answerChat();
    for (const [model, sentAs, known] of [
      ["named-model", "maker/named-model", "named-model"],
      ["other-model", "another-model", "another-model"],
    ] as const) {
      const answered = await post(stand.url + CHAT, { ...PLAIN_CALL, model });
      const received = two.received.at(-1);
      assert.equal(JSON.parse(received?.body ?? "").model, sentAs);
      assert.equal(received?.headers.authorization, "Bearer key-two");
      assert.equal((await attemptsOf(fleet, answered)).map(summary)[1]?.model, known);
    }
  });

  await context.test("a provider of another format gets the call translated, and the client its own format", async () => {
    one.answer = refuse(500);
    claude.answer = answerChat();
    const answered = await post(stand.url + CHAT, call({}, "cross"));
    assert.equal(answered.json.choices[0].message.content, "Aye.");
    assert.equal(claude.received.at(-1)?.url, "/v1/messages");
    assert.equal(claude.received.at(-1)?.headers.authorization, "Bearer key-claude");
    claude.answer = messageStream;
    const streamed = await post(stand.url + CHAT, call({ stream: true, stream_options: { include_usage: true } }, "cross"));
    assert.match(streamed.text, /"content":"Aye\."/);
    assert.match(streamed.text, /\[DONE\]/);
    const [, second] = (await attemptsOf(fleet, streamed)).map(summary);
    assert.equal(second?.cost, 12 * PRICED.claude.input + 5 * PRICED.claude.output);
  });

  await context.test("the first choice comes first in whatever format it is served", async () => {
    claude.answer = answerChat();
    one.answer = answerChat();
    const near = one.received.length;
    const answered = await post(stand.url + CHAT, call({}, "far"));
    assert.deepEqual([answered.headers.get("x-purser-provider"), answered.json.choices[0].message.content], ["claude", "Aye."]);
    assert.equal(one.received.length, near);
    const untranslatable = await post(stand.url + CHAT, call({ seed: 7 }, "far"));
    assert.equal(untranslatable.headers.get("x-purser-provider"), "one");
    assert.match((await attemptsOf(fleet, untranslatable)).map(summary)[0]?.tried?.[0] ?? "", /^claude was left out: .*seed/);
  });

  await context.test("what cannot be translated is left out, and said", async () => {
    const before = claude.received.length;
    one.answer = refuse(500);
    const answered = await post(stand.url + CHAT, call({ seed: 7 }, "cross"));
    assert.equal(answered.status, 500);
    assert.equal(claude.received.length, before);
  });

  await context.test("whoever went away gets no second attempt", async () => {
    const before = two.received.length;
    const abort = new AbortController();
    one.answer = () => abort.abort();
    await assert.rejects(
      fetch(stand.url + CHAT, {
        method: "POST",
        headers: JSON_HEADERS,
        body: JSON.stringify(call({ stream: true })),
        signal: abort.signal,
      }),
    );
    await stand.checkBooks();
    assert.equal(two.received.length, before);
  });

  await context.test("an answer that nobody here can read was passed on, and is no reason to ask again", async () => {
    const before = two.received.length;
    const bytes = gzipSync(JSON.stringify({ choices: [] }));
    one.answer = (response) => response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" }).end(bytes);
    const answered = await post(stand.url + CHAT, call());
    assert.deepEqual([answered.status, answered.json, two.received.length], [200, { choices: [] }, before]);
    assert.deepEqual(
      (await attemptsOf(fleet, answered)).map(summary).map(({ end }) => end),
      ["settled unconfirmed"],
    );
  });

  await context.test("a refusal that is too long to be held back is passed on whole", async () => {
    const text = "x".repeat(1_500_000);
    one.answer = (response) => writeJson(response, 503, { error: { message: text } });
    const answered = await post(stand.url + CHAT, call());
    assert.deepEqual([answered.status, answered.json.error.message.length], [503, text.length]);
    await stand.checkBooks();
  });

  await context.test("what only counts tokens goes on too, and is charged nothing", async () => {
    one.answer = refuse(500);
    two.answer = (response) => writeJson(response, 200, { input_tokens: 7 });
    const { max_tokens: _, ...question } = call();
    const answered = await post(`${stand.url}/v1/messages/count_tokens`, question);
    assert.deepEqual([answered.status, answered.json], [200, { input_tokens: 7 }]);
    assert.equal(answered.headers.get("x-purser-provider"), "two");
  });

  await context.test("who fails again and again is passed over, until it answers again", async () => {
    const model = "circuit";
    const ask = async () => {
      const answered = await post(stand.url + CHAT, { ...PLAIN_CALL, model });
      assert.equal(answered.status, 200);
      return { attempts: answered.headers.get("x-purser-attempts"), provider: answered.headers.get("x-purser-provider"), answered };
    };
    const open = async () =>
      /purser_provider_circuits_open\{provider="one"\} (\d+)/.exec(await (await fetch(`${stand.url}/metrics`)).text())?.[1];
    const before = Number((await open()) ?? 0);
    one.answer = refuse(500);
    two.answer = answerChat();
    for (let i = 0; i < 5; i++) assert.equal((await ask()).attempts, "2");
    const passed = await ask();
    assert.deepEqual([passed.attempts, passed.provider], ["1", "two"]);
    assert.deepEqual((await attemptsOf(fleet, passed.answered)).map(summary)[0]?.tried, ["one was passed over, because it fails lately"]);
    assert.equal(Number(await open()), before + 1);
    // Where both fail, the first choice is asked all the same.
    two.answer = refuse(500);
    one.answer = answerChat();
    for (let i = 0; i < 4; i++) await ask();
    assert.equal(Number(await open()), before);
  });

  await context.test("attempts are counted by provider and end", async () => {
    const text = await (await fetch(`${stand.url}/metrics`)).text();
    assert.match(text, /purser_provider_answers_total\{provider="silent",answer="timeout"\} 2/);
    assert.match(text, /purser_failovers_total\{provider="silent",answer="timeout"\} 2/);
    assert.match(text, /purser_failovers_total\{provider="gone",answer="unreachable"\} 2/);
  });
});
