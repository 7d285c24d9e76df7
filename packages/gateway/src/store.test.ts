import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Budgets } from "@purser/core";
import { readConfig } from "./config/read-config.ts";
import { openStore } from "./store.ts";

test("a start tells once how many calls the process before it left open", async (context) => {
  const dataDir = mkdtempSync(join(tmpdir(), "purser-store-"));
  context.after(() => rmSync(dataDir, { recursive: true }));
  const text = `data: ${JSON.stringify(dataDir)}\nbudgets: [{ name: all, limits: [1M tokens] }]`;
  const config = readConfig({ text, environment: {} });
  const start = async () => {
    const notices: string[] = [];
    const { store } = await openStore(config, { onNotice: (notice) => notices.push(notice), onError: (error) => assert.ifError(error) });
    return { store, notices };
  };
  const first = await start();
  const budgets = new Budgets({ store: first.store, budgets: config.budgets, prices: { card: () => undefined } });
  for (const id of ["a", "b"]) await budgets.reserve({ id, subject: { model: "m" }, input: { most: 10 }, output: { most: 10 } });
  await first.store.close();
  const second = await start();
  assert.equal(second.notices.length, 1);
  assert.match(
    String(second.notices[0]),
    /^2 calls were left open by the process before this one\..* charged at their estimate, unconfirmed\.$/,
  );
  await second.store.close();
  const third = await start();
  assert.deepEqual([first.notices, third.notices], [[], []]);
  await third.store.close();
});
