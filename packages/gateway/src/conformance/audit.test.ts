import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADMIN_ROUTES, changes } from "../admin/routes.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { eventually, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const CONFIG = "budgets: [{ name: company, limits: [$5 / month] }]";

/** The routes that change something. */
const CHANGING = ADMIN_ROUTES.filter(changes);

test("every route that changes something writes down who asked, what for and what became of it, and no other route does", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { key, secret } = await stand.gateway.keys.create({ name: "ops", role: "admin" });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const log = new AuditLog(stand.directory);
  assert.ok(CHANGING.length >= 7);
  for (const route of ADMIN_ROUTES) {
    const before = (await log.lines()).length;
    const path = route.path.replace(/\{\w+\}/, "nothing");
    const body = route.method === "GET" ? undefined : JSON.stringify({ why: "a test", password: "hunter2" });
    const response = await fetch(`${stand.url}${path}`, { method: route.method, headers, ...(body && { body }) });
    const added = (await log.lines()).slice(before);
    if (!CHANGING.includes(route)) {
      assert.deepEqual(added, [], `${route.method} ${path}`);
      continue;
    }
    const [asked, became] = added;
    assert.deepEqual([added.length, asked?.what, asked?.by], [2, `${route.method} ${route.path}`, `${key.id} (ops)`]);
    assert.deepEqual([became?.of, became?.details?.status], [asked?.n, response.status]);
    assert.equal(asked?.from, "127.0.0.1");
  }
  assert.ok(!readFileSync(join(stand.directory, "audit.jsonl"), "utf8").includes("hunter2"), "no secret is in it");
});

test("who was not let in, what was given, and a changed configuration are in the log, and the command line finds what was altered", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "app" });
  const ask = (path: string, method: string, bearer: string) =>
    fetch(`${stand.url}${path}`, { method, headers: { authorization: `Bearer ${bearer}` }, ...(method === "POST" && { body: "{}" }) });
  assert.equal((await ask("/api/budgets", "GET", secret)).status, 403);
  assert.equal((await ask("/metrics", "GET", "pk-wrong")).status, 401);
  assert.equal((await ask("/v1/chat/completions", "POST", "pk-wrong")).status, 401);
  const purser = (...args: string[]) => {
    const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args, "--data", stand.directory], {
      encoding: "utf8",
      cwd: stand.directory,
    });
    return { status, stdout };
  };
  const refused = await eventually("the refusals", async () => {
    const lines = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "access.refused");
    return lines.length === 3 ? lines : undefined;
  });
  assert.deepEqual(
    refused.map(({ by, details }) => [by.replace(/key_\w+/, "key"), details?.status ?? details?.endpoint]),
    [
      ["key (app)", 403],
      ["nobody known", 401],
      ["nobody known", "openai-chat"],
    ],
  );
  const { secret: admin } = await stand.gateway.keys.create({ name: "ops", role: "admin" });
  assert.equal((await ask("/api/switches", "POST", admin)).status, 400);
  await stand.gateway.close();
  assert.match(purser("audit").stdout, /^ *5–6 .*POST \/api\/switches.* → 400/m, "two lines of the log are one row");
  assert.match(purser("audit").stdout, /purser +gateway\.started[\s\S]*access\.refused[\s\S]*gateway\.stopped/);
  const right = purser("audit", "verify");
  assert.deepEqual([right.status, /^7 lines, none of them changed, missing or moved\./.test(right.stdout)], [0, true]);
  const file = join(stand.directory, "audit.jsonl");
  const lines = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, [...lines.slice(0, 1), ...lines.slice(2)].join("\n"));
  const wrong = purser("audit", "verify");
  assert.equal(wrong.status, 1);
  assert.match(wrong.stdout, /^Line 2 is number 3, where 2 follows: the one between was taken out\.\n/);
});
