import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { condensed } from "./condensed.ts";

const short = (value: unknown, indent = 0) => condensed(Buffer.from(JSON.stringify(value, undefined, indent)));

test("what is short stays as it is, and all of it is JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (value, indent) => {
      const written = JSON.stringify(value, undefined, indent);
      // Numbers of many digits become texts, and nothing else changes.
      assert.deepEqual(
        JSON.parse(condensed(Buffer.from(written))),
        JSON.parse(written, (_name, one) => asText(one)),
      );
    }),
  );
});

function asText(value: unknown): unknown {
  return typeof value === "number" && JSON.stringify(value).length > 15 ? JSON.stringify(value) : value;
}

test("long texts differ where the texts do, and keep how they begin", () => {
  const nasty = fc.string({ unit: fc.constantFrom('"', "\\", "é", "a", "\n"), minLength: 600, maxLength: 3_000 });
  fc.assert(
    fc.property(nasty, fc.nat(), (text, at) => {
      const place = at % text.length;
      const other = `${text.slice(0, place)}z${text.slice(place + 1)}`;
      assert.notEqual(short([text]), short([other]));
      assert.equal(typeof JSON.parse(short({ a: [text] })).a[0], "string");
    }),
  );
  const [said] = JSON.parse(short([`Error: no such file ${"x".repeat(5_000)}`]));
  assert.match(said, /^Error: no such file x+… \S{16}$/);
});
