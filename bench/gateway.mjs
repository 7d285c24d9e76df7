/** The benchmarks of the gateway, whole answers and streams: runs the scenarios, prints the tables, and returns everything for the results file. */
import { CORES } from "./machine.mjs";
import { printScenario, printTargets } from "./report.mjs";
import { openBench, runPaired, runRounds, seededRandomOf, warmUp } from "./run.mjs";
import { SCENARIOS, SMOKE_SCENARIOS } from "./scenarios.mjs";

const WARM_CALLS = 4000;
const WARM_STREAMS = 200;
/** 16 connections of large bodies do not need as many: the code is warm, only its buffers are not. */
const WARM_LARGE_CALLS = 100;

export async function runGatewayBench(command, options) {
  const bench = await openBench(options);
  const random = seededRandomOf(options);
  const scenarios = (options.smoke ? SMOKE_SCENARIOS : SCENARIOS)[command].filter(
    ({ name }) => options.only === undefined || options.only.includes(name),
  );
  const { log } = options;
  try {
    log(
      CORES
        ? `Systems on core ${CORES.measured}, mock and load on core ${CORES.measuring}.`
        : "Not pinned: one core only, or no taskset. The figures are rough.",
    );
    await bench.mock("set", { paceMs: 0 });
    await warmUp(
      bench,
      options.smoke ? { count: 20, streams: 4 } : { count: WARM_CALLS, streams: command === "streams" ? WARM_STREAMS : 0 },
    );
    const results = {};
    for (const scenario of scenarios) {
      if (scenario.bytes > 100_000 && !options.smoke) await warmUp(bench, { count: WARM_LARGE_CALLS, bytes: scenario.bytes });
      const run = scenario.kind === "paired" ? runPaired : runRounds;
      results[scenario.name] = await run(bench, scenario, { rounds: options.rounds, random });
      printScenario(scenario, results[scenario.name], { ...bench.notRun, ...bench.broken });
    }
    const targets = options.smoke ? [] : printTargets(command, results, { ...bench.notRun, ...bench.broken });
    return { scenarios: results, targets, notRun: bench.notRun, broken: bench.broken };
  } finally {
    await bench.stop();
  }
}

/** What makes a run worthless: lanes that did not work, and answers that were not the provider's or that it never saw. */
export function faultsOf({ broken, scenarios }) {
  const slices = Object.values(scenarios).flatMap((rounds) => rounds.flatMap((round) => Object.entries(round)));
  const wrong = slices
    .filter(([, { failures }]) => failures > 0)
    .map(([lane, { failures, failure }]) => `${lane}: ${failures} wrong answers. ${failure}`);
  return [...Object.entries(broken).map(([lane, failure]) => `${lane} does not work: ${failure}`), ...wrong];
}
