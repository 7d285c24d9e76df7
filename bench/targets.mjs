/**
 * What is promised, as ratios of one run. Every measure is taken inside a round from slices that lie beside each other: `at(scenario, lane)` is the
 * slice of this round, and a missing one makes the measure NaN, which counts as not measured.
 */
export const TARGETS = [
  {
    command: "gateway",
    name: "1 kB: throughput / Portkey",
    measure: (at) => at("json-1k", "purser").perSecond / at("json-1k", "portkey").perSecond,
    better: "more",
    unit: "x",
    must: 15,
    goal: 25,
    moonshot: 32,
  },
  {
    command: "gateway",
    name: "1 kB: CPU / plain Node proxy that does no work",
    measure: (at) => at("json-1k", "purser").cpuMicrosPerAnswer / at("json-1k", "plain").cpuMicrosPerAnswer,
    better: "less",
    unit: "x",
    must: 1.25,
    goal: 0.8,
    moonshot: 0.65,
  },
  {
    command: "gateway",
    name: "1 kB: CPU / nginx",
    measure: (at) => at("json-1k", "purser").cpuMicrosPerAnswer / at("json-1k", "nginx").cpuMicrosPerAnswer,
    better: "less",
    unit: "x",
    must: 3.5,
    goal: 2.2,
    moonshot: 1.8,
  },
  {
    command: "gateway",
    name: "1 MB: throughput / Portkey",
    measure: (at) => at("json-1m", "purser").perSecond / at("json-1m", "portkey").perSecond,
    better: "more",
    unit: "x",
    must: 15,
    goal: 22,
    moonshot: 27,
  },
  {
    command: "gateway",
    name: "1 MB: CPU / nginx",
    measure: (at) => at("json-1m", "purser").cpuMicrosPerAnswer / at("json-1m", "nginx").cpuMicrosPerAnswer,
    better: "less",
    unit: "x",
    must: 3,
    goal: 1.6,
    moonshot: 1.2,
  },
  {
    command: "gateway",
    name: "idle: added p50, less one durable write / nginx's",
    measure: (at) => {
      const { addedP50, syncMicros } = at("paired", "purser");
      // Where the disk alone took longer than the whole call, nothing is known of the rest.
      return addedP50 > syncMicros ? (addedP50 - syncMicros) / at("paired", "nginx").addedP50 : Number.NaN;
    },
    better: "less",
    unit: "x",
    must: 2.5,
    goal: 1.4,
    moonshot: 1.25,
  },
  {
    command: "gateway",
    name: "1,000 calls/s: added p99",
    measure: (at) => (at("open-1000", "purser").latency?.p99 - at("open-1000", "direct").latency?.p99) / 1000,
    better: "less",
    unit: " ms",
    must: 3,
    goal: 1.5,
    moonshot: 0.7,
  },
  {
    command: "gateway",
    name: "budgets on / off, CPU",
    measure: (at) => at("json-1k", "purser").cpuMicrosPerAnswer / at("json-1k", "purser-off").cpuMicrosPerAnswer,
    better: "less",
    unit: "x",
    must: 1.25,
    goal: 1.05,
    moonshot: 1.02,
  },
  {
    command: "gateway",
    name: "a refusal / a served call, CPU",
    measure: (at) => at("json-1k", "refusal").cpuMicrosPerAnswer / at("json-1k", "purser").cpuMicrosPerAnswer,
    better: "less",
    unit: "x",
    must: 0.5,
    goal: 0.35,
    moonshot: 0.25,
  },
  {
    command: "streams",
    name: "100 streams: CPU per chunk / nginx",
    measure: (at) => at("streams-100", "purser").cpuMicrosPerChunk / at("streams-100", "nginx").cpuMicrosPerChunk,
    better: "less",
    unit: "x",
    must: 3.5,
    goal: 2.4,
    moonshot: 2,
  },
  {
    command: "streams",
    name: "100 streams: first token later by",
    measure: (at) => (at("streams-100", "purser").first?.p50 - at("streams-100", "direct").first?.p50) / 1000,
    better: "less",
    unit: " ms",
    must: 1,
    goal: 0.6,
    moonshot: 0.4,
  },
  {
    command: "streams",
    name: "1,000 streams: chunks delivered",
    measure: (at) => (100 * at("streams-1000", "purser").chunksPerSecond) / at("streams-1000", "direct").chunksPerSecond,
    better: "more",
    unit: " %",
    must: 90,
    goal: 98,
    moonshot: 99.5,
  },
];

/** Promised too, and measured by nothing here yet. */
export const NOT_MEASURED = [
  { command: "gateway", name: "two workers / one, two free cores", why: "two cores beside those of the load are needed" },
];

/** The best level that even the worse end of the interval reaches. */
export function levelReached({ better, must, goal, moonshot }, { low, high }) {
  const reaches = (level) => (better === "less" ? high <= level : low >= level);
  if (reaches(moonshot)) return "moonshot";
  if (reaches(goal)) return "goal";
  return reaches(must) ? "must" : "missed";
}
