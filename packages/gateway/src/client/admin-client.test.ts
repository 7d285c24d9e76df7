import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { OPENAPI } from "../admin/openapi.ts";
import { providersAt, startStand } from "../conformance/stand.ts";
import { typeErrors } from "../conformance/type-errors.ts";
import { AdminProblem, createAdminClient } from "./admin-client.ts";
import { type Description, operationsText } from "./operations-text.ts";

const OPERATIONS_FILE = new URL("../../src/client/operations.ts", import.meta.url);
const CONFIG = `${providersAt("http://127.0.0.1:9")}\nbudgets: [{ name: all, limits: [$5 / month] }, { name: each user, per: user, limits: [$1 / day] }]`;

test("the types are those of the description that the gateway serves", () => {
  const fresh = operationsText(OPENAPI as unknown as Description);
  assert.equal(readFileSync(OPERATIONS_FILE, "utf8"), fresh, "write them anew: node scripts/generate-admin-client.mjs");
});

test("operations are functions by name: questions, changes, and names that need escaping", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "chief", role: "admin" });
  const purser = createAdminClient({ url: stand.url, key: secret });
  const { data: budgets } = await purser.listBudgets({ query: { budget: "all" } });
  assert.deepEqual(
    budgets.map(({ budget, unit, limit }) => [budget, unit, limit]),
    [["all", "nanodollars", 5_000_000_000]],
  );
  const grant = { budget: "each user", amount: "$2 / day", for: { user: "ann" }, giver: "kim", why: "a workshop", until: "2h" };
  const made = await purser.createGrant({ headers: { "Idempotency-Key": "grant_1" }, body: grant });
  assert.equal((await purser.createGrant({ headers: { "Idempotency-Key": "grant_1" }, body: grant })).id, made.id);
  const { data: hours } = await purser.getBudgetHistory({ path: { name: "each user" }, query: { days: 2 } });
  assert.deepEqual(
    hours.map(({ window }) => window),
    ["day"],
  );
  const { data: rows, by } = await purser.report({ query: { by: "team", filter: ["team=a", "team=b"] } });
  assert.deepEqual([rows, by], [[], ["team"]]);
});

test("a gateway behind a path of a proxy is asked there", async () => {
  const asked: string[] = [];
  const send = async (input: unknown) => {
    asked.push(String(input));
    return Response.json({ data: [] });
  };
  for (const url of ["https://example.com/purser", "https://example.com/purser/", "https://example.com"])
    await createAdminClient({ url, fetch: send }).listBudgets({ query: { budget: "all" } });
  assert.deepEqual(
    asked.map((url) => url.split("/api/")[0]),
    ["https://example.com/purser", "https://example.com/purser", "https://example.com"],
  );
});

test("a problem is thrown with its status, its code and what to do", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "viewer", role: "viewer" });
  const viewing = createAdminClient({ url: stand.url, key: secret });
  const problem = (status: number, code: string, words: RegExp) => (error: unknown) => {
    assert.ok(error instanceof AdminProblem);
    assert.deepEqual([error.status, error.code], [status, code]);
    assert.match(error.message, words);
    return true;
  };
  await assert.rejects(viewing.revokeKey({ path: { id: "x" } }), problem(403, "key_invalid", /may not do this/));
  await assert.rejects(viewing.getRequest({ path: { id: "req_none" } }), problem(404, "reservation_unknown", /no call/));
  await assert.rejects(createAdminClient({ url: stand.url }).listKeys(), problem(401, "key_missing", /no key/));
  await assert.rejects(viewing.getRequest({ path: { id: "" } }), TypeError);
});

test("what the description does not allow, the compiler does not", async (context) => {
  const client = new URL("../../src/client/admin-client.ts", import.meta.url).pathname;
  const head = [`import { createAdminClient } from ${JSON.stringify(client)};`, 'const purser = createAdminClient({ url: "" });'];
  const options = ["--allowImportingTsExtensions"];
  const right = ["void purser.getOverview();", 'void purser.report({ query: { step: "day" } });'];
  assert.deepEqual(await typeErrors(context, [...head, ...right], options), []);
  const wrong = ['void purser.report({ query: { step: "week" } });', "void purser.showRequest();", "void purser.getRequest({});"];
  assert.equal((await typeErrors(context, [...head, ...wrong], options)).length, 3);
});
