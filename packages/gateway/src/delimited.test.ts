import assert from "node:assert/strict";
import { test } from "node:test";
import { csvRecords } from "./delimited.ts";

const failAt = (line: number) => (what: string) => new Error(`line ${line}: ${what}`);

test("records are read with the line on which each begins, whatever their values hold", () => {
  assert.deepEqual(csvRecords('\uFEFFa,b\r\n"one\r\ntwo, three","say ""aye"""\r\n\r\n x ,\n', failAt), [
    { line: 1, cells: ["a", "b"] },
    { line: 2, cells: ["one\r\ntwo, three", 'say "aye"'] },
    { line: 5, cells: ["x", ""] },
  ]);
  assert.deepEqual(csvRecords("", failAt), []);
  assert.deepEqual(csvRecords("a,", failAt), [{ line: 1, cells: ["a", ""] }]);
});

test("a quote where none can be is said with its line", () => {
  for (const text of ['a,b\nc,d"e\n', 'a,b\n"c,d\n', 'a,b\n"c"d,e\n'])
    assert.throws(() => csvRecords(text, failAt), /^Error: line 2: It is no CSV/, text);
});
