import assert from "node:assert/strict";
import { test } from "node:test";
import { keyNames } from "./key-names.ts";

test("a key is called by its name, and two of the same name are told apart", () => {
  const names = keyNames([
    { id: "key_1", name: "app" },
    { id: "key_2", name: "bot" },
    { id: "key_3", name: "app" },
  ]);
  assert.deepEqual([...names.values()], ["app (key_1)", "bot", "app (key_3)"]);
});
