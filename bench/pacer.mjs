/** A thread that wakes its parent at each arrival of an open-loop load: timers of the main thread are a millisecond coarse, this one is not. */
import { parentPort, workerData } from "node:worker_threads";
import { clockMicros } from "./exchange.mjs";

const never = new Int32Array(new SharedArrayBuffer(4));
for (const due of workerData.arrivals) {
  const wait = workerData.startMicros + due - clockMicros();
  if (wait > 0) Atomics.wait(never, 0, 0, wait / 1000);
  parentPort.postMessage(null);
}
