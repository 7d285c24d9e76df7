/** Prints what a run found: for each scenario a table of lanes, and then what was promised beside what was measured. */
import { median, medianInterval } from "./statistics.mjs";
import { levelReached, NOT_MEASURED, TARGETS } from "./targets.mjs";

const ANCHORS = ["plain", "nginx", "portkey"];

/** The rounds of a scenario that count for a measure: those in which its numbers exist. */
export function acrossRounds(rounds, measure) {
  return rounds.map((slices) => measure((lane) => usable(slices[lane]))).filter(Number.isFinite);
}

/** A slice that others disturbed, or whose answers were wrong, counts for nothing. */
function usable(slice) {
  return slice === undefined || slice.isDisturbed || slice.failures > 0 ? {} : slice;
}

export function printScenario(scenario, rounds, notRun) {
  const names = Object.keys(rounds[0] ?? {});
  const lanes = scenario.lanes.filter((name) => names.includes(name));
  console.log(`\n${scenario.title}`);
  if (scenario.kind === "paired") printTable(pairedRows(lanes, rounds));
  else if (scenario.kind === "streams") printTable(streamRows(lanes, rounds));
  else printTable(wholeRows(lanes, rounds));
  for (const name of scenario.lanes) if (notRun[name]) console.log(`  ${name}: not run. ${notRun[name]}`);
  for (const lane of lanes) {
    const late = rounds.filter((round) => round[lane]?.isDrained === false).length;
    if (late > 0)
      console.log(
        `  ${lane}: over its capacity; in ${late} of ${rounds.length} rounds calls were unanswered five seconds after the slice.`,
      );
  }
  const slices = rounds.flatMap((round) => Object.values(round));
  const repeated = slices.reduce((sum, { dropped }) => sum + dropped.length, 0);
  const lost = slices.filter(({ isDisturbed }) => isDisturbed).length;
  const wrong = slices.reduce((sum, { failures }) => sum + failures, 0);
  console.log(`  ${slices.length} slices; ${repeated} repeated and ${lost} lost because others used the machine; ${wrong} wrong answers.`);
}

function wholeRows(lanes, rounds) {
  const isBeside = lanes.includes("purser-beside");
  const beside = (cell) => (isBeside ? [cell()] : []);
  const head = [
    "",
    "calls/s",
    "CPU µs",
    "CPU / plain",
    "CPU / nginx",
    ...beside(() => "CPU / beside"),
    "calls / Portkey",
    "p50 ms",
    "p99 ms",
    "MB",
    "rounds",
  ];
  return [
    head,
    ...lanes.map((lane) => [
      lane,
      whole(value(rounds, lane, "perSecond")) + loadBound(rounds, lane),
      tenths(value(rounds, lane, "cpuMicrosPerAnswer")),
      ratio(rounds, lane, "plain", (slice) => slice.cpuMicrosPerAnswer),
      ratio(rounds, lane, "nginx", (slice) => slice.cpuMicrosPerAnswer),
      ...beside(() => ratio(rounds, lane, "purser-beside", (slice) => slice.cpuMicrosPerAnswer)),
      ratio(rounds, lane, "portkey", (slice) => slice.perSecond),
      millis(acrossRounds(rounds, (at) => at(lane).latency?.p50)),
      millis(acrossRounds(rounds, (at) => at(lane).latency?.p99)),
      memory(rounds, lane),
      counted(rounds, lane),
    ]),
  ];
}

function streamRows(lanes, rounds) {
  const head = [
    "",
    "chunks/s",
    "of direct",
    "CPU µs a chunk",
    "CPU / plain",
    "CPU / nginx",
    "CPU / Portkey",
    "first later ms",
    "chunk p50 ms",
    "chunk p99 ms",
    "MB",
    "rounds",
  ];
  return [
    head,
    ...lanes.map((lane) => [
      lane,
      whole(value(rounds, lane, "chunksPerSecond")),
      percent(acrossRounds(rounds, (at) => at(lane).chunksPerSecond / at("direct").chunksPerSecond)),
      tenths(value(rounds, lane, "cpuMicrosPerChunk")),
      ...ANCHORS.map((anchor) => ratio(rounds, lane, anchor, (slice) => slice.cpuMicrosPerChunk)),
      millis(acrossRounds(rounds, (at) => at(lane).first?.p50 - at("direct").first?.p50)),
      millis(acrossRounds(rounds, (at) => at(lane).transit?.p50)),
      millis(acrossRounds(rounds, (at) => at(lane).transit?.p99)),
      memory(rounds, lane),
      counted(rounds, lane),
    ]),
  ];
}

