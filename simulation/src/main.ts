import { prepareBodies } from "./bodies.js";
import { prepareDisks } from "./disk.js";
import { World } from "./world.js";

Error.stackTraceLimit = 3;
const bodies = await prepareBodies();
await prepareDisks();
const first = Number(process.argv[2] ?? 1);
const many = Number(process.argv[3] ?? 1);
let requests = 0, events = 0, bad = 0;
const t = process.hrtime.bigint();
for (let seed = first; seed < first + many; seed++) {
  const outcome = await new World({ seed, minutes: 10, bodies }).run();
  requests += outcome.requests; events += outcome.events;
  if (outcome.failure) {
    bad++;
    console.log(`seed ${seed}:`, (outcome.failure.error as Error).stack?.split("\n").slice(0, many === 1 ? 12 : 3).join("\n"));
    if (many === 1) console.log(outcome.failure.history.join("\n"));
    if (bad > 12) break;
  }
  if (many === 1) console.log(outcome.hash, outcome.requests, outcome.events, outcome.checks);
}
const ms = Number(process.hrtime.bigint() - t) / 1e6;
console.log({ many, bad, requests, events, ms, perSecond: requests / ms * 1000 });
