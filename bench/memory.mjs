/**
 * What streams leave behind in memory: `npm run bench -- memory [--streams 100] [--rounds 12] [--count 2000]`.
 * In every round each system passes so many streams, so many at once, and then its memory is read, as its operator sees it. It is flat where the last third of
 * the rounds needs no more than the third before it, but for a twentieth: what grows with every stream does not stop growing.
 */
import { parseArgs } from "node:util";
import { chatBody, httpRequest } from "./exchange.mjs";
import { residentBytes } from "./machine.mjs";
import { printTable } from "./report.mjs";
import { openBench, warmUp } from "./run.mjs";
import { median } from "./statistics.mjs";

const LANES = ["plain", "nginx", "purser"];
const PATH = "/v1/chat/completions";
const FLAT_MOST = 1.05;

const { values } = parseArgs({
  options: {
    streams: { type: "string", default: "100" },
    rounds: { type: "string", default: "12" },
    count: { type: "string", default: "2000" },
  },
});
const [streams, rounds, count] = ["streams", "rounds", "count"].map((name) => Number(values[name]));
const bench = await openBench({ systems: LANES, log: console.log });
try {
  // Chunks as fast as they come: memory is a matter of how many pass, not of how long they take.
  await bench.mock("set", { paceMs: 0 });
  await warmUp(bench, { count: 100, streams });
  const lanes = LANES.map((name) => bench.lanes[name]).filter((lane) => lane !== undefined);
  const megabytes = new Map(lanes.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const lane of lanes) {
      const request = httpRequest({ port: lane.port, path: PATH, headers: lane.headers, body: chatBody({ bytes: 1024, stream: true }) });
      const { failure } = await bench.load("callMany", { port: lane.port, connections: streams, count, request, expect: "stream" });
      if (failure !== undefined) throw new Error(`${lane.name}: ${failure}`);
      megabytes.get(lane.name).push(residentBytes(lane.pids) / 1e6);
    }
  }
  console.log(
    `${(rounds * count).toLocaleString("en-US")} streams through each system, ${streams} at once; memory in MB after every ${count.toLocaleString("en-US")}`,
  );
  printTable([
    ["", ...Array.from({ length: rounds }, (_, round) => String(round + 1)), "last / middle third"],
    ...lanes.map(({ name }) => [name, ...megabytes.get(name).map((size) => size.toFixed(0)), growth(megabytes.get(name)).toFixed(3)]),
  ]);
  const grown = growth(megabytes.get("purser") ?? []);
  console.log(grown <= FLAT_MOST ? "The memory of the gateway is flat." : "The memory of the gateway grows with the streams.");
  process.exitCode = grown <= FLAT_MOST ? 0 : 1;
} finally {
  await bench.stop();
}

/** How the last third of some figures compares with the third before it. */
function growth(figures) {
  const third = Math.floor(figures.length / 3);
  return median(figures.slice(-third)) / median(figures.slice(-2 * third, -third));
}
