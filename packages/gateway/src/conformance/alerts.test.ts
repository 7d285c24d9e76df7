import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { AuditLog } from "../audit-log/audit-log.ts";
import { type Json, post } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { type Receiver, startMailServer, startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const CALL = { model: "m", max_tokens: 1000, messages: [{ role: "user", content: "Ahoy" }] };
const BUDGET = "{ name: a, owner: kim@example.com, limits: [2000 tokens / day], min_output: 10, ladder: { 40%: tell, 80%: tell } }";

interface Scene {
  readonly stand: Stand;
  readonly receiver: Receiver;
  call(): Promise<number>;
  ask(method: string, path: string, body?: object): Promise<{ readonly status: number; readonly body: Json }>;
}

async function startScene(context: TestContext, config: (receiver: Receiver) => string): Promise<Scene> {
  const receiver = await startReceiver(context);
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 900 }));
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${config(receiver)}` });
  return {
    stand,
    receiver,
    call: async () => (await post(`${stand.url}/v1/chat/completions`, CALL)).status,
    async ask(method, path, body) {
      const headers = { "content-type": "application/json" };
      const response = await fetch(stand.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      return { status: response.status, body: await response.json() };
    },
  };
}

/** The alert of 80 %, which somebody should look after. */
async function alerted({ receiver, call }: Scene): Promise<Json> {
  await call();
  await call();
  return eventually("the alert", () => receiver.posted.find(({ body }) => body.data.threshold === 0.8)?.body.data);
}

function hooked({ url }: Receiver): string {
  return `channels: { hook: { kind: webhook, url: "${url}/in" } }\nbudgets: [${BUDGET}]`;
}

describe("alerts are answered", () => {
  test("by the link in the message: looking changes nothing, its buttons do, and no other link does", async (context) => {
    const scene = await startScene(context, hooked);
    const { stand, receiver, ask } = scene;
    const { link } = await alerted(scene);
    const forty = receiver.posted.find(({ body }) => body.data.threshold === 0.4)?.body.data;
    assert.equal(forty.link, undefined, "what only informs is nobody's to look after");
    const [{ id, state }] = (await ask("GET", "/api/alerts")).body.data;
    assert.equal(state, "open");
    const page = await fetch(link);
    assert.deepEqual([page.status, page.headers.get("content-security-policy")?.includes("form-action 'self'")], [200, true]);
    assert.match(await page.text(), /Budget &quot;a&quot; is 91% used.*<button name="answer" value="Acknowledge">.*Snooze for a day/s);
    assert.equal((await ask("GET", "/api/alerts")).body.data[0].state, "open", "mail programs open links by themselves");
    const token = new URL(link).searchParams.get("token") ?? "";
    const [content = "", signature = ""] = token.split(".");
    const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(content, "base64url").toString()), alert: "x" })).toString(
      "base64url",
    );
    const answer = async (one: string, word: string) =>
      (await fetch(`${stand.url}/acknowledge`, { method: "POST", body: new URLSearchParams({ token: one, answer: word }) })).status;
    for (const forged of ["", content, `${other}.${signature}`, `${content}.${signature}.x`])
      assert.equal(await answer(forged, "Acknowledge"), 403);
    assert.equal(await answer(token, "Snooze for a day"), 200);
    const [snoozed] = (await ask("GET", "/api/alerts?state=snoozed")).body.data;
    assert.deepEqual([snoozed.id, snoozed.by], [id, "whoever was told by hook"]);
    assert.ok(Math.abs(Date.parse(snoozed.snoozed_until) - Date.now() - 86_400_000) < 60_000);
    assert.equal(await answer(token, "Acknowledge"), 200);
    const [acknowledged] = (await ask("GET", "/api/alerts")).body.data;
    assert.deepEqual([acknowledged.state, acknowledged.snoozed_until], ["acknowledged", null]);
    const deeds = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what.startsWith("alert."));
    assert.deepEqual(
      deeds.map(({ by, what, details }) => [by, what, (details as Json).alert]),
      [
        ["whoever was told by hook, by a signed link", "alert.snoozed", id],
        ["whoever was told by hook, by a signed link", "alert.acknowledged", id],
      ],
    );
  });

  test("over the admin API, by whoever is allowed to, and it is written down who did", async (context) => {
    const scene = await startScene(context, hooked);
    const { stand, ask } = scene;
    await alerted(scene);
    const [{ id, kind, severity, channels }, forty] = (await ask("GET", "/api/alerts?limit=2")).body.data;
    assert.deepEqual([kind, severity, channels, forty.severity], ["budget.threshold", "warning", ["hook"], "info"]);
    const path = `/api/alerts/${id}`;
    for (const wrong of [{ for: "soon" }, { for: "8d" }, { for: "10s" }, {}, { for: "1h", until: "x" }])
      assert.equal((await ask("POST", `${path}/snooze`, wrong)).body.code, "body_invalid", JSON.stringify(wrong));
    assert.deepEqual((await ask("POST", `${path}/snooze`, { for: "2h", by: "kim" })).body.by, "kim");
    assert.equal((await ask("POST", `${path}/acknowledge`, { by: "ann" })).body.state, "acknowledged");
    assert.deepEqual(
      [(await ask("POST", "/api/alerts/alert_x/acknowledge")).status, (await ask("GET", "/api/alerts?state=odd")).status],
      [404, 400],
    );
    const { secret } = await stand.gateway.keys.create({ name: "duty", role: "admin" });
    const headers = { authorization: `Bearer ${secret}` };
    const answered = await fetch(`${stand.url}/api/alerts/${forty.id}/acknowledge`, { method: "POST", headers });
    assert.match(((await answered.json()) as Json).by, /^key_.* \(duty\)$/);
    const deeds = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "POST /api/alerts/{id}/acknowledge");
    assert.ok(deeds.some(({ by }) => /\(duty\)$/.test(by)));
  });

  test("each channel shows the link in its own form", async (context) => {
    const mail = await startMailServer(context);
    const kinds = ["slack", "teams", "pagerduty"] as const;
    const scene = await startScene(context, ({ url }) =>
      [
        "channels:",
        ...kinds.map((kind) => `  ${kind}: { kind: ${kind}, url: "${url}/${kind}"${kind === "pagerduty" ? ", routing_key: k" : ""} }`),
        `  mail: { kind: email, server: "${mail.url}", from: purser@example.com }`,
        `budgets: [${BUDGET.replace("40%: tell, ", "")}]`,
      ].join("\n"),
    );
    await scene.call();
    await scene.call();
    await eventually("three posts and a mail", () => (scene.receiver.posted.length === 3 && mail.mails.length === 1) || undefined);
    const of = (path: string) => scene.receiver.posted.find((one) => one.path === `/${path}`)?.body;
    const links = [
      /<(http[^|]+)\|/.exec(of("slack").blocks.at(-1).text.text)?.[1],
      of("teams").attachments[0].content.actions[0].url,
      of("pagerduty").links[0].href,
      /Acknowledge or snooze: (\S+)/.exec((mail.mails[0] ?? "").replaceAll("=\r\n", "").replaceAll("=3D", "="))?.[1],
    ];
    for (const link of links) assert.equal((await fetch(String(link))).status, 200, String(link));
  });
});

test("what is spent in an hour is told when it is more than somebody wanted", async (context) => {
  const { receiver, call, stand } = await startScene(context, ({ url }) =>
    [
      `channels: { hook: { kind: webhook, url: "${url}" } }`,
      "budgets: [{ name: a, limits: [$5 / month], alerts: { hourly $0.02: tell hook } }]",
    ].join("\n"),
  );
  // Each costs 1.35 cents.
  assert.deepEqual([await call(), await call()], [200, 200]);
  await stand.checkBooks();
  // Sums are looked at every few seconds.
  await eventually("the hour", () => receiver.posted.length > 0 || undefined, 30_000);
  const [{ type, data }] = receiver.posted.map(({ body }) => body) as [Json];
  assert.deepEqual([type, data.budget, data.spent, data.amount], ["budget.hourly", "a", 27_072_000, 20_000_000]);
});
