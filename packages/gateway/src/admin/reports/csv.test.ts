import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "./csv.ts";

test("what a spreadsheet would run is a text, and a number below zero stays one", () => {
  const cells = ["=1+1", "+1", "@SUM(A1)", "-2+3+cmd|' /C calc'!A0", "-", "-5", "-0.000000001", "5", "a-b", ""];
  assert.equal(csv([cells]), "'=1+1,'+1,'@SUM(A1),'-2+3+cmd|' /C calc'!A0,'-,-5,-0.000000001,5,a-b,");
});

test("commas, quotes and line ends are kept within their cell", () => {
  assert.equal(csv([["a,b", 'c"d', "e\nf"], ["g"]]), '"a,b","c""d","e\nf"\ng');
});
