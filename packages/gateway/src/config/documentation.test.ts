import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PRESETS } from "../providers/presets/index.ts";
import { CONFIGURATION } from "./description.ts";
import { examineConfig } from "./read-config.ts";
import { problemText } from "./source.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const PAGES = ["README.md", ...markdownUnder("docs")];
/** Blocks marked `yaml` alone are configuration; those of other programs say whose they are: `yaml compose`. */
const BLOCK = /^```yaml\n([\s\S]*?)^```$/gm;

function markdownUnder(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));
}

test("every configuration in the documentation is one that Purser reads without a doubt", () => {
  let blocks = 0;
  for (const page of PAGES) {
    for (const [, text = ""] of readFileSync(join(ROOT, page), "utf8").matchAll(BLOCK)) {
      blocks++;
      const environment = Object.fromEntries([...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => [name, "secret"]));
      const { problems, warnings } = examineConfig({ file: page, text, environment });
      assert.deepEqual([...problems, ...warnings].map(problemText), [], `${page}:\n${text}`);
    }
  }
  assert.ok(blocks >= 10, `${blocks} blocks found`);
});

test("the reference names every field, and every preset", () => {
  const reference = readFileSync(join(ROOT, "docs/reference/configuration.md"), "utf8");
  const missing = [...fieldNames(CONFIGURATION.schema)].filter((name) => !new RegExp(`\\b${name}\\b`).test(reference));
  assert.deepEqual(missing, []);
  for (const name of PRESETS.keys()) assert.ok(reference.includes(`| \`${name}\` |`), name);
});

function* fieldNames(schema: unknown): Generator<string> {
  if (schema === null || typeof schema !== "object") return;
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "properties") yield* Object.keys(value as object);
    yield* fieldNames(value);
  }
}
