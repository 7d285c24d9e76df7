import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { type Json, post } from "./calls.ts";
import { type Answer, answerChat, type RawProvider, startRawProvider } from "./raw-provider.ts";
import { isSigned, startMailServer, startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const SECRET = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
const CALL = { model: "m", max_tokens: 1000, messages: [{ role: "user", content: "Ahoy" }] };
/** Writes as much as the call allows. */
const answerFully: Answer = (response, received) =>
  answerChat({ input: 12, output: JSON.parse(received.body).max_tokens })(response, received);

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(): Promise<number>;
}

function configOf(provider: RawProvider, channels: string, budget: string): string {
  return `${providersAt(provider.url)}\n${PRICES}\nchannels:\n${channels}\nbudgets:\n  - ${budget}`;
}

async function startScene(
  context: TestContext,
  channels: string,
  budget: string,
  store: "memory" | "sqlite" = "memory",
  answer = answerFully,
): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config: configOf(provider, channels, budget), store });
  return { stand, provider, call: async () => (await post(`${stand.url}/v1/chat/completions`, CALL)).status };
}

const LADDER = "{ 50%: tell hook, 80%: [tell hook, use m-mini], 100%: tell }";
const BUDGET = `{ name: chatbot, owner: kim@example.com, limits: [10000 tokens / day], min_output: 10, ladder: ${LADDER} }`;

