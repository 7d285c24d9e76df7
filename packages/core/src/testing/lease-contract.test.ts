import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseContract } from "./lease-contract.ts";
import { leaseMutants } from "./lease-mutants.ts";

for (const { fault, caughtBy, open } of leaseMutants) {
  test(`the contract of leases catches a store that ${fault}`, async () => {
    const law = leaseContract.find(({ name }) => name === caughtBy);
    assert.ok(law, `there is no case "${caughtBy}"`);
    await assert.rejects(law.run(open), assert.AssertionError);
  });
}
