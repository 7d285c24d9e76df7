import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "./index.ts";

const PAGES = fileURLToPath(new URL("../../../docs/reference/errors/", import.meta.url));

test("every error code has a page that says why and what to do, and no page is left over", () => {
  const pages = readdirSync(PAGES).filter((file) => file !== "README.md");
  assert.deepEqual(pages.map((file) => file.replace(/\.md$/, "")).sort(), Object.keys(ERROR_CODES).sort());
  for (const file of pages) {
    const page = readFileSync(`${PAGES}${file}`, "utf8");
    assert.match(page, /## Why\n\n.+\n\n## What to do\n\n.+/, file);
  }
});

test("the index of errors names every page", () => {
  const index = readFileSync(`${PAGES}README.md`, "utf8");
  for (const code of Object.keys(ERROR_CODES)) assert.ok(index.includes(`(${code}.md)`), code);
});
