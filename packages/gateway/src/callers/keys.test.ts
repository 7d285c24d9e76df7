import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isAdminToken, readAdminToken, readOrCreateAdminToken } from "./admin-token.ts";
import { openKeys } from "./keys.ts";

const NOW = Date.UTC(2026, 10, 20);

function inFolder(run: (directory: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), "purser-keys-"));
    try {
      await run(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
}

describe("keys", () => {
  test(
    "a secret is found again and never stands in the file",
    inFolder(async (directory) => {
      const keys = await openKeys(directory);
      const { key, secret } = await keys.create({ name: "chatbot", attributes: { feature: "chatbot" }, maySet: ["user"] });
      assert.match(secret, /^pk-[\w-]{43}$/);
      assert.deepEqual(keys.find(secret, NOW), key);
      assert.equal(keys.find(`${secret}x`, NOW), undefined);
      const text = readFileSync(join(directory, "keys.json"), "utf8");
      assert.ok(text.includes(key.id) && !text.includes(secret) && !text.includes(secret.slice(3, 20)));
      assert.equal(JSON.stringify(keys.list()).includes("secret"), false);
    }),
  );

  test(
    "only the owner of the folder can read the file",
    { skip: process.platform === "win32" && "not run: Windows has no such file modes" },
    inFolder(async (directory) => {
      const keys = await openKeys(directory);
      await keys.create({ name: "a" });
      assert.equal(statSync(join(directory, "keys.json")).mode & 0o777, 0o600);
      await keys.create({ name: "b" });
      assert.equal(statSync(join(directory, "keys.json")).mode & 0o777, 0o600);
    }),
  );

  test(
    "keys survive a restart with all they say",
    inFolder(async (directory) => {
      const { key, secret } = await (await openKeys(directory)).create({
        name: "agent",
        attributes: { team: "eng", tags: { customer: "acme" } },
        maySet: ["session", "tag.*"],
        role: "admin",
        expiresAt: NOW + 1,
      });
      assert.deepEqual((await openKeys(directory)).find(secret, NOW), key);
    }),
  );

  test(
    "a key is refused from the moment it expires",
    inFolder(async (directory) => {
      const keys = await openKeys(directory);
      const { secret } = await keys.create({ name: "trial", expiresAt: NOW });
      assert.ok(keys.find(secret, NOW - 1));
      assert.equal(keys.find(secret, NOW), undefined);
    }),
  );

  test(
    "a key made or revoked by another process counts at once",
    inFolder(async (directory) => {
      let changes = 0;
      const server = await openKeys(directory, { freshMs: 0, onChange: () => changes++ });
      const commandLine = await openKeys(directory);
      assert.equal(server.isEmpty, true);
      const { key, secret } = await commandLine.create({ name: "new" });
      assert.equal(server.isEmpty, false);
      assert.equal(server.find(secret, NOW)?.id, key.id);
      assert.equal(await commandLine.revoke(key.id), true);
      assert.equal(server.find(secret, NOW), undefined);
      assert.equal(changes, 2);
    }),
  );

  test(
    "a revoked key keeps its name, and what stands in the file beside is no name",
    inFolder(async (directory) => {
      const keys = await openKeys(directory, { freshMs: 0 });
      const { key } = await keys.create({ name: "gone" });
      await keys.create({ name: "here" });
      await keys.revoke(key.id);
      await keys.create({ name: "later" });
      assert.deepEqual(await keys.revoked(), [{ id: key.id, name: "gone" }]);
      const file = join(directory, "keys.json");
      const document = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify({ ...document, revoked: [null, 5, { id: "key_x" }, { id: "key_y", name: "old" }] }));
      assert.deepEqual(await keys.revoked(), [{ id: "key_y", name: "old" }]);
      assert.equal(keys.list().length, 2);
    }),
  );

  test(
    "a new key works at once even while the last look at the file is good",
    inFolder(async (directory) => {
      const server = await openKeys(directory, { freshMs: 3_600_000 });
      const { key, secret } = await (await openKeys(directory)).create({ name: "new" });
      assert.equal(server.isEmpty, false);
      assert.equal(server.find(secret, NOW)?.id, key.id);
    }),
  );

  test(
    "revoking the last key, or losing the file, does not make everybody the owner",
    inFolder(async (directory) => {
      const keys = await openKeys(directory, { freshMs: 0 });
      const { key, secret } = await keys.create({ name: "only" });
      rmSync(join(directory, "keys.json"));
      assert.equal(keys.isEmpty, false);
      assert.ok(keys.find(secret, NOW));
      await keys.create({ name: "second" });
      assert.equal(await keys.revoke(key.id), false);
      for (const { id } of keys.list()) await keys.revoke(id);
      assert.equal(keys.isEmpty, false);
      assert.equal((await openKeys(directory)).isEmpty, false);
    }),
  );

  test(
    "two processes that make keys at the same time lose none",
    inFolder(async (directory) => {
      const [a, b] = [await openKeys(directory), await openKeys(directory)];
      const made = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).create({ name: `key ${i}` })));
      assert.deepEqual(
        (await openKeys(directory))
          .list()
          .map(({ id }) => id)
          .sort(),
        made.map(({ key }) => key.id).sort(),
      );
    }),
  );

  test(
    "a damaged file is refused at start, and does not stop the keys of a running server",
    inFolder(async (directory) => {
      const errors: unknown[] = [];
      const keys = await openKeys(directory, { freshMs: 0, onError: (error) => errors.push(error) });
      const { secret } = await keys.create({ name: "a" });
      writeFileSync(join(directory, "keys.json"), '{"version":1,"keys":[{');
      assert.ok(keys.find(secret, NOW));
      assert.ok(keys.find(secret, NOW));
      assert.equal(errors.length, 1);
      await assert.rejects(openKeys(directory), { code: "config_invalid" });
    }),
  );
});

describe("the owner's token", () => {
  test(
    "stays the same for a folder, and two servers that start together agree on it",
    inFolder(async (directory) => {
      assert.equal(await readAdminToken(directory), undefined);
      const [a, b] = await Promise.all([readOrCreateAdminToken(directory), readOrCreateAdminToken(directory)]);
      assert.equal(a, b);
      assert.equal(await readAdminToken(directory), a);
      assert.ok(isAdminToken(a, b));
      assert.equal(isAdminToken(`${a} `, a), false);
      if (process.platform !== "win32") assert.equal(statSync(join(directory, "admin.token")).mode & 0o777, 0o600);
    }),
  );
});
