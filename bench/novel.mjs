/**
 * A novel as a prompt, beside small calls: `node bench/novel.mjs [--rounds 8] [--seconds 2] [--rate 200] [--novels 4] [--file FILE]`.
 * Calls come at a fixed rate and their time counts from when they were due; novels come as fast as a gigabit a second carries them. In every round one slice is without novels and one with,
 * in random order; what is printed is the p99 of the small calls with novels over that without, the median of all rounds. It fails where that is more than
 * twice as long, or a novel was not refused.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import os from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { chatBody } from "./exchange.mjs";
import { CORES, spawnOn } from "./machine.mjs";
import { medianInterval, quantile, seededRandom } from "./statistics.mjs";
import { isPurserBuilt } from "./systems/purser.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const DATA = process.env.PURSER_TEST_DATA ?? join(HERE, "../../shared/data");
const PATH = "/v1/chat/completions";
/** Loopback would carry a novel in a millisecond, on the core that also times the small calls. No client is that near. */
const GIGABIT_BYTES_A_MS = 125_000;
/** What small calls beside novels may take at most, of what they take alone. */
const P99_RATIO_MOST = 2;
const agent = new Agent({ keepAlive: true });
const BUDGETS = "budgets: [{ name: all, limits: [$1000000 / month], request: { max_input: 8000 } }]";

if (isMainThread) await main();
else serveNovels(workerData);

async function main() {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "8" },
      seconds: { type: "string", default: "2" },
      rate: { type: "string", default: "200" },
      novels: { type: "string", default: "4" },
      file: { type: "string", default: join(DATA, "war-and-peace.txt") },
    },
  });
  const [rounds, seconds, rate, novels] = ["rounds", "seconds", "rate", "novels"].map((name) => Number(values[name]));
  if (!isPurserBuilt()) throw new Error("The gateway is not built. Run npm run build first.");
  const novel = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: readFileSync(values.file, "utf8") }] });
  const dir = mkdtempSync(join(os.tmpdir(), "purser-novel-"));
  const children = [];
  process.on("exit", () => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  const mock = spawnOn({ core: CORES?.measuring, command: process.execPath, args: [join(HERE, "mock-provider.mjs")], ipc: true });
  children.push(mock);
  const { port: upstreamPort } = await new Promise((resolve) => mock.once("message", resolve));
  const port = await startGateway({ dir, upstreamPort, children });
  const sender = new Worker(fileURLToPath(import.meta.url), { workerData: { port, novel, novels, seconds } });
  await besideNovels({ sender, port, seconds: 2, rate });

  const random = seededRandom(Date.now());
  const slices = [];
  for (let round = 0; round < rounds; round++) {
    const results = {};
    for (const kind of random() < 0.5 ? ["alone", "beside"] : ["beside", "alone"]) {
      results[kind] = kind === "alone" ? await runSlice({ port, seconds, rate }) : await besideNovels({ sender, port, seconds, rate });
    }
    slices.push(results);
  }
  const across = (measure) => medianInterval(slices.map(measure));
  const show = ({ median, low, high }, digits = 2) => `${median.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
  const refused = slices.reduce((sum, { beside }) => sum + beside.refused, 0);
  console.log(
    `${rounds} rounds of ${seconds} s, ${rate} small calls a second, ${novels} novels of ${(novel.length / 1e6).toFixed(1)} MB a second beside them`,
  );
  console.log(
    `novels refused with 413: ${refused}, in ${show(
      across(({ beside }) => beside.novelMs),
      1,
    )} ms each`,
  );
  for (const part of [0.5, 0.99]) {
    const name = `p${part * 100}`;
    console.log(
      `${name} alone ${show(across(({ alone }) => quantile(alone.times, part)))} ms, with novels ${show(across(({ beside }) => quantile(beside.times, part)))} ms`,
    );
    console.log(`${name} ratio ${show(across(({ alone, beside }) => quantile(beside.times, part) / quantile(alone.times, part)))}`);
  }
  const { median: p99Ratio } = across(({ alone, beside }) => quantile(beside.times, 0.99) / quantile(alone.times, 0.99));
  const isMissed = p99Ratio > P99_RATIO_MOST || refused < rounds * seconds * novels;
  console.log(isMissed ? "missed" : "reached");
  process.exit(isMissed ? 1 : 0);
}

async function startGateway({ dir, upstreamPort, children }) {
  const port = await freePort();
  const data = join(dir, "data");
  const config = join(dir, "purser.yaml");
  writeFileSync(config, `providers: { openai: { api_key: k, base_url: "http://127.0.0.1:${upstreamPort}/v1" } }\n${BUDGETS}\n`);
  const program = process.env.PURSER_PROGRAM ?? join(HERE, "../packages/gateway/dist/cli/main.js");
  const args = [program, "serve", "--config", config, "--port", String(port), "--data", data];
  children.push(
    spawnOn({
      core: CORES?.measured,
      command: process.execPath,
      args,
      env: { NODE_ENV: "production" },
      log: process.env.BENCH_LOG === undefined ? "ignore" : "inherit",
    }),
  );
  for (let tries = 0; tries < 200; tries++) {
    const status = await send({ port, path: "/readyz", method: "GET" }).catch(() => undefined);
    if (status === 200) return port;
    await wait(50);
  }
  throw new Error("The gateway did not start.");
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function send({ port, path = PATH, method = "POST", body, write = (call) => call.end(body) }) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const call = request({ agent, host: "127.0.0.1", port, path, method, headers }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode));
      response.on("error", reject);
    }).on("error", reject);
    write(call);
  });
}

async function writePaced(call, body) {
  const begin = performance.now();
  for (let at = 0; at < body.length; at += GIGABIT_BYTES_A_MS) {
    const early = begin + at / GIGABIT_BYTES_A_MS - performance.now();
    if (early > 0) await wait(early);
    call.write(body.subarray(at, at + GIGABIT_BYTES_A_MS));
  }
  call.end();
}

/** Small calls at a fixed rate; milliseconds from when each was due. */
async function runSlice({ port, seconds, rate }) {
  const body = chatBody({ bytes: 1000, stream: false });
  const times = [];
  const calls = [];
  const begin = performance.now();
  for (let i = 0; i < seconds * rate; i++) {
    const due = begin + (i * 1000) / rate;
    const early = due - performance.now();
    if (early > 0) await wait(early);
    calls.push(
      send({ port, body }).then((status) => {
        if (status !== 200) throw new Error(`A small call was answered ${status}.`);
        times.push(performance.now() - due);
      }),
    );
  }
  await Promise.all(calls);
  return { times };
}

/** The same, while a thread of its own sends novels: one that runs already, since to start one takes longer than any call. */
async function besideNovels({ sender, port, seconds, rate }) {
  const sent = new Promise((resolve, reject) => sender.once("message", resolve).once("error", reject));
  sender.postMessage("send");
  const { times } = await runSlice({ port, seconds, rate });
  return { times, ...(await sent) };
}

function serveNovels({ port, novel, novels, seconds }) {
  const body = Buffer.from(novel);
  parentPort.on("message", async () => parentPort.postMessage(await sendNovels({ port, body, novels, seconds })));
}

async function sendNovels({ port, body, novels, seconds }) {
  let refused = 0;
  const times = [];
  for (let i = 0; i < seconds * novels; i++) {
    const begin = performance.now();
    if ((await send({ port, body, write: (call) => void writePaced(call, body) })) === 413) refused++;
    times.push(performance.now() - begin);
    await wait(Math.max(0, 1000 / novels - (performance.now() - begin)));
  }
  return { refused, novelMs: quantile(times, 0.5) };
}
