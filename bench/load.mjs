/**
 * The load: calls over keep-alive sockets, each answer checked to the byte. Closed loop (the next call when the last one is answered), open loop
 * (calls at given times, whether or not earlier ones are answered, with the latency taken from the intended time), and streams.
 */
import { connect } from "node:net";
import { Worker } from "node:worker_threads";
import { ANSWER, CHUNKS, clockMicros, STAMP_AT, STAMP_DIGITS } from "./exchange.mjs";
import { MessageReader } from "./http-reader.mjs";
import { busyNanos, cpuNanos } from "./machine.mjs";
import { quantile, seededRandom } from "./statistics.mjs";

const RECEIVE_BYTES = 256 * 1024;
/** One buffer for all sockets: what is read is checked before the next read. */
const RECEIVE = { buffer: Buffer.allocUnsafe(RECEIVE_BYTES) };
const STREAM_BYTES = CHUNKS.reduce((sum, chunk) => sum + chunk.length, 0);
const DRAIN_MS = 5000;
const CALL_MANY_MS = 60_000;
const QUIET_MS = 60;

/** What answers must look like. */
export const EXPECT = {
  answer: { status: 200, check: () => new WholeCheck(ANSWER) },
  stream: { status: 200, check: (record) => new StreamCheck(record) },
  refusal: { status: 402, check: () => new AnyCheck() },
};

/** One keep-alive connection that makes one call at a time. */
export class Caller {
  startedMicros = 0;
  isBusy = false;
  #socket;
  #reader;
  #statusLine;
  #check;
  #record;
  #port;

  /** `record.onAnswer(caller)` follows every call; `record.onFailure(text)` comes before it if the answer was not the expected one. */
  constructor({ port, expect, record }) {
    this.#port = port;
    this.#record = record;
    this.#statusLine = `HTTP/1.1 ${expect.status}`;
    this.#check = expect.check(record);
  }

  open() {
    this.#reader = new MessageReader({ sink: this, isRequest: false });
    return new Promise((resolve, reject) => {
      const onread = { buffer: RECEIVE.buffer, callback: (length, buffer) => this.#receive(buffer.subarray(0, length)) };
      const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true, onread }, () => resolve(this));
      socket.on("error", (error) => {
        reject(error);
        this.#lose(error.message);
      });
      socket.on("close", () => this.#lose("The connection was closed before the answer was complete."));
      this.#socket = socket;
    });
  }

  call(request, intendedMicros) {
    this.isBusy = true;
    this.startedMicros = intendedMicros ?? clockMicros();
    this.#check.begin(this.startedMicros);
    this.#socket.write(request);
  }

  close() {
    this.#record = undefined;
    this.#socket?.destroy();
  }

  #receive(bytes) {
    try {
      this.#reader.read(bytes);
    } catch (error) {
      this.#socket.destroy();
      this.#lose(error.message);
    }
    return true;
  }

  onHead(startLine) {
    if (!this.isBusy) throw new Error("An answer came without a call.");
    if (!startLine.startsWith(this.#statusLine)) this.#check.reject(`The answer was "${startLine}".`);
  }

  onBody(bytes, start, end) {
    this.#check.onBody(bytes, start, end);
  }

  onEnd() {
    const failure = this.#check.end();
    this.#answered(failure);
  }

  /** A connection that ends in the middle of a call is a failed call; between calls the peer may close it, and a new one is opened. */
  #lose(reason) {
    const record = this.#record;
    if (record === undefined) return;
    this.#socket.removeAllListeners("close");
    const wasBusy = this.isBusy;
    this.open().then(
      () => wasBusy && this.#answered(reason),
      () => wasBusy && this.#answered(reason),
    );
  }

  #answered(failure) {
    this.isBusy = false;
    if (failure !== undefined) this.#record?.onFailure(failure);
    this.#record?.onAnswer?.(this);
  }
}