function pairedRows(lanes, rounds) {
  const head = ["", "p50 ms", "added p50 ms", "added / nginx", "less a durable write ms", "rounds"];
  return [
    head,
    ...lanes.map((lane) => [
      lane,
      millis(acrossRounds(rounds, (at) => at(lane).p50)),
      lane === "direct" ? "" : millis(acrossRounds(rounds, (at) => at(lane).addedP50)),
      ratio(rounds, lane, "nginx", (slice) => slice.addedP50),
      lane.startsWith("purser") ? millis(acrossRounds(rounds, (at) => at(lane).addedP50 - at(lane).syncMicros)) : "",
      counted(rounds, lane),
    ]),
  ];
}

/** What was promised for a command beside what its scenarios gave. Returns the rows for the results file. */
export function printTargets(command, results, notRun) {
  const rows = TARGETS.filter((target) => target.command === command).map((target) => {
    const rounds = Math.max(0, ...Object.values(results).map((scenario) => scenario.length));
    const values = Array.from({ length: rounds }, (_, round) =>
      target.measure((scenario, lane) => usable(results[scenario]?.[round]?.[lane])),
    ).filter(Number.isFinite);
    const measured = medianInterval(values);
    const { measure: _measure, ...promise } = target;
    return { ...promise, measured, reached: measured === undefined ? "not run" : verdict(target, measured, rounds) };
  });
  console.log("\nTargets (median of the rounds, 95 % interval; a level is reached when the whole interval reaches it)");
  printTable([
    ["", "measured", "interval", "must", "goal", "moonshot", "reached"],
    ...rows.map(({ name, unit, better, measured, must, goal, moonshot, reached }) => {
      const sign = better === "less" ? "<= " : ">= ";
      const shown = measured ? [`${digits(measured.median)}${unit}`, `${digits(measured.low)} - ${digits(measured.high)}`] : ["", ""];
      return [name, ...shown, `${sign}${must}${unit}`, `${goal}${unit}`, `${moonshot}${unit}`, reached];
    }),
    ...NOT_MEASURED.filter((missing) => missing.command === command).map(({ name, why }) => [name, "", "", "", "", "", `not run: ${why}`]),
  ]);
  for (const [name, why] of Object.entries(notRun)) console.log(`  ${name}: not run. ${why}`);
  return rows;
}

/** Half of the rounds must have survived for a result to be one. */
function verdict(target, measured, rounds) {
  const reached = levelReached(target, measured);
  return measured.count * 2 < rounds ? `${reached}? (${measured.count} of ${rounds} rounds)` : reached;
}

export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  for (const row of rows)
    console.log(
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  ")}`.trimEnd(),
    );
}

const value = (rounds, lane, field) => acrossRounds(rounds, (at) => at(lane)[field]);

function ratio(rounds, lane, anchor, field) {
  if (lane === anchor || lane === "direct") return "";
  const interval = medianInterval(acrossRounds(rounds, (at) => field(at(lane)) / field(at(anchor))));
  return interval ? `${digits(interval.median)} (${digits(interval.low)}-${digits(interval.high)})` : "";
}

/** The load itself was at its end, so the system could have done more. */
function loadBound(rounds, lane) {
  const own = median(value(rounds, lane, "ownShare"));
  const system = median(value(rounds, lane, "systemShare"));
  return own > 0.95 && system < 0.9 ? "+" : "";
}

const counted = (rounds, lane) => `${value(rounds, lane, "foreignShare").length}/${rounds.length}`;
const memory = (rounds, lane) => (lane === "direct" ? "" : whole(value(rounds, lane, "residentBytes").map((bytes) => bytes / 1e6)));
const whole = (numbers) => (numbers.length === 0 ? "" : Math.round(median(numbers)).toLocaleString("en-US"));
const tenths = (numbers) => (numbers.length === 0 ? "" : median(numbers).toFixed(1));
const millis = (micros) => (micros.length === 0 ? "" : (median(micros) / 1000).toFixed(2));
const percent = (shares) => (shares.length === 0 ? "" : `${(100 * median(shares)).toFixed(1)} %`);
const digits = (number) => (Math.abs(number) >= 100 ? number.toFixed(0) : Math.abs(number) >= 10 ? number.toFixed(1) : number.toFixed(2));
