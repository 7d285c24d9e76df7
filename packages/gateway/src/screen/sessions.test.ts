import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { roleOf } from "../callers/identify.ts";
import { openKeys } from "../callers/keys.ts";
import { Sessions } from "./sessions.ts";

const DAY_MS = 86_400_000;
const TOKEN = `pa-${"a".repeat(43)}`;

describe("sessions", async () => {
  const directory = mkdtempSync(join(tmpdir(), "purser-sessions-"));
  after(() => rmSync(directory, { recursive: true, force: true }));
  const keys = await openKeys(directory);
  after(() => keys.close());
  let now = Date.UTC(2026, 10, 20);
  const open = (adminToken = TOKEN, isSecure = false) => new Sessions({ keys, adminToken, isSecure: () => isSecure, now: () => now });
  const brought = (setCookie: string | undefined) => ({ cookie: `theme=dark; ${(setCookie ?? "").split(";", 1)[0]}` });

  test("the owner's token opens a session of the owner, which no script and no other site can use", () => {
    const cookie = open().open(TOKEN);
    assert.match(cookie ?? "", /; HttpOnly; SameSite=Strict$/);
    assert.match(open(TOKEN, true).open(TOKEN) ?? "", /; Secure$/);
    const visitor = open().find(brought(cookie));
    assert.equal(visitor && roleOf(visitor.caller), "owner");
    assert.ok(!(cookie ?? "").includes(visitor?.csrf ?? "-"), "what proves that a request is the screen's own is not in the cookie");
  });

  test("a key opens a session that may do what the key may, until it is revoked", async () => {
    const { key, secret } = await keys.create({ name: "ann", attributes: { user: "ann" } });
    const cookie = open().open(secret);
    const visitor = open().find(brought(cookie));
    assert.deepEqual([visitor && roleOf(visitor.caller), visitor?.caller.subject], ["caller", { user: "ann", key: key.id }]);
    await keys.revoke(key.id);
    assert.equal(open().find(brought(cookie)), undefined);
  });

  test("what was changed, made by another or is over opens nothing", () => {
    const cookie = open().open(TOKEN) ?? "";
    assert.equal(open().open("pa-wrong"), undefined);
    const [content = "", signature = ""] = (cookie.split(";", 1)[0] ?? "").replace("purser_session=", "").split(".");
    const forged = Buffer.from(JSON.stringify({ key: null, ends: now + 365 * DAY_MS, nonce: "" })).toString("base64url");
    for (const value of [`${forged}.${signature}`, `${content}.`, content, "", `${content}.${signature}.x`])
      assert.equal(open().find({ cookie: `purser_session=${value}` }), undefined, value);
    assert.equal(open(`pa-${"b".repeat(43)}`).find(brought(cookie)), undefined);
    now += DAY_MS;
    assert.equal(open().find(brought(cookie)), undefined);
  });
});