/** The body is these bytes. */
class WholeCheck {
  #expected;
  #at = 0;
  #failure;
  constructor(expected) {
    this.#expected = expected;
  }
  begin() {
    this.#at = 0;
    this.#failure = undefined;
  }
  reject(failure) {
    this.#failure ??= failure;
  }
  onBody(bytes, start, end) {
    const length = end - start;
    if (this.#at + length > this.#expected.length || bytes.compare(this.#expected, this.#at, this.#at + length, start, end) !== 0) {
      this.#failure ??= `The body differs: ${bytes.latin1Slice(start, Math.min(end, start + 300))}`;
    }
    this.#at += length;
  }
  end() {
    if (this.#at !== this.#expected.length) this.#failure ??= `The body has ${this.#at} bytes instead of ${this.#expected.length}.`;
    return this.#failure;
  }
}

/** The body is whatever it is; the status says enough. */
class AnyCheck {
  #failure;
  begin() {
    this.#failure = undefined;
  }
  reject(failure) {
    this.#failure ??= failure;
  }
  onBody() {}
  end() {
    return this.#failure;
  }
}

/** The body is the mock's stream, byte for byte but for the stamps, from which the time under way is taken. */
class StreamCheck {
  #record;
  #started = 0;
  #chunk = 0;
  #at = 0;
  #total = 0;
  #stamp = 0;
  #failure;
  constructor(record) {
    this.#record = record;
  }
  begin(startedMicros) {
    this.#started = startedMicros;
    this.#chunk = 0;
    this.#at = 0;
    this.#total = 0;
    this.#stamp = 0;
    this.#failure = undefined;
  }
  reject(failure) {
    this.#failure ??= failure;
  }
  onBody(bytes, start, end) {
    this.#total += end - start;
    let at = start;
    const now = clockMicros();
    while (at < end) {
      const expected = CHUNKS[this.#chunk];
      if (expected === undefined) {
        this.#failure ??= "The stream is longer than it was.";
        return;
      }
      const length = Math.min(end - at, expected.length - this.#at);
      this.#compare(bytes, at, length, expected);
      at += length;
      this.#at += length;
      if (this.#at === expected.length) this.#finishChunk(now);
    }
  }
  end() {
    if (this.#total !== STREAM_BYTES) this.#failure ??= `The stream has ${this.#total} bytes instead of ${STREAM_BYTES}.`;
    return this.#failure;
  }

  #compare(bytes, start, length, expected) {
    const from = this.#at;
    const to = from + length;
    const stampEnd = STAMP_AT + STAMP_DIGITS;
    const isSame = (left, right) => left >= right || bytes.compare(expected, left, right, start + left - from, start + right - from) === 0;
    if (!isSame(from, Math.min(to, STAMP_AT)) || !isSame(Math.max(from, stampEnd), to)) {
      this.#failure ??= `The stream differs in chunk ${this.#chunk}: ${bytes.latin1Slice(start, start + length)}`;
    }
    for (let index = Math.max(from, STAMP_AT); index < Math.min(to, stampEnd); index++) {
      this.#stamp = this.#stamp * 10 + bytes[start + index - from] - 48;
    }
  }

  #finishChunk(now) {
    this.#record.onChunk(now - this.#stamp, this.#chunk === 0 ? now - this.#started : undefined);
    this.#chunk++;
    this.#at = 0;
    this.#stamp = 0;
  }
}

/** Numbers in the order in which they came, without an allocation for each. */
class Series {
  length = 0;
  #numbers = new Float64Array(4096);
  push(number) {
    if (this.length === this.#numbers.length) {
      const larger = new Float64Array(this.length * 2);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.length++] = number;
  }
  between(from, to) {
    return this.#numbers.subarray(from, to);
  }
}

/**
 * Loads one system for a slice of time and returns what was seen in it. `systemPids` are the processes of the system, `ownPids` those of the measurement.
 * The slice starts `leadMs` after the load, so that connections are open and the load is steady.
 */
export async function loadSlice({ port, request, kind, expect, connections, seconds, leadMs, rate, seed, systemPids, ownPids }) {
  const record = {
    latencies: new Series(),
    transits: new Series(),
    firsts: new Series(),
    calls: 0,
    failures: 0,
    failure: undefined,
    onFailure(text) {
      record.failures++;
      record.failure ??= text.slice(0, 600);
    },
    onChunk(transit, first) {
      record.transits.push(transit);
      if (first !== undefined) record.firsts.push(first);
    },
    onAnswer: undefined,
  };
  const clock = { isStopped: false, onStop() {} };
  const before = readMeters({ systemPids, ownPids, record });
  const callers = await openCallers({ port, expect: EXPECT[expect], record, connections });
  const plan = { callers, request, record, clock, connections, leadMs, rate, seed, seconds };
  const stopped = kind === "open-loop" ? startOpenLoop(plan) : startClosedLoop(plan, kind === "streams" ? leadMs : 0);

  await delay(leadMs);
  const from = readMeters({ systemPids, ownPids, record });
  await delay(seconds * 1000);
  const to = readMeters({ systemPids, ownPids, record });

  clock.isStopped = true;
  clock.onStop();
  const isDrained = await Promise.race([stopped.then(() => true), delay(DRAIN_MS).then(() => false)]);
  for (const caller of callers) caller.close();
  await untilQuiet(systemPids);
  const after = readMeters({ systemPids, ownPids, record });

  const spanMicros = to.atMicros - from.atMicros;
  const count = to.answers - from.answers;
  const chunks = to.chunks - from.chunks;
  const latencies = record.latencies.between(from.answers, to.answers);
  const transits = record.transits.between(from.chunks, to.chunks);
  const firsts = record.firsts.between(from.firsts, to.firsts);
  const otherNanos = from.busy === undefined ? 0 : to.busy - from.busy - (to.system - from.system) - (to.own - from.own);
  return {
    seconds: spanMicros / 1e6,
    answers: count,
    perSecond: (count * 1e6) / spanMicros,
    latency: spread(latencies),
    chunks,
    chunksPerSecond: (chunks * 1e6) / spanMicros,
    transit: spread(transits),
    first: spread(firsts),
    failures: record.failures,
    // A system over its capacity may still owe answers: late is not wrong, but it is said.
    isDrained,
    failure: record.failure,
    calls: record.calls,
    systemMicros: (to.system - from.system) / 1000,
    cpuMicrosPerAnswer: count === 0 ? undefined : (to.system - from.system) / 1000 / count,
    cpuMicrosPerChunk: chunks === 0 ? undefined : (to.system - from.system) / 1000 / chunks,
    // Over everything from the first connection until the system is quiet again: work put off until after the slice would show here.
    cpuMicrosPerAnswerWithTail: after.answers === 0 ? undefined : (after.system - before.system) / 1000 / after.answers,
    ownShare: (to.own - from.own) / 1000 / spanMicros,
    systemShare: (to.system - from.system) / 1000 / spanMicros,
    foreignShare: otherNanos / 1000 / spanMicros,
  };
}

function readMeters({ systemPids, ownPids, record }) {
  return {
    atMicros: clockMicros(),
    busy: busyNanos(),
    system: cpuNanos(systemPids),
    own: cpuNanos(ownPids),
    answers: record.latencies.length,
    chunks: record.transits.length,
    firsts: record.firsts.length,
  };
}

/** Makes calls one after the other, without slices: to warm a system up, or to see that it works. */
export async function callMany({ port, request, expect, connections, count }) {
  const record = { failures: 0, failure: undefined, onChunk() {}, onAnswer: undefined, onFailure: undefined };
  record.onFailure = (text) => {
    record.failures++;
    record.failure ??= text.slice(0, 600);
  };
  const callers = await openCallers({ port, expect: EXPECT[expect], record, connections });
  let left = count;
  await new Promise((resolve) => {
    let busy = 0;
    const patience = setTimeout(() => {
      record.onFailure(`After ${CALL_MANY_MS / 1000} seconds ${left + busy} of ${count} calls are not answered.`);
      record.onAnswer = undefined;
      resolve();
    }, CALL_MANY_MS);
    const next = (caller) => {
      if (left > 0) {
        left--;
        busy++;
        caller.call(request);
      } else if (busy === 0) {
        clearTimeout(patience);
        resolve();
      }
    };
    record.onAnswer = (caller) => {
      busy--;
      next(caller);
    };
    for (const caller of callers) next(caller);
  });
  for (const caller of callers) caller.close();
  return { failures: record.failures, failure: record.failure };
}

export async function openCallers({ port, expect, record, connections }) {
  return Promise.all(Array.from({ length: connections }, () => new Caller({ port, expect, record }).open()));
}

/** Every connection makes its next call when the last one is answered. Starts are spread over `spreadMs`. Resolves when all are answered after the stop. */
function startClosedLoop({ callers, request, record, clock }, spreadMs) {
  return new Promise((resolve) => {
    let busy = callers.length;
    const start = (caller) => {
      if (clock.isStopped) {
        if (--busy === 0) resolve();
        return;
      }
      record.calls++;
      caller.call(request);
    };
    record.onAnswer = (caller) => {
      record.latencies.push(clockMicros() - caller.startedMicros);
      start(caller);
    };
    callers.forEach((caller, index) => {
      const waitMs = Math.floor((index * spreadMs) / callers.length);
      if (waitMs === 0) start(caller);
      else setTimeout(start, waitMs, caller);
    });
  });
}

/** Calls arrive at random times at a fixed mean rate, the same times for the same seed. A call that finds all connections busy waits, and its wait counts. */
function startOpenLoop({ callers, request, record, clock, leadMs, rate, seed, seconds }) {
  const random = seededRandom(seed);
  const arrivals = [];
  for (let at = 0; at < (leadMs + seconds * 1000) * 1000; at += (-Math.log(1 - random()) / rate) * 1e6) arrivals.push(at);
  const startMicros = clockMicros() + 20_000;
  const idle = [...callers];
  let next = 0;
  let answered = 0;
  return new Promise((resolve) => {
    const send = () => {
      const now = clockMicros() - startMicros;
      while (idle.length > 0 && next < arrivals.length && arrivals[next] <= now) {
        record.calls++;
        idle.pop().call(request, startMicros + arrivals[next++]);
      }
    };
    record.onAnswer = (caller) => {
      record.latencies.push(clockMicros() - caller.startedMicros);
      answered++;
      idle.push(caller);
      if (!clock.isStopped) send();
      else if (answered === next) resolve();
    };
    const pacer = new Worker(new URL("./pacer.mjs", import.meta.url), { workerData: { arrivals, startMicros } });
    pacer.on("message", () => clock.isStopped || send());
    clock.onStop = () => {
      pacer.terminate();
      if (answered === next) resolve();
    };
  });
}

/** Waits until a system has done what it put off, so that the next slice does not pay for it. */
async function untilQuiet(pids) {
  for (let tries = 0; tries < 30; tries++) {
    const start = cpuNanos(pids);
    await delay(QUIET_MS);
    if ((cpuNanos(pids) - start) / 1e6 < QUIET_MS * 0.05) return;
  }
}

function spread(numbers) {
  return numbers.length === 0
    ? undefined
    : { p50: quantile(numbers, 0.5), p99: quantile(numbers, 0.99), max: quantile(numbers, 1), count: numbers.length };
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
