import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { configurationSchema, configurationSchemaText } from "./schema.ts";

const PUBLISHED = fileURLToPath(new URL("../../../../docs/reference/purser.schema.json", import.meta.url));

test("the published schema is the one that the reader is made from", () => {
  const hint = "Write configurationSchemaText() to docs/reference/purser.schema.json again.";
  assert.equal(readFileSync(PUBLISHED, "utf8"), configurationSchemaText(), hint);
});

test("every field of the schema says what it means", () => {
  const silent: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    const {
      properties = {},
      items,
      anyOf = [],
      description,
    } = schema as { properties?: object; items?: unknown; anyOf?: unknown[]; description?: string };
    // Below `for`, `of_input` and `base_url` the names speak for themselves.
    if (/\.(for|of_input|base_url)$/.test(path) || /^\.providers\.[a-z]+$/.test(path)) return;
    for (const [name, field] of Object.entries(properties)) {
      const inner = `${path}.${name}`;
      if (!(field as { description?: string }).description && path !== ".providers") silent.push(inner);
      visit(field, inner);
    }
    if (items) visit(items, path);
    for (const part of anyOf) visit(part, path);
    assert.notEqual(description, "");
  };
  visit(configurationSchema(), "");
  assert.deepEqual(silent, []);
});

test("the schema refuses unknown fields as the reader does", () => {
  const { additionalProperties, properties } = configurationSchema() as {
    additionalProperties: unknown;
    properties: Record<string, { items?: { additionalProperties?: unknown } }>;
  };
  assert.equal(additionalProperties, false);
  assert.equal(properties.budgets?.items?.additionalProperties, false);
});
