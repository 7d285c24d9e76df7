import assert from "node:assert/strict";
import { test } from "node:test";
import { mutantStores } from "./mutant-stores.ts";
import { storeContract } from "./store-contract.ts";

for (const { fault, caughtBy, open } of mutantStores) {
  test(`the contract catches a store that ${fault}`, async () => {
    const law = storeContract.find(({ name }) => name === caughtBy);
    assert.ok(law, `there is no case "${caughtBy}"`);
    await assert.rejects(law.run(open), assert.AssertionError);
  });
}
