import assert from "node:assert/strict";
import { test } from "node:test";
import { styleFor } from "./style.ts";
import { bar, table } from "./table.ts";

test("columns are aligned whatever colours and letters are in them", () => {
  const { bold } = styleFor({ isTTY: true }, {});
  const text = table(
    ["Name", "Spent"],
    [
      [bold("Jürgen"), "$1"],
      ["→", bold("$1,000")],
    ],
    [1],
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters.
  assert.equal(text.replace(/\u001b\[\d+m/g, ""), "Name     Spent\nJürgen      $1\n→       $1,000");
});

test("a table of 200,000 rows is a table", () => {
  const text = table(
    ["Name"],
    Array.from({ length: 200_000 }, () => ["x"]),
  );
  assert.equal(text.split("\n").length, 200_001);
});

test("a bar is as long for every share, and full or empty only at the ends", () => {
  assert.deepEqual([0, 0.5, 1, 7, -1].map(bar), ["░".repeat(16), "████████░░░░░░░░", "█".repeat(16), "█".repeat(16), "░".repeat(16)]);
  for (let share = 0; share <= 1; share += 0.01) assert.equal([...bar(share)].length, 16);
});

test("colours appear on a terminal only, and never where they are unwanted", () => {
  assert.equal(styleFor({}, {}).red("a"), "a");
  assert.equal(styleFor({ isTTY: true }, { NO_COLOR: "1" }).red("a"), "a");
  assert.notEqual(styleFor({ isTTY: true }, {}).red("a"), "a");
});
