import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Budgets, createMemoryStore, defineBudget, type RateCard, type Store } from "@purser/core";
import { Alerts } from "../alerts/alerts.ts";
import { openFileBook } from "../alerts/file-book.ts";
import { openKeys } from "../callers/keys.ts";
import { openSwitches } from "../switches/switches.ts";
import type { Admin, AdminResponse } from "./admin.ts";
import { OPENAPI } from "./openapi.ts";
import { ADMIN_ROUTES, createAdmin } from "./routes.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
/** $1 and $2 per million tokens. */
const CARD: RateCard = {
  provider: "p",
  model: "m",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, cacheRead: 100_000, output: 2_000_000 } }],
  source: "test card",
};

let directory: string;
let admin: Admin;
let store: Store;
let budgets: Budgets;

/** Bodies are read by the tests as any client reads JSON. */
// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
type Json = any;

async function ask(
  method: string,
  target: string,
  body?: unknown,
  headers: IncomingHttpHeaders = {},
): Promise<AdminResponse & { body: Json }> {
  const url = new URL(target, "http://localhost");
  return admin({ method, path: url.pathname, query: url.searchParams, body, headers });
}

async function call(id: string, outputTokens = 100) {
  return budgets.reserve({
    id,
    subject: { user: "ann", provider: "p", model: "m" },
    input: { most: 1_000 },
    output: { most: outputTokens },
  });
}

async function settledCall(id: string) {
  const decision = await call(id);
  assert.equal(decision.outcome, "allowed");
  if (decision.outcome === "allowed") {
    await budgets.settle(decision.reservation, { inputTokens: 900, cacheReadInputTokens: 400, outputTokens: 50 });
  }
}

