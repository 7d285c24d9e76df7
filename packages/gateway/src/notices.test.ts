import assert from "node:assert/strict";
import { test } from "node:test";
import { noticesTo } from "./notices.ts";

test("what goes wrong again and again is told now and then, and at once when it was said to be over", () => {
  const told: string[] = [];
  let now = 0;
  const { tell, tellOnce } = noticesTo(
    (notice) => told.push(`${now} ${notice}`),
    () => now,
  );
  for (now = 0; now < 12_000; now += 1_000) tellOnce("full");
  tell("room again");
  tellOnce("full");
  tellOnce("full");
  assert.deepEqual(told, ["0 full", "10000 full", "12000 room again", "12000 full"]);
});
