import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { PRESETS } from "../providers/presets/index.ts";
import { CONFIGURATION } from "./description.ts";
import type { JsonSchema } from "./field.ts";
import { examineConfig } from "./read-config.ts";
import { configurationSchema } from "./schema.ts";
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

test("an editor accepts what Purser reads, and refuses an unknown field as Purser does", () => {
  const schema = configurationSchema();
  for (const page of PAGES) {
    for (const [, text = ""] of readFileSync(join(ROOT, page), "utf8").matchAll(BLOCK)) {
      assert.deepEqual(violations(schema, parse(text), ""), [], `${page}:\n${text}`);
    }
  }
  assert.deepEqual(violations(schema, parse("budgets: [{ name: a, limit: [5] }]"), ""), ["/budgets/0/limit is unknown"]);
  assert.deepEqual(violations(schema, parse("on_disconnect: stop"), ""), ["/on_disconnect is none of the choices"]);
  assert.deepEqual(violations(schema, parse("budgets: [{ per: usr }]"), "").length, 2);
});

/** The keywords that the schema is made of. */
function violations(schema: JsonSchema, value: unknown, at: string): readonly string[] {
  const {
    type,
    enum: choices,
    pattern,
    required = [],
    properties = {},
    additionalProperties,
    items,
    anyOf,
  } = schema as {
    type?: string | string[];
    enum?: unknown[];
    pattern?: string;
    required?: string[];
    properties?: Record<string, JsonSchema>;
    additionalProperties?: JsonSchema | false;
    items?: JsonSchema;
    anyOf?: JsonSchema[];
  };
  if (anyOf) return anyOf.some((part) => violations(part, value, at).length === 0) ? [] : [`${at} fits no form`];
  const isRightType = type === undefined || [type].flat().some((name) => isOfType(name, value));
  if (!isRightType) return [`${at} is not ${type}`];
  if (choices && !choices.includes(value)) return [`${at} is none of the choices`];
  if ("const" in schema && schema.const !== value) return [`${at} is not ${schema.const}`];
  if (typeof value === "string")
    return pattern !== undefined && !new RegExp(pattern, "u").test(value) ? [`${at} does not fit ${pattern}`] : [];
  if (Array.isArray(value)) return items ? value.flatMap((item, index) => violations(items, item, `${at}/${index}`)) : [];
  if (value === null || typeof value !== "object") return [];
  return [
    ...required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${at}/${name} is missing`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      const field = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
      if (field === false) return [`${at}/${name} is unknown`];
      return field ? violations(field, inner, `${at}/${name}`) : [];
    }),
  ];
}

function isOfType(name: string, value: unknown): boolean {
  if (name === "integer") return Number.isInteger(value);
  if (name === "array") return Array.isArray(value);
  if (name === "null") return value === null;
  return name === "object" ? typeof value === "object" && value !== null && !Array.isArray(value) : typeof value === name;
}

function* fieldNames(schema: unknown): Generator<string> {
  if (schema === null || typeof schema !== "object") return;
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "properties") yield* Object.keys(value as object);
    yield* fieldNames(value);
  }
}
