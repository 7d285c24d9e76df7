/** What is run, in this order. Bytes are of the request; a pace of 20 ms is a model that writes 50 tokens a second. */
const PROXIES = ["direct", "plain", "nginx", "portkey", "purser", "purser-off", "purser-beside"];
const whole = { kind: "closed-loop", lanes: PROXIES };
const streams = (connections) => ({
  name: `streams-${connections}`,
  title: `Streams: ${connections.toLocaleString("en-US")} at once, a chunk every 20 ms`,
  kind: "streams",
  stream: true,
  bytes: 1024,
  connections,
  paceMs: 20,
  leadMs: 1000,
  // Half a stream is no measure of streams: these slices are longer.
  longer: 1.5,
  lanes: PROXIES,
});

export const SCENARIOS = {
  gateway: [
    {
      name: "json-1k",
      title: "Whole answers: 1 kB requests, 16 connections",
      bytes: 1024,
      connections: 16,
      ...whole,
      lanes: [...PROXIES, "refusal"],
    },
    { name: "json-32k", title: "Whole answers: 32 kB requests, 16 connections", bytes: 32 * 1024, connections: 16, ...whole },
    { name: "json-1m", title: "Whole answers: 1 MB requests, 8 connections", bytes: 1024 * 1024, connections: 8, ...whole },
    {
      name: "open-1000",
      title: "1,000 calls a second at random times, 1 kB, latency from the intended time",
      kind: "open-loop",
      rate: 1000,
      bytes: 1024,
      connections: 64,
      longer: 3,
      leadMs: 200,
      lanes: PROXIES,
    },
    {
      name: "paired",
      title: "One call at a time, compared with the direct call beside it",
      kind: "paired",
      bytes: 1024,
      turns: 150,
      lanes: PROXIES,
    },
  ],
  streams: [
    ...[1, 10, 100, 1000].map(streams),
    {
      name: "flood",
      title: "Streams: 16 at once, chunks as fast as they come",
      kind: "streams",
      stream: true,
      bytes: 1024,
      connections: 16,
      paceMs: 0,
      lanes: PROXIES,
    },
  ],
};

/** The same with next to nothing of everything: shows that all parts work, and measures nothing. */
export const SMOKE_SCENARIOS = {
  gateway: [
    { name: "json-1k", title: "Smoke: whole answers", bytes: 1024, connections: 4, ...whole, lanes: [...PROXIES, "refusal"] },
    { name: "json-1m", title: "Smoke: large requests", bytes: 1024 * 1024, connections: 2, ...whole },
    { name: "open-1000", title: "Smoke: calls at given times", kind: "open-loop", rate: 200, bytes: 1024, connections: 8, lanes: PROXIES },
    { name: "paired", title: "Smoke: one call at a time", kind: "paired", bytes: 1024, turns: 5, lanes: PROXIES },
  ],
  streams: [{ ...streams(8), title: "Smoke: streams", paceMs: 5, leadMs: 50 }],
};
