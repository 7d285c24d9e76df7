/**
 * The latency that a system adds when nothing else is going on: every turn calls each system once, in random order, over its own connection, one after
 * the other, and takes the difference to the direct call of the same turn. What disturbs the machine disturbs both.
 */
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from "node:fs";
import { clockMicros } from "./exchange.mjs";
import { EXPECT, openCallers } from "./load.mjs";
import { busyNanos, cpuNanos } from "./machine.mjs";
import { quantile, seededRandom, shuffled } from "./statistics.mjs";

const SYNC_WRITES = 20;

/** One block of turns. `systems[0]` is the direct way. Returns the median latency and the median added latency of each system. */
export async function pairedBlock({ systems, turns, seed, syncFile, ownPids }) {
  const random = seededRandom(seed);
  let failure;
  const lanes = [];
  for (const { name, port, request, expect } of systems) {
    const record = { onAnswer: undefined, onChunk: undefined, onFailure: (text) => (failure ??= `${name}: ${text.slice(0, 600)}`) };
    const [caller] = await openCallers({ port, expect: EXPECT[expect], record, connections: 1 });
    lanes.push({ name, request: Buffer.from(request), caller, record, times: [] });
  }
  for (const lane of lanes) for (let warm = 0; warm < 3; warm++) await callOnce(lane);

  const sync = syncFile === undefined ? undefined : measureSync(syncFile);
  const busyBefore = busyNanos();
  const ownBefore = cpuNanos(ownPids);
  const startMicros = clockMicros();
  for (let turn = 0; turn < turns; turn++) {
    for (const lane of shuffled(lanes, random)) lane.times.push(await callOnce(lane));
  }
  const spanMicros = clockMicros() - startMicros;
  const foreignNanos = busyBefore === undefined ? 0 : busyNanos() - busyBefore - (cpuNanos(ownPids) - ownBefore);
  for (const lane of lanes) lane.caller.close();

  const direct = lanes[0].times;
  return {
    syncMicros: sync,
    failure,
    foreignShare: foreignNanos / 1000 / spanMicros,
    systems: Object.fromEntries(
      lanes.map(({ name, times }) => [
        name,
        {
          p50: quantile(times, 0.5),
          addedP50: quantile(
            times.map((time, turn) => time - direct[turn]),
            0.5,
          ),
          addedP90: quantile(
            times.map((time, turn) => time - direct[turn]),
            0.9,
          ),
        },
      ]),
    ),
  };
}

/** Latency of a whole answer, or of the first chunk of a stream. */
function callOnce({ caller, record, request }) {
  return new Promise((resolve) => {
    let first;
    record.onChunk = (_transit, sinceStart) => (first ??= sinceStart);
    record.onAnswer = () => resolve(first ?? clockMicros() - caller.startedMicros);
    caller.call(request);
  });
}

/**
 * What one durable write costs on the disk of the data directory: a gateway that may not forget a hold waits for one. It overwrites a file that has its
 * size already, as a journal that is used again does.
 */
function measureSync(path) {
  const page = Buffer.alloc(4096, 1);
  const file = openSync(path, "w");
  for (let write = 0; write < SYNC_WRITES; write++) writeSync(file, page);
  fsyncSync(file);
  const times = [];
  for (let write = 0; write < SYNC_WRITES; write++) {
    const start = clockMicros();
    writeSync(file, page, 0, page.length, write * page.length);
    fdatasyncSync(file);
    times.push(clockMicros() - start);
  }
  closeSync(file);
  return quantile(times, 0.5);
}
