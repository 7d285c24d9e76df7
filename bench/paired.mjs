/**
 * The latency that a system adds when nothing else is going on: every turn calls each system once, in random order, over its own connection, one after
 * the other, and takes the difference to the direct call of the same turn. What disturbs the machine disturbs both.
 */
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from "node:fs";
import { clockMicros } from "./exchange.mjs";
import { EXPECT, openCallers } from "./load.mjs";
import { busyNanos, cpuNanos } from "./machine.mjs";
import { quantile, seededRandom, shuffled } from "./statistics.mjs";

/** Pages of the file that is written to. */
const SYNC_PAGES = 20;
/** The turn after a write finds its processes asleep, so there are few of them. */
const TURNS_A_WRITE = 10;

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

  const disk = syncFile === undefined ? undefined : new Disk(syncFile);
  const busyBefore = busyNanos();
  const ownBefore = cpuNanos(ownPids);
  const startMicros = clockMicros();
  for (let turn = 0; turn < turns; turn++) {
    for (const lane of shuffled(lanes, random)) lane.times.push(await callOnce(lane));
    if (turn % TURNS_A_WRITE === 0) disk?.write();
  }
  const spanMicros = clockMicros() - startMicros;
  const foreignNanos = busyBefore === undefined ? 0 : busyNanos() - busyBefore - (cpuNanos(ownPids) - ownBefore);
  for (const lane of lanes) lane.caller.close();

  const direct = lanes[0].times;
  return {
    syncMicros: disk?.close(),
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
 * The disk under the journal: what one durable write costs, which a gateway that may not forget a hold waits for. It overwrites a file that has its size
 * already, as a journal that is used again does, between the turns, since others use the disk too.
 */
class Disk {
  #page = Buffer.alloc(4096, 1);
  #times = [];
  #file;

  constructor(path) {
    this.#file = openSync(path, "w");
    for (let write = 0; write < SYNC_PAGES; write++) writeSync(this.#file, this.#page);
    fsyncSync(this.#file);
  }

  write() {
    const start = clockMicros();
    writeSync(this.#file, this.#page, 0, this.#page.length, (this.#times.length % SYNC_PAGES) * this.#page.length);
    fdatasyncSync(this.#file);
    this.#times.push(clockMicros() - start);
  }

  /** The median of all writes, in microseconds. */
  close() {
    closeSync(this.#file);
    return quantile(this.#times, 0.5);
  }
}