describe("people are told", () => {
  test("beyond the limit too, where a budget only observes and calls go on", async (context) => {
    const receiver = await startReceiver(context);
    const channels = `  hook: { kind: webhook, url: "${receiver.url}/in" }`;
    const ladder = "{ 100%: tell hook, 150%: tell hook, 2k tokens: tell hook }";
    const budget = `{ name: trial, limits: [1000 tokens / day], mode: observe, ladder: ${ladder} }`;
    const { stand, call } = await startScene(context, channels, budget);
    const titles = () => receiver.posted.map(({ body }) => body.data.title);
    for (const count of [1, 2, 3]) {
      assert.equal(await call(), 200);
      await eventually("a notice", () => receiver.posted.length >= count || count === 3 || undefined);
    }
    await eventually("all notices", () => receiver.posted.length >= 2 || undefined);
    await stand.gateway.close();
    assert.deepEqual(titles(), ['Budget "trial" is 101% used', 'Budget "trial" has used 2,024 tokens']);
    assert.match(receiver.posted[1]?.body.data.text, /used \(202%\)\. .* It only observes: nothing is refused\.$/);
    assert.equal(receiver.posted[1]?.body.data.severity, "critical");
  });

  test("once for each threshold of a balance in a window, signed, with what they need to know", async (context) => {
    const receiver = await startReceiver(context);
    const { stand, call } = await startScene(context, `  hook: { kind: webhook, url: "${receiver.url}/in", secret: ${SECRET} }`, BUDGET);
    const statuses = new Set<number>();
    for (let i = 0; i < 24; i++) statuses.add(await call());
    assert.deepEqual([...statuses], [200, 402]);
    await eventually("three notices", () => receiver.posted.length >= 3 || undefined);
    await stand.gateway.close();
    const notices = receiver.posted.map(({ body }) => body.data).toSorted((a: Json, b: Json) => a.threshold - b.threshold);
    assert.deepEqual(
      notices.map(({ threshold }: Json) => threshold),
      [0.5, 0.8, 1],
    );
    for (const one of receiver.posted) assert.ok(isSigned(one, SECRET));
    assert.equal(new Set(receiver.posted.map(({ headers }) => headers["webhook-id"])).size, 3);
    const { type, timestamp } = receiver.posted[0]?.body ?? {};
    assert.equal(type, "budget.threshold");
    assert.ok(Date.parse(timestamp) > 0);
    const [half, most, full] = notices;
    assert.deepEqual(
      [half.budget, half.unit, half.limit, half.spent, half.window, half.owner, half.severity],
      ["chatbot", "tokens", 10_000, 5_060, "day", "kim@example.com", "info"],
    );
    assert.match(half.text, /^5,060 tokens of 10,000 tokens today are used \(50%\)\..* It resets \d.* UTC\. From 80% on: use m-mini\.$/);
    assert.equal(half.title, 'Budget "chatbot" is 50% used');
    assert.match(most.text, /From now on: use m-mini\.$/);
    assert.equal(full.title, 'Budget "chatbot" refuses calls');
    assert.match(full.text, /Calls that do not fit into what is left are refused\.$/);
  });

  test("not again after a restart; and what could not be delivered before it, after it, under the same id", async (context) => {
    const receiver = await startReceiver(context);
    receiver.status = 500;
    const channels = `  hook: { kind: webhook, url: "${receiver.url}/in" }`;
    const { stand, provider, call } = await startScene(context, channels, BUDGET, "sqlite");
    for (let i = 0; i < 6; i++) await call();
    await eventually("a try", () => receiver.posted.length > 0 || undefined);
    await stand.gateway.close();
    assert.equal(receiver.posted.length, 1);
    receiver.status = 204;
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${configOf(provider, channels, BUDGET)}`;
    const again = await startGateway({ config: readConfig({ text, environment: {} }) });
    context.after(() => again.close());
    await eventually("the delivery", () => receiver.posted.length === 2 || undefined);
    assert.equal((await post(`${again.url}/v1/chat/completions`, CALL)).status, 200);
    const deliveries: Json = await eventually("its record", async () => {
      const { data }: Json = await (await fetch(`${again.url}/api/deliveries`)).json();
      return data.length === 2 ? data : undefined;
    });
    assert.deepEqual(
      deliveries.map(({ error, is_last }: Json) => [error, is_last]),
      [
        ["it answered 500", false],
        [null, true],
      ],
    );
    assert.equal(receiver.posted[0]?.headers["webhook-id"], receiver.posted[1]?.headers["webhook-id"]);
    assert.equal(receiver.posted.length, 2);
  });

  test("after the start, where the process died before it could tell, without another call", async (context) => {
    const receiver = await startReceiver(context);
    const channels = `  hook: { kind: webhook, url: "${receiver.url}/in" }`;
    const { stand, provider, call } = await startScene(context, channels, BUDGET, "sqlite");
    for (let i = 0; i < 6; i++) await call();
    await stand.gateway.close();
    assert.equal(receiver.posted.length, 1);
    // As if it had died between the settlement and the line in the book.
    rmSync(join(stand.directory, "alerts.jsonl"));
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${configOf(provider, channels, BUDGET)}`;
    const again = await startGateway({ config: readConfig({ text, environment: {} }) });
    context.after(() => again.close());
    await eventually("the notice", () => receiver.posted.length === 2 || undefined);
  });

  test("of the highest threshold only, where one call passes several at once", async (context) => {
    const receiver = await startReceiver(context);
    const { stand, call } = await startScene(
      context,
      `  hook: { kind: webhook, url: "${receiver.url}" }`,
      "{ name: a, limits: [1100 tokens / day], ladder: { 10%: tell hook, 20%: tell hook, 90%: tell hook } }",
    );
    await call();
    await call();
    await eventually("a notice", () => receiver.posted.length > 0 || undefined);
    await stand.gateway.close();
    assert.deepEqual(
      receiver.posted.map(({ body }) => body.data.threshold),
      [0.9],
    );
  });

  test("each user's balance apart, and for what a budget that only observes would have seen", async (context) => {
    const receiver = await startReceiver(context);
    const { stand } = await startScene(
      context,
      `  hook: { kind: webhook, url: "${receiver.url}" }`,
      "{ name: a, per: user, mode: observe, limits: [1500 tokens / day], ladder: { 60%: tell } }",
    );
    for (const user of ["ann", "bob", "ann"]) await post(`${stand.url}/v1/chat/completions`, CALL, { "x-purser-user": user });
    await eventually("two notices", () => receiver.posted.length === 2 || undefined);
    await stand.gateway.close();
    assert.deepEqual(receiver.posted.map(({ body }) => body.data.subject).sort(), ["user=ann", "user=bob"]);
    assert.match(receiver.posted[0]?.body.data.text, /It only observes: nothing is refused\.$/);
  });

  test("by Slack, Teams and PagerDuty in their own form, and by e-mail as the owner of the budget", async (context) => {
    const receiver = await startReceiver(context);
    const mail = await startMailServer(context);
    const { stand, call } = await startScene(
      context,
      [
        `  chat: { kind: slack, url: "${receiver.url}/slack" }`,
        `  team: { kind: teams, url: "${receiver.url}/teams" }`,
        `  duty: { kind: pagerduty, url: "${receiver.url}/pagerduty", routing_key: integration-key }`,
        `  mail: { kind: email, server: "${mail.url}", from: Purser <purser@example.com> }`,
      ].join("\n"),
      '{ name: "<!channel> & co", owner: Kim <kim@example.com>, limits: [1500 tokens / day], ladder: { 60%: tell } }',
    );
    await call();
    await eventually("three posts and a mail", () => (receiver.posted.length === 3 && mail.mails.length === 1) || undefined);
    await stand.gateway.close();
    const of = (path: string) => receiver.posted.find((one) => one.path === path)?.body;
    const slack = of("/slack");
    assert.deepEqual(
      slack.blocks.map(({ type }: Json) => type),
      ["header", "section", "section"],
    );
    assert.doesNotMatch(JSON.stringify(slack.blocks.slice(1)) + slack.text, /<!channel>/, "nobody is mentioned by a budget's name");
    const card = of("/teams").attachments[0];
    assert.equal(card.contentType, "application/vnd.microsoft.card.adaptive");
    assert.equal(card.content.body[2].type, "FactSet");
    const event = of("/pagerduty");
    assert.deepEqual([event.routing_key, event.event_action, event.payload.severity], ["integration-key", "trigger", "info"]);
    assert.match(event.dedup_key, /^purser-[0-9a-f]{40}$/);
    const [letter = ""] = mail.mails;
    assert.match(letter, /^To: kim@example\.com\r$/m);
    assert.match(letter, /^From: Purser <purser@example\.com>\r$/m);
    assert.match(letter, /^Subject: .*Budget.*67/m);
    // Long lines, as there are where all is used up soon, are broken on their way.
    assert.match(letter.replaceAll("=\r\n", ""), /^Used\s+1,012 tokens of 1,500 tokens today \(67%\)\r$/m);
  });

  test("and no secret is written down or said where a channel fails", async (context) => {
    const { url } = await startReceiver(context);
    const closed = await startReceiver(context);
    const { stand, call } = await startScene(
      context,
      [
        `  chat: { kind: slack, url: "http://127.0.0.1:1/services/T0/B0/very-secret" }`,
        `  mail: { kind: email, server: "smtp://me:very-secret@127.0.0.1:1", from: a@example.com, to: b@example.com }`,
        `  duty: { kind: pagerduty, routing_key: very-secret, url: "${closed.url}/very-secret" }`,
        `  hook: { kind: webhook, url: "${url}", secret: ${SECRET} }`,
      ].join("\n"),
      "{ name: a, limits: [1100 tokens / day], ladder: { 60%: tell } }",
    );
    closed.status = 403;
    await call();
    const channels: Json = await eventually("four tries", async () => {
      const { data }: Json = await (await fetch(`${stand.url}/api/channels`)).json();
      return data.every(({ last }: Json) => last !== null) ? data : undefined;
    });
    const tested = await fetch(`${stand.url}/api/channels/mail/test`, { method: "POST" });
    assert.match(((await tested.json()) as Json).error, /ECONNREFUSED/);
    await stand.gateway.close();
    const written = readFileSync(join(stand.directory, "alerts.jsonl"), "utf8");
    for (const text of [JSON.stringify(channels), written, stand.notices.join("\n")]) {
      assert.doesNotMatch(text, /very-secret/);
      assert.ok(!text.includes(SECRET.slice(6)));
    }
    assert.match(stand.notices.join("\n"), /could not be told to duty: it answered 403/);
  });

  test("a test of a channel says whether it works", async (context) => {
    const receiver = await startReceiver(context);
    const { stand } = await startScene(
      context,
      `  duty: { kind: pagerduty, url: "${receiver.url}", routing_key: k }`,
      "{ name: a, limits: [1100 tokens / day] }",
    );
    const tested: Json = await (await fetch(`${stand.url}/api/channels/duty/test`, { method: "POST" })).json();
    assert.equal(tested.error, null);
    assert.deepEqual(
      receiver.posted.map(({ body }) => body.event_action),
      ["trigger", "resolve"],
    );
    assert.equal(new Set(receiver.posted.map(({ body }) => body.dedup_key)).size, 1);
    const unknown = await fetch(`${stand.url}/api/channels/dity/test`, { method: "POST" });
    assert.equal(unknown.status, 404);
    assert.match(((await unknown.json()) as Json).detail, /no channel "dity"\. Did you mean "duty"\?/);
  });
});
