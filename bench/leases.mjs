/**
 * `npm run bench -- leases`: several gateways on one store, in virtual time, with allotments and without: operations of the shared store for
 * each call, how full a limit gets before a call is refused, and what dying gateways cost. The figures of a seed are the same on every machine.
 *
 *   --seed N       (1)
 *   --minutes N    how long calls come in (10)
 *   --rate N       calls a second, of all gateways together (100)
 */
import { parseArgs } from "node:util";
import { simulateLeases } from "../packages/core/dist/testing/lease-simulation.js";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "10" },
    rate: { type: "string", default: "100" },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const common = { seed: Number(values.seed), callsPerSecond: Number(values.rate), durationMs };

const SCENES = [
  ["a normal day, 16 gateways, every call asked", { gateways: 16, demand: 0.9, leased: false }],
  ["a normal day, 4 gateways", { gateways: 4, demand: 0.9 }],
  ["a normal day, 16 gateways", { gateways: 16, demand: 0.9 }],
  ["a normal day, 64 gateways", { gateways: 64, demand: 0.9 }],
  ["too much demand, 16 gateways, every call asked", { gateways: 16, demand: 1.5, leased: false }],
  ["too much demand, 4 gateways", { gateways: 4, demand: 1.5 }],
  ["too much demand, 16 gateways", { gateways: 16, demand: 1.5 }],
  ["too much demand, 64 gateways", { gateways: 64, demand: 1.5 }],
  ["a normal day, 16 gateways, 10 of them die", { gateways: 16, demand: 0.9, crashes: 10 }],
  ["a normal day, 16 gateways, the store is away for 20 s", { gateways: 16, demand: 0.9, outages: [{ fromMs: 100_000, toMs: 120_000 }] }],
  ["a normal day, 16 gateways, 2 % of messages are lost", { gateways: 16, demand: 0.9, lost: 0.02 }],
];

const rows = [];
for (const [name, options] of SCENES) {
  const one = await simulateLeases({ ...common, ...options });
  rows.push({
    scene: name,
    "operations/call": (one.operations / one.calls).toFixed(3),
    "peak of limit": percent(one.peak),
    used: percent(one.used),
    charged: percent(one.charged),
    "first final refusal": one.usedAtFirstFinal === undefined ? "none" : percent(one.usedAtFirstFinal),
    "too early": `${one.prematureFinal} final, ${one.prematureBusy} for a moment`,
    failed: percent(one.failed / one.calls),
    "wait ms": `${one.waitMs.toFixed(2)}, most ${one.waitMostMs.toFixed(0)}`,
  });
}
console.table(Object.fromEntries(rows.map(({ scene, ...row }) => [scene, row])));

function percent(part) {
  return `${(100 * part).toFixed(2)} %`;
}