describe("the admin API", () => {
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "purser-admin-"));
    store = createMemoryStore({ now: () => NOW });
    const prices = { card: () => CARD };
    budgets = new Budgets({
      store,
      prices,
      now: () => NOW,
      budgets: [
        defineBudget({ name: "company", limits: ["$1 / month"] }),
        defineBudget({ name: "users", per: "user", limits: ["3200 tokens / day", "2 concurrent"] }),
        defineBudget({ name: "trial", mode: "observe", limits: ["10 tokens / day"] }),
      ],
    });
    admin = createAdmin({
      budgets,
      store,
      prices,
      keys: await openKeys(directory),
      switches: openSwitches(directory),
      alerts: new Alerts({ book: await openFileBook(directory), channels: [], budgets: [] }),
      now: () => NOW,
    });
    await settledCall("req_1");
    await call("req_2");
    await call("req_3", 1_900);
    await settledCall("req_4");
    await budgets.close();
  });
  after(() => rmSync(directory, { recursive: true }));

  test("a balance has exactly the promised fields, and integers for amounts", async () => {
    const { status, body } = await ask("GET", "/api/budgets?budget=users");
    assert.equal(status, 200);
    assert.deepEqual(body, {
      data: [
        {
          budget: "users",
          subject: "user=ann",
          unit: "tokens",
          window: "day",
          limit: 3_200,
          spent: 1_900,
          held: 1_100,
          left: 200,
          resets_at: "2026-11-21T00:00:00.000Z",
        },
        {
          budget: "users",
          subject: "user=ann",
          unit: "concurrent",
          window: "lifetime",
          limit: 2,
          spent: 0,
          held: 1,
          left: 1,
          resets_at: null,
        },
      ],
    });
    assert.equal((await ask("GET", "/api/budgets")).body.data.length, 4);
  });

  test("the fullest balances are had without the others", async () => {
    const { body: all } = await ask("GET", "/api/budgets");
    const { body } = await ask("GET", "/api/budgets?most=2");
    const used = ({ limit, left }: { limit: number; left: number }) => (limit - left) / limit;
    const fullest = all.data.toSorted((a: Json, b: Json) => used(b) - used(a)).slice(0, 2);
    assert.deepEqual([body.data, body.total], [all.data.filter((one: Json) => fullest.includes(one)), 4]);
  });

  test("a charge is explained by terms that add up to it", async () => {
    const { body } = await ask("GET", "/api/requests/req_1");
    assert.equal(body.outcome, "settled");
    assert.deepEqual(body.usage, { input_tokens: 900, cache_read_input_tokens: 400, output_tokens: 50 });
    assert.deepEqual(body.arithmetic, [
      { kind: "input", tokens: 500, picodollars_per_token: 1_000_000 },
      { kind: "input read from cache", tokens: 400, picodollars_per_token: 100_000 },
      { kind: "output", tokens: 50, picodollars_per_token: 2_000_000 },
    ]);
    assert.equal(body.cost_nanodollars, 500_000 + 40_000 + 100_000);
    assert.deepEqual(body.would_refuse, ["trial"]);
    assert.deepEqual(
      body.balances.map(({ budget, held, spent }: Record<string, unknown>) => [budget, held, spent]),
      [
        ["company", 1_200_000, 640_000],
        ["users", 1_100, 950],
        ["users", 1, 0],
        ["trial", 1_100, 950],
      ],
    );
    assert.deepEqual(
      body.entries.map(({ kind }: { kind: string }) => kind),
      ["reserved", "settled"],
    );
  });

  test("a refusal is explained in its own words", async () => {
    const { body } = await ask("GET", "/api/requests/req_3");
    assert.equal(body.outcome, "denied");
    assert.equal(body.reason, "budget_busy");
    assert.match(body.message, /Budget "users" \(user=ann\)/);
  });

  test("calls are listed newest first, page by page, without a gap", async () => {
    const all = await ask("GET", "/api/requests");
    assert.deepEqual(
      all.body.data.map(({ id, outcome }: Record<string, unknown>) => [id, outcome]),
      [
        ["req_4", "settled"],
        ["req_3", "denied"],
        ["req_2", "in flight"],
        ["req_1", "settled"],
      ],
    );
    assert.equal(all.body.has_more, false);
    const seen: string[] = [];
    for (let after = "", more = true; more; ) {
      const page = (await ask("GET", `/api/requests?limit=1${after}`)).body;
      seen.push(page.data[0].id);
      after = `&after_id=${page.last_id}`;
      more = page.has_more;
    }
    assert.deepEqual(seen, ["req_4", "req_3", "req_2", "req_1"]);
  });

  test("a report adds up what was charged, by any attribute and step", async () => {
    const { status, body } = await ask(
      "GET",
      "/api/report?by=user,model&since=2026-11-01&until=2026-11-21&step=day&time_zone=Europe/Berlin",
    );
    assert.equal(status, 200);
    assert.deepEqual(body, {
      since: "2026-10-31T23:00:00.000Z",
      until: "2026-11-20T23:00:00.000Z",
      by: ["user", "model"],
      step: "day",
      time_zone: "Europe/Berlin",
      data: [
        {
          from: "2026-11-19T23:00:00.000Z",
          to: "2026-11-20T23:00:00.000Z",
          values: { user: "ann", model: "m" },
          calls: 2,
          refusals: 1,
          input_tokens: 1_800,
          cache_read_input_tokens: 800,
          cache_write_input_tokens: 0,
          output_tokens: 100,
          reasoning_output_tokens: 0,
          cost_nanodollars: 1_280_000,
          estimated_nanodollars: 0,
          unconfirmed_nanodollars: 0,
          unpriced_calls: 0,
          resent_input_tokens: 0,
          resent_cache_read_input_tokens: 0,
          resent_nanodollars: 0,
          known_answers: 0,
          saved_nanodollars: 0,
        },
      ],
    });
    const costOf = async (query: string) => (await ask("GET", `/api/report?${query}`)).body.data[0]?.cost_nanodollars;
    assert.equal(await costOf("until=2026-12"), 1_280_000, "this month where nothing else is said");
    assert.equal(await costOf("until=2026-12&filter=user=a*&filter=user=b"), 1_280_000);
    assert.equal(await costOf("until=2026-12&filter=user=bob"), undefined);
    assert.equal(await costOf("since=2026-11-20T13:00:00%2B00:00&until=2026-12"), undefined);
  });

  test("a report that cannot be is refused with what to do", async () => {
    for (const query of [
      "by=teem",
      "step=week",
      "since=yesterday",
      "since=2026-13-01",
      "since=2026-12",
      "time_zone=Mars",
      "filter=team",
      "group=a",
    ]) {
      const { status, body } = await ask("GET", `/api/report?${query}`);
      assert.equal(status, 400, query);
      assert.ok(["body_invalid", "window_invalid"].includes(body.code), query);
    }
  });

  test("days begin where the clock of the zone says, wherever the zone is", async () => {
    for (const [zone, since] of [
      ["Pacific/Kiritimati", "2026-11-19T10:00:00.000Z"],
      ["Pacific/Pago_Pago", "2026-11-20T11:00:00.000Z"],
      ["Asia/Kathmandu", "2026-11-19T18:15:00.000Z"],
      ["America/Sao_Paulo", "2026-11-20T03:00:00.000Z"],
    ]) {
      const { body } = await ask("GET", `/api/report?since=2026-11-20&until=2026-12-01&time_zone=${zone}`);
      assert.equal(body.since ?? body.detail, since, zone);
    }
  });

  test("a key's secret is shown once", async () => {
    const made = await ask("POST", "/api/keys", {
      name: "chatbot",
      attributes: { team: "eng" },
      may_set: ["user", "tag.*"],
      expires_at: "2027-01-01",
    });
    assert.equal(made.status, 201);
    assert.match(made.body.secret, /^pk-/);
    const { secret, ...rest } = made.body;
    assert.deepEqual((await ask("GET", "/api/keys")).body, { data: [rest] });
    assert.deepEqual((await ask("DELETE", `/api/keys/${rest.id}`)).body, { id: rest.id, revoked: true });
    assert.equal((await ask("DELETE", `/api/keys/${rest.id}`)).status, 404);
  });

  test("a wrong key is refused with what to do", async () => {
    for (const body of [
      undefined,
      [],
      { name: "" },
      { name: "a", role: "root" },
      { name: "a", teams: 1 },
      { name: "a", attributes: { model: "m" } },
      { name: "a", may_set: ["provider"] },
      { name: "a", may_set: "user" },
      { name: "a", expires_at: "2020-01-01" },
      { name: "a", attributes: { team: "a\nb" } },
    ]) {
      const answer = await ask("POST", "/api/keys", body);
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.equal(answer.body.code, "body_invalid");
    }
  });

  test("a grant raises a balance for its subject, is given once, listed, and revoked", async () => {
    const wanted = { budget: "users", amount: "800 tokens / day", for: { user: "ann" }, until: "2026-11-30", why: "the launch" };
    const given = await ask("POST", "/api/grants", wanted, { "idempotency-key": "launch" });
    assert.equal(given.status, 201);
    assert.deepEqual(given.body, {
      id: "grant_launch",
      budget: "users",
      subject: "user=ann",
      unit: "tokens",
      window: "day",
      amount: 800,
      from: "2026-11-20T12:00:00.000Z",
      until: "2026-12-01T00:00:00.000Z",
      giver: "the owner",
      why: "the launch",
    });
    const again = await ask("POST", "/api/grants", { ...wanted, amount: "999 tokens / day" }, { "idempotency-key": "launch" });
    assert.deepEqual(again.body, given.body);
    assert.deepEqual((await ask("GET", "/api/grants?budget=users")).body, { data: [given.body] });
    assert.deepEqual((await ask("GET", "/api/grants?budget=company")).body, { data: [] });
    const limit = async () => (await ask("GET", "/api/budgets?budget=users")).body.data[0].limit;
    assert.equal(await limit(), 4_000);
    assert.deepEqual((await ask("DELETE", "/api/grants/grant_launch")).body, { id: "grant_launch", revoked: true });
    assert.equal((await ask("DELETE", "/api/grants/grant_launch", { why: "again" })).body.code, "grant_unknown");
    assert.equal(await limit(), 3_200);
    assert.equal((await ask("GET", "/api/requests/grant_launch")).body.code, "reservation_unknown");
    const other = await ask("POST", "/api/grants", { ...wanted, giver: "Ben" });
    assert.match(other.body.id, /^grant_[\w-]{12}$/);
    assert.equal(other.body.giver, "Ben");
    await ask("DELETE", `/api/grants/${other.body.id}`);
  });

  test("a wrong grant is refused with what to do, and changes nothing", async () => {
    const right = { budget: "users", amount: "800 tokens / day", for: { user: "ann" }, until: "7d", why: "the launch" };
    for (const [change, status, code, detail] of [
      [{ budget: "user" }, 404, "budget_unknown", /no budget "user"/],
      [{ amount: "800 / month" }, 400, "limit_invalid", /is for none of its limits.*3,200 tokens \/ day/],
      [{ amount: 800 }, 400, "body_invalid", /"amount" is a text/],
      [{ for: { team: "a" } }, 400, "body_invalid", /a balance for each user: name one/],
      [{ for: { usr: "a" } }, 400, "body_invalid", /"usr" is not a field of "for"/],
      [{ until: "yesterday" }, 400, "body_invalid", /not a time/],
      [{ why: undefined }, 400, "body_invalid", /"why" is a text.*missing/],
      [{ more: 1 }, 400, "body_invalid", /"more" is not a field of a grant/],
    ] as const) {
      const answer = await ask("POST", "/api/grants", { ...right, ...change });
      assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(change));
      assert.match(answer.body.detail, detail);
    }
    assert.deepEqual((await ask("GET", "/api/grants")).body, { data: [] });
  });

  test("a reset lets one limit of one subject begin again, and says who did it and why", async () => {
    const { body } = await ask("POST", "/api/budgets/users/reset", { for: { user: "ann" }, limit: "1 / day", why: "a loop of ours" });
    assert.deepEqual(
      body.data.map(({ spent, held, left }: Record<string, number>) => [spent, held, left]),
      [[0, 1_100, 2_100]],
    );
    const [entry] = await store.entries({ kinds: ["adjusted"], newest: true, most: 1 });
    assert.ok(entry?.kind === "adjusted");
    assert.deepEqual(
      [entry.why, entry.reset, entry.postings.map(({ spent }) => spent)],
      ["a loop of ours", { giver: "the owner" }, [-1_900]],
    );
    assert.equal((await ask("POST", "/api/budgets/nobody's/reset", { why: "?" })).body.code, "budget_unknown");
    assert.match((await ask("POST", "/api/budgets/company/reset", {})).body.detail, /"why" is a text/);
    const whole = await ask("POST", "/api/budgets/company/reset", { why: "the end of the trial" });
    assert.deepEqual([whole.body.data.length, whole.body.data[0].spent], [1, 0]);
  });

  test("what is not there is a problem with a code", async () => {
    for (const [method, target, status, code] of [
      ["GET", "/api/nothing", 404, "route_unknown"],
      ["POST", "/api/allowances", 405, "route_unknown"],
      ["GET", "/api/requests/req_0", 404, "reservation_unknown"],
      ["GET", "/api/requests?after_id=req_0", 404, "reservation_unknown"],
      ["GET", "/api/requests?limit=0", 400, "body_invalid"],
      ["GET", "/api/requests?user=ann", 400, "body_invalid"],
      ["GET", "/api/budgets?most=all", 400, "body_invalid"],
      ["GET", "/api/requests/%E0%A4%A", 404, "route_unknown"],
    ] as const) {
      const { status: given, body } = await ask(method, target);
      assert.equal(given, status, target);
      assert.equal(body.code, code);
      assert.equal(body.status, status);
    }
  });

  test("every route is described, and nothing else", async () => {
    const described = Object.entries(OPENAPI.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(described.sort(), ADMIN_ROUTES.map(({ method, path }) => `${method} ${path}`).sort());
    assert.equal((await ask("GET", "/api/openapi.json")).body, OPENAPI);
  });

  test("every reference within the description leads somewhere", () => {
    const components: Record<string, object | undefined> = OPENAPI.components;
    for (const [, kind = "", name = ""] of JSON.stringify(OPENAPI).matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
      assert.ok(name in (components[kind] ?? {}), `${kind}/${name}`);
    }
  });
});
