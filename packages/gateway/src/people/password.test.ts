import assert from "node:assert/strict";
import { test } from "node:test";
import { hashPassword, isPassword, isPasswordHash, passwordProblem } from "./password.ts";

test("a password is kept as a hash that is dear to guess, and another one every time", async () => {
  const [one, other] = await Promise.all([hashPassword("seven seas and more"), hashPassword("seven seas and more")]);
  assert.match(one, /^scrypt\$ln=15,r=8,p=3\$[\w-]{22}\$[\w-]{43}$/);
  assert.notEqual(one, other);
  assert.ok(isPasswordHash(one));
  assert.ok(await isPassword("seven seas and more", one));
  assert.ok(!(await isPassword("Seven seas and more", one)));
  assert.ok(!(await isPassword("", one)));
});

test("the same letters are the same password, however they are typed, and nobody's opens nothing", async () => {
  const hash = await hashPassword("caf\u00e9 by the harbour", { log: 10, blocks: 8, times: 1 });
  assert.ok(await isPassword("cafe\u0301 by the harbour", hash));
  assert.ok(!(await isPassword("café by the harbour", undefined)));
  assert.ok(!(await isPassword("a".repeat(1_000_000), hash)));
});

test("a hash that would take a machine's memory, or costs nothing, is none", () => {
  const tail = `$${"A".repeat(22)}$${"A".repeat(43)}`;
  for (const costs of ["ln=30,r=8,p=1", "ln=15,r=99,p=1", "ln=15,r=8,p=99", "ln=1,r=8,p=1", "ln=15,r=0,p=1"])
    assert.ok(!isPasswordHash(`scrypt$${costs}${tail}`), costs);
  assert.ok(isPasswordHash(`scrypt$ln=15,r=8,p=3${tail}`));
  assert.ok(!isPasswordHash("seven seas and more"));
});

test("a password that is soon guessed is not taken", () => {
  assert.match(passwordProblem("123456789") ?? "", /fewer than 10/);
  assert.match(passwordProblem("a".repeat(257)) ?? "", /more than 256/);
  assert.equal(passwordProblem("1234567890"), undefined);
});
