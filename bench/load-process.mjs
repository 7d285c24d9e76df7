/** The process that makes the load, started by the runner on the measuring core and told by messages what to do. */
import { callMany, loadSlice } from "./load.mjs";
import { pairedBlock } from "./paired.mjs";

const TASKS = { callMany, loadSlice, pairedBlock };

process.on("message", async ({ id, task, input }) => {
  try {
    process.send({ id, result: await TASKS[task](revive(input)) });
  } catch (error) {
    process.send({ id, error: error.stack ?? String(error) });
  }
});
process.on("disconnect", () => process.exit());
process.send({ ready: true });

/** Requests are bytes: messages carry them in base 64. */
function revive(input) {
  const request = input.request === undefined ? undefined : Buffer.from(input.request, "base64");
  const systems = input.systems?.map((system) => ({ ...system, request: Buffer.from(system.request, "base64") }));
  return { ...input, ...(request && { request }), ...(systems && { systems }) };
}
