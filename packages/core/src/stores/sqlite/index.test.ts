import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { storeContract } from "../../testing/index.ts";
import { openSqliteStore } from "./index.ts";

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "purser-store-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

for (const { name, run } of storeContract) {
  test(`SQLite store: ${name}`, async (t) => {
    const directory = temporaryDirectory(t);
    await run((options) => openSqliteStore({ directory, ...options }));
  });
}
