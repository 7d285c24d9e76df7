import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Json, PLAIN_CALL, post } from "./calls.ts";
import { startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/** Not synchronously: the gateway whose ledger is read lives in this process, and goes on. */
async function recommended(cwd: string): Promise<Json> {
  const child = spawn(process.execPath, [MAIN, "recommend", "--data", cwd, "--json"], { cwd, stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  const [exit] = await once(child, "close");
  assert.equal(exit, 0, out);
  return JSON.parse(out);
}

test("a gateway that runs is told which of its budgets refused what, and that it is too early for amounts", async (context) => {
  const provider = await startRawProvider(context);
  const config = `${providersAt(provider.url)}
${PRICES}
budgets:
  - { name: tight, for: { team: deck }, limits: [2 requests / year] }
  - { name: trial, mode: observe, limits: [3 requests / year] }
  - { name: wide, limits: [$1000 / year] }
  - { name: nobody, for: { team: galley }, limits: [$1 / day] }
`;
  const stand = await startStand(context, { config, store: "sqlite" });
  await writeFile(join(stand.directory, "purser.yaml"), config);
  const statuses: number[] = [];
  for (const team of ["deck", "deck", "deck", "deck", "bridge", "bridge"])
    statuses.push((await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL, { "x-purser-team": team })).status);
  assert.deepEqual(statuses, [200, 200, 402, 402, 200, 200]);
  await stand.entries(4, "settled");
  const { reviews, proposals, refused_calls_left_out: left, whole_days: days, calls } = await recommended(stand.directory);
  assert.deepEqual([calls, left, days, proposals], [4, 2, 0, []]);
  assert.deepEqual(
    reviews.map((one: Json) => [one.budget, one.verdict, one.refused_calls, one.would_refuse_calls, one.fit]),
    [
      ["tight", "too tight", 2, 0, null],
      ["trial", "too tight", 0, 1, null],
      ["wide", "too early", 0, 0, null],
      ["nobody", "unused", 0, 0, null],
    ],
  );
  assert.equal((await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL, { "x-purser-team": "bridge" })).status, 200, "it goes on");
});
