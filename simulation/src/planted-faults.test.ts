import assert from "node:assert/strict";
import { test } from "node:test";
import { prepareBodies } from "./bodies.js";
import { prepareDisks } from "./disk.js";
import { PLANTED_FAULTS } from "./planted-faults.js";
import { Violation } from "./violation.js";
import { World } from "./world.js";

/** Each is found much sooner; a law that needs more seeds than this is not worth much. */
const SEEDS_MOST = 60;

for (const { fault, laws, scenario, ...broken } of PLANTED_FAULTS) {
  test(`the simulation finds one who ${fault}`, async (t) => {
    const bodies = await prepareBodies();
    await prepareDisks();
    for (let seed = 1; seed <= SEEDS_MOST; seed++) {
      const { failure } = await new World({ seed, minutes: 10, bodies, scenario, broken }).run();
      if (!failure) continue;
      const { error } = failure;
      assert.ok(error instanceof Violation, String(error));
      assert.ok(laws.includes(error.law), `law ${error.law}: ${error.message}`);
      t.diagnostic(`seed ${seed}, event ${failure.event}: law ${error.law}, ${error.message}`);
      return;
    }
    assert.fail(`not found with ${SEEDS_MOST} seeds`);
  });
}
