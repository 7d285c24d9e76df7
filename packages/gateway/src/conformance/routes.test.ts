import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { Budgets, createMemoryStore, defineBudget, type Unit } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import type { Dialect } from "../dialects/dialect.ts";
import { fillPath } from "../dialects/path.ts";
import { connectPurser } from "../program/connect.ts";
import { createFetch } from "../program/fetch.ts";
import { CALLS } from "../routes.ts";
import { type Answered, post, readAnswer } from "./calls.ts";
import { type RawProvider, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { receivedCall, SAMPLES, type Sample, sentBody } from "./samples.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

/** Every route of the server's own table, with what a call by it looks like. */
const ROUTES: readonly Walked[] = [...CALLS].map(([template, dialect]) => ({
  template,
  route: fillPath(template, { version: "v1beta", model: "m", deployment: "m", project: "p", location: "eu" }),
  dialect,
  sample: SAMPLES[template] as Sample,
}));
const CHARGED = ROUTES.filter(({ dialect }) => !dialect.isFree);
const FREE = ROUTES.filter(({ dialect }) => dialect.isFree);
const REFERENCE = fileURLToPath(new URL("../../../../docs/reference/routes.md", import.meta.url));
const USAGE = { input: 12, output: 5 };
const LIMITS = ["$10", "1M tokens", "1M input tokens", "1M output tokens", "100 requests", "10 concurrent"];

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly call: (more?: object, headers?: Record<string, string>, query?: string) => Promise<Answered>;
}

async function startScene(context: TestContext, { route, dialect, sample }: Walked, limits = LIMITS, cap = ""): Promise<Scene> {
  const provider = await startRawProvider(context, (response, { body, url }) => {
    const { asked = {}, query = "", events, headers = STREAM_HEADERS } = sample.stream ?? {};
    const isStream =
      query === ""
        ? Object.entries(asked).some(([field, value]) => isDeepStrictEqual(receivedCall(sample, body)[field], value))
        : url.endsWith(query);
    if (!isStream || !events) return writeJson(response, 200, sample.answer(USAGE));
    response.writeHead(200, headers).end(events(USAGE));
  });
  const budgets = `[{ name: all, for: { endpoint: ${dialect.name} }, limits: [${limits.join(", ")}]${cap} }]`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  const call = (more: object = {}, headers: Record<string, string> = {}, query = "") =>
    post(stand.url + route + query, sentBody(sample, { ...sample.call("Ahoy"), ...more }), headers);
  return { stand, provider, call };
}

interface Walked {
  readonly template: string;
  readonly route: string;
  readonly dialect: Dialect;
  readonly sample: Sample;
}

/** What is spent of each limit. */
async function spent({ stand }: Pick<Scene, "stand">): Promise<Partial<Record<Unit, number>>> {
  return Object.fromEntries((await stand.gateway.budgets.balances()).map(({ unit, spent }) => [unit, spent]));
}

/** What a call of 12 tokens in and 5 out moves, at $3 and $15 for a million. */
function moved({ hasOutput }: Dialect): Partial<Record<Unit, number>> {
  const output = hasOutput ? USAGE.output : 0;
  return {
    nanodollars: USAGE.input * 3_000 + output * 15_000,
    tokens: USAGE.input + output,
    input_tokens: USAGE.input,
    output_tokens: output,
    requests: 1,
    concurrent: 0,
  };
}

function answerOf({ sample }: Walked, json: unknown): void {
  assert.deepEqual(json, JSON.parse(JSON.stringify(sample.answer(USAGE))));
}

