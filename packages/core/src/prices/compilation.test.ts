import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { calcPrice, waitForUpdate } from "@pydantic/genai-prices";
import { costOf } from "../domain/price.ts";
import { CATALOGUE_JSON } from "./catalogue.ts";
import { OVERLAY } from "./overlay.ts";
import { catalogueCard, stemOf } from "./resolution.ts";

const root = new URL("../../../../", import.meta.url);
const script = (await import(new URL("scripts/compile-prices.mjs", root).href)) as {
  compile(): Promise<{ catalogue: string; differences: string }>;
  stemOf(name: string): string;
};

test("the committed catalogue is what the pinned sources compile to", async () => {
  const compiled = await script.compile();
  const committed = (name: string) => readFile(new URL(`packages/core/src/prices/${name}`, root), "utf8");
  // Compared by a flag, because a diff of 300 kB helps nobody.
  assert.ok(compiled.catalogue === (await committed("catalogue.ts")), "catalogue.ts is out of date: run node scripts/compile-prices.mjs");
  assert.ok(
    compiled.differences === (await committed("differences.md")),
    "differences.md is out of date: run node scripts/compile-prices.mjs",
  );
});

test("the script and the price book cut a name to the same stem", () => {
  const names = [
    "claude-sonnet-4-5-20250929",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-sonnet-4-5@20250929",
    "gpt-5-nano-",
    "gpt-5-nano-2025-08-07",
    "magistral-medium-latest",
    "mistral-large-2411",
    "GPT-4o",
    "nvidia.nemotron-nano-9b-v2:0",
  ];
  for (const name of names) assert.equal(stemOf(name), script.stemOf(name), name);
  assert.equal(stemOf("claude-sonnet-4-5-20250929"), "claude-sonnet-4-5");
  assert.equal(stemOf("mistral-large-2411"), "mistral-large-2411");
});

test("every row that is kept by hand says where it was read and when", () => {
  for (const row of OVERLAY) {
    assert.ok(row.source.length > 10, String(row.model));
    assert.match(row.read, /^\d{4}-\d{2}-\d{2}$/, String(row.model));
  }
});

test("no name in the catalogue is priced below what its source calculates, on any day, at any size", async () => {
  const providers = (await waitForUpdate()) ?? [];
  const names = JSON.parse(CATALOGUE_JSON) as Record<
    string,
    readonly { readonly names: readonly string[]; readonly stems?: readonly string[] }[]
  >;
  let compared = 0;
  for (const provider of providers) {
    for (const { names: whole, stems = [] } of names[provider.id] ?? []) {
      for (const name of [...whole, ...stems.map((stem) => `${stem}-20250929`)]) {
        for (const [time, inputTokens] of [
          // In the evening, because the base applies a later era's hours to days before it.
          ["2025-01-15T20:00:00Z", 1_000],
          ["2026-11-22T02:00:00Z", 150_000],
          ["2026-11-22T02:00:00Z", 400_000],
        ] as const) {
          const timestamp = new Date(time);
          const usage = { input_tokens: inputTokens, cache_read_tokens: 400, output_tokens: 777 };
          const theirs = calcPrice(usage, name, { provider, timestamp });
          const ours = catalogueCard(provider.id, name, time.slice(0, 10));
          if (!theirs || !ours) continue;
          compared++;
          const cost = costOf(ours, { inputTokens, cacheReadInputTokens: 400, outputTokens: 777 });
          assert.ok(cost >= theirs.total_price * 1e9 - 1, `${provider.id}/${name} at ${time}: ${cost} < ${theirs.total_price * 1e9}`);
        }
      }
    }
  }
  assert.ok(compared > 5_000, `${compared} prices compared`);
});