describe("every route of the server", () => {
  test("has a sample here, so that none can be forgotten", () => {
    assert.deepEqual(Object.keys(SAMPLES).toSorted(), ROUTES.map(({ template }) => template).toSorted());
  });

  test("stands in the reference, which says whether it is charged", () => {
    const rows = readFileSync(REFERENCE, "utf8").split("\n");
    for (const { template: route, dialect } of ROUTES) {
      const row = rows.find((one) => one.startsWith("| `POST") && (one.includes(`POST ${route}\``) || one.includes(`, \`${route}\``)));
      assert.ok(row?.includes(`| \`${dialect.name}\` | ${dialect.isFree ? "never" : "yes"} |`), route);
    }
  });

  for (const walked of CHARGED) {
    const { route, dialect, sample } = walked;
    test(`POST ${route} moves every counter, by the provider's own count`, async (context) => {
      const scene = await startScene(context, walked);
      const { status, json, headers } = await scene.call();
      assert.equal(status, 200);
      answerOf(walked, json);
      const [{ charge } = assert.fail()] = await scene.stand.entries(1, "settled");
      assert.equal(charge.certainty, "confirmed");
      await scene.stand.checkBooks();
      assert.deepEqual(await spent(scene), moved(dialect));
      assert.equal(headers.get("x-purser-cost-nanodollars"), String(moved(dialect).nanodollars));
      assert.deepEqual(scene.stand.notices, []);
    });

    if (sample.stream) {
      const { asked, query, events } = sample.stream;
      test(`POST ${route} moves every counter with a stream too, which passes byte for byte`, async (context) => {
        const scene = await startScene(context, walked);
        const { status, text } = await scene.call(asked, {}, query);
        assert.equal(status, 200);
        assert.equal(text, String(events(USAGE)));
        await scene.stand.entries(1, "settled");
        await scene.stand.checkBooks();
        assert.deepEqual(await spent(scene), moved(dialect));
      });
    }

    if (sample.capOf) {
      const { capOf } = sample;
      test(`POST ${route} is sent with the cap that the budget leaves, and one that is short of it as it came`, async (context) => {
        const scene = await startScene(context, walked, ["60 output tokens"], ", min_output: 1");
        assert.equal((await scene.call()).status, 200);
        const [lowered] = scene.provider.received;
        assert.equal(capOf(JSON.parse(lowered?.body ?? "")), 60);
        const roomy = await startScene(context, walked);
        await roomy.call();
        assert.deepEqual(
          JSON.parse(roomy.provider.received[0]?.body ?? ""),
          sample.call("Ahoy"),
          "nothing is changed where nothing has to be",
        );
      });
    }

    test(`POST ${route} is refused in its own words when a budget is used up, and asks nobody`, async (context) => {
      const scene = await startScene(context, walked, ["0 requests"]);
      const { status, json, headers } = await scene.call();
      assert.equal(status, 402);
      assert.equal(headers.get("x-should-retry"), "false");
      assert.match(String(sample.refusal(json)), /^Budget "all" /);
      assert.equal(scene.provider.received.length, 0);
      assert.equal((await scene.stand.entries(1, "denied")).length, 1);
    });
  }

  for (const { route, sample } of CHARGED.filter(({ sample: { hasText } }) => hasText !== false)) {
    test(`POST ${route} counts every text: what is beyond the limit of a call is refused with its size`, async (context) => {
      const provider = await startRawProvider(context);
      const budgets = "budgets: [{ name: chatbot, limits: [$1000], request: { max_input: 8000 } }]";
      const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` });
      for (const text of ["word ".repeat(20_000), "a".repeat(1024 * 1024)]) {
        const { status, json } = await post(stand.url + route, sentBody(sample, sample.call(text)));
        assert.equal(status, 413);
        assert.match(String(sample.refusal(json)), /^The input has (more than )?[\d,]+ tokens.* budget "chatbot" allows 8,000 in one call/);
      }
      assert.equal(provider.received.length, 0);
      await stand.checkBooks();
    });
  }

  for (const walked of FREE) {
    test(`POST ${walked.route} is never charged: it moves nothing, and passes when all is used up`, async (context) => {
      const scene = await startScene(context, walked, ["0 requests"]);
      const { status, json } = await scene.call();
      assert.equal(status, 200);
      answerOf(walked, json);
      assert.deepEqual(JSON.parse(scene.provider.received[0]?.body ?? ""), walked.sample.call("Ahoy"));
      assert.deepEqual(await scene.stand.ledger("reserved", "denied", "settled", "released"), []);
      await scene.stand.checkBooks();
    });
  }

  for (const walked of ROUTES) {
    const { route, sample } = walked;
    test(`POST ${route} is for holders of a key, and the provider gets its own`, async (context) => {
      const scene = await startScene(context, walked);
      const { secret } = await scene.stand.gateway.keys.create({ name: "crew" });
      for (const headers of [{}, { authorization: "Bearer pk-wrong" }]) {
        const { status, json } = await scene.call({}, headers);
        assert.equal(status, 401);
        assert.match(String(sample.refusal(json)), /key/);
      }
      assert.equal(scene.provider.received.length, 0);
      for (const name of ["x-api-key", "x-goog-api-key", "api-key"]) assert.equal((await scene.call({}, { [name]: secret })).status, 200);
      assert.equal(
        (
          await readAnswer(
            await fetch(`${scene.stand.url}${route}?key=${secret}`, { method: "POST", body: sentBody(sample, sample.call("Ahoy")) }),
          )
        ).status,
        200,
      );
      for (const { url, rawHeaders } of scene.provider.received) {
        assert.ok(!`${url} ${rawHeaders}`.includes(secret));
        assert.match(`${rawHeaders}`, /provider-secret/);
      }
    });

    test(`POST ${route} refuses bodies that are none, in its own words`, async (context) => {
      const scene = await startScene(context, walked);
      for (const body of ["", "[]", "{", "null", `{"model":"a","model":"a"}`]) {
        const { status, json } = await post(scene.stand.url + route, body);
        assert.equal(status, 400, body);
        assert.equal(typeof sample.refusal(json), "string", body);
      }
      assert.equal(scene.provider.received.length, 0);
    });

    test(`${route} takes POST alone`, async (context) => {
      const scene = await startScene(context, walked);
      for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
        const { status, json } = await readAnswer(await fetch(scene.stand.url + route, { method }));
        assert.equal(status, 404, method);
        assert.equal(typeof sample.refusal(json), "string", method);
      }
      assert.equal(scene.provider.received.length, 0);
    });
  }

  test("every route moves the same inside a program, through purser/fetch", async (context) => {
    for (const { route, dialect, sample } of ROUTES) {
      await context.test(route, async (inner) => {
        const provider = await startRawProvider(inner, (response) => writeJson(response, 200, sample.answer(USAGE)));
        const budgets = new Budgets({
          store: createMemoryStore(),
          prices: createPriceBook({ overrides: [{ model: "*", input: "3", output: "15", max_output: 8_192 }] }),
          budgets: [defineBudget({ name: "all", limits: LIMITS })],
        });
        const budgeted = createFetch({ budgets, provider: "house" });
        const send = () =>
          budgeted(provider.url + route, { method: "POST", body: sentBody(sample, { model: "m", ...sample.call("Ahoy") }) });
        assert.deepEqual((await readAnswer(await send())).json, JSON.parse(JSON.stringify(sample.answer(USAGE))));
        const used = Object.fromEntries((await budgets.balances()).map(({ unit, spent }) => [unit, spent]));
        if (dialect.isFree) assert.ok(Object.values(used).every((amount) => amount === 0));
        else assert.deepEqual(used, moved(dialect));
        assert.equal(provider.received[0]?.url, route);
      });
    }
  });

  test("every route moves the same on the budgets of a gateway that a program is connected to", async (context) => {
    const overrides = [{ model: "*", input: "3", output: "15", max_output: 8_192 }];
    for (const { route, dialect, sample } of ROUTES) {
      await context.test(route, async (inner) => {
        const provider = await startRawProvider(inner, (response) => writeJson(response, 200, sample.answer(USAGE)));
        const stand = await startStand(inner, { config: [PRICES, `budgets: [{ name: all, limits: [${LIMITS}] }]`].join("\n") });
        const purser = connectPurser({ url: stand.url, prices: createPriceBook({ overrides }) });
        const body = sentBody(sample, { model: "m", ...sample.call("Ahoy") });
        const answer = await readAnswer(await purser.fetch({ provider: "house" })(provider.url + route, { method: "POST", body }));
        assert.deepEqual(answer.json, JSON.parse(JSON.stringify(sample.answer(USAGE))));
        await purser.close();
        const used = await spent({ stand });
        if (dialect.isFree) assert.ok(Object.values(used).every((amount) => amount === 0));
        else assert.deepEqual(used, moved(dialect));
        await stand.checkBooks();
      });
    }
  });

  test("what is on no route is refused, whatever it looks like, and reaches nobody", async (context) => {
    const [chat = assert.fail()] = ROUTES;
    const { stand, provider } = await startScene(context, chat);
    const near = ROUTES.flatMap(({ route }) => [`${route}/`, `${route}x`, `/x${route}`, route.toUpperCase(), `/${route}`, `${route}%20`]);
    const others = [
      "/v1/responses/resp_1",
      "/v1/responses/resp_1/cancel",
      "/v1/files/file-1",
      "/v1/uploads",
      "/v1/batches/batch_1",
      "/v1/fine_tuning/jobs",
      "/v1/realtime/sessions",
      "/v1/audio/voices",
    ];
    for (const path of [...near, ...others]) {
      const { status } = await post(stand.url + path, chat.sample.call("Ahoy"));
      assert.equal(status, 404, path);
    }
    assert.equal(provider.received.length, 0);
    assert.deepEqual(await stand.ledger("reserved", "denied", "settled", "released"), []);
  });
});
