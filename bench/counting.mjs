/**
 * How fast tokens are counted, beside other packages: every slice of text is new to every counter (after a warm-up on other text of its kind), and the counters take turns in random
 * order on the same slice, so that only ratios of one slice are compared.
 *   node bench/counting.mjs [--peers DIRECTORY]
 * Peers (gpt-tokenizer, tiktoken, bpe-openai-wasm) and texts in other languages (quran-json, and the messages of typescript 5) come from packages installed in DIRECTORY:
 *   npm install --prefix DIRECTORY gpt-tokenizer@4.0.0 tiktoken@1.0.22 bpe-openai-wasm@0.1.0 quran-json@3.1.2 typescript@5.9.3
 * What is not installed is named as not run. The novel is read from PURSER_TEST_DATA.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { deflateRawSync } from "node:zlib";
import { median, seededRandom, shuffled } from "./statistics.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SLICE_BYTES = 40_000;
const SLICES_MAX = 9;
const WARM_SLICES_MAX = 8;

/** Rows `{ name, corpus, mbPerSecond, ratio }`, the geometric means of the ratios to gpt-tokenizer, the gate's times, and what did not run. */
export async function runCounting({ peers = join(os.tmpdir(), "purser-bench-peers"), seed = 1 } = {}) {
  const random = seededRandom(seed);
  const notRun = {};
  const { counters, loadMs } = await loadCounters(peers, notRun);
  const corpora = readCorpora(peers, notRun);
  const rows = [];
  for (const [corpus, text] of Object.entries(corpora)) {
    const { warm, slices } = sliced(text);
    for (const counter of Object.values(counters)) for (const slice of warm) counter(slice);
    const speeds = Object.fromEntries(Object.keys(counters).map((name) => [name, []]));
    for (const slice of slices) {
      const counts = new Set();
      for (const [name, counter] of shuffled(Object.entries(counters), random)) {
        const start = performance.now();
        counts.add(counter(slice));
        speeds[name].push(Buffer.byteLength(slice) / 1000 / (performance.now() - start));
      }
      if (counts.size > 1) notRun[`agreement on ${corpus}`] = `The counters differ: ${[...counts].join(", ")}.`;
    }
    for (const name of Object.keys(counters)) {
      const ratio = speeds["gpt-tokenizer"] && median(speeds[name].map((speed, i) => speed / speeds["gpt-tokenizer"][i]));
      rows.push({ name, corpus, mbPerSecond: median(speeds[name]), ratio });
    }
  }
  const geometricMeans = Object.fromEntries(
    Object.keys(counters).map((name) => {
      const ratios = rows.filter((row) => row.name === name && row.ratio).map((row) => Math.log(row.ratio));
      return [name, ratios.length > 0 ? Math.exp(ratios.reduce((sum, log) => sum + log, 0) / ratios.length) : undefined];
    }),
  );
  return { rows, geometricMeans, gates: await gates(corpora), loadMs, notRun };
}

/** How long it takes to refuse a whole novel, and to count a paste of 50,000 words: medians of nine. */
async function gates({ english }) {
  if (!english) return {};
  const { countTokens } = await import("@purser/core/tokens");
  const novel = readFileSync(novelPath(), "utf8");
  const time = async (text, limit) => {
    const times = [];
    for (let i = 0; i < 9; i++) {
      const start = performance.now();
      await countTokens("gpt-4o", { texts: [text], messages: 1 }, limit);
      times.push(performance.now() - start);
    }
    return median(times);
  };
  return {
    refuseNovelAbove8kMs: await time(novel, 8_000),
    refuseNovelAbove128kMs: await time(novel, 128_000),
    countPasteMs: await time(novel.slice(400_000, 685_000)),
  };
}

async function loadCounters(peers, notRun) {
  const { loadEncoding } = await import("@purser/core/tokens");
  const start = performance.now();
  const encoding = await loadEncoding("o200k");
  const loadMs = performance.now() - start;
  const counters = { purser: (text) => encoding.count(text) };
  const from = createRequire(join(peers, "package.json"));
  const peer = async (name, load) => {
    try {
      counters[name] = await load();
    } catch (error) {
      notRun[name] = `Not installed in ${peers} (${error.code ?? error.message}).`;
    }
  };
  await peer("gpt-tokenizer", async () => {
    const { countTokens } = await import(pathToFileURL(from.resolve("gpt-tokenizer/encoding/o200k_base")));
    return (text) => countTokens(text, { disallowedSpecial: new Set() });
  });
  await peer("tiktoken", () => {
    const reference = from("tiktoken").get_encoding("o200k_base");
    return (text) => reference.encode_ordinary(text).length;
  });
  await peer("bpe-openai-wasm", async () => {
    const folder = dirname(from.resolve("bpe-openai-wasm"));
    const glue = await import(pathToFileURL(join(folder, "bpe_openai_wasm_bg.js")));
    const { instance } = await WebAssembly.instantiate(readFileSync(join(folder, "bpe_openai_wasm_bg.wasm")), {
      "./bpe_openai_wasm_bg.js": glue,
    });
    glue.__wbg_set_wasm(instance.exports);
    instance.exports.__wbindgen_start();
    const tokenizer = new glue.Tokenizer("o200k_base");
    return (text) => tokenizer.count(text);
  });
  return { counters, loadMs };
}

function novelPath() {
  return join(process.env.PURSER_TEST_DATA ?? join(ROOT, "../shared/data"), "war-and-peace.txt");
}

function readCorpora(peers, notRun) {
  const corpora = {};
  if (existsSync(novelPath())) {
    corpora.english = readFileSync(novelPath(), "utf8").slice(5_000);
    // As an image would be: compressed, so that nothing repeats.
    corpora.base64 = deflateRawSync(corpora.english.slice(600_000, 2_000_000)).toString("base64");
  } else notRun.english = "PURSER_TEST_DATA has no war-and-peace.txt.";
  const packages = join(peers, "node_modules");
  for (const [corpus, language] of Object.entries({ russian: "ru", chinese: "zh", spanish: "es", bengali: "bn" })) {
    const path = join(packages, "quran-json/dist", `quran_${language}.json`);
    if (existsSync(path))
      corpora[corpus] = JSON.parse(readFileSync(path, "utf8"))
        .flatMap(({ verses }) => verses.map(({ translation }) => translation))
        .join("\n");
    else notRun[corpus] = `quran-json is not installed in ${peers}.`;
  }
  for (const [corpus, language] of Object.entries({ japanese: "ja", korean: "ko" })) {
    const path = join(packages, "typescript/lib", language, "diagnosticMessages.generated.json");
    if (existsSync(path)) corpora[corpus] = Object.values(JSON.parse(readFileSync(path, "utf8"))).join("\n");
    else notRun[corpus] = `typescript 5 is not installed in ${peers}.`;
  }
  const sources = join(ROOT, "packages/core/src");
  const files = readdirSync(sources, { recursive: true }).filter((file) => file.endsWith(".ts") && !file.endsWith(".test.data.ts"));
  corpora.typescript = files.map((file) => readFileSync(join(sources, file), "utf8")).join("\n");
  corpora.json = jsonLines();
  return corpora;
}

/** Calls and their usage as a log would have them. */
function jsonLines() {
  const random = seededRandom(5);
  const pick = (...items) => items[Math.floor(random() * items.length)];
  return Array.from({ length: 3_000 }, (_, i) =>
    JSON.stringify({
      id: `req_${Math.floor(random() * 2 ** 48).toString(16)}`,
      at: new Date(1.76e12 + i * 7_919_000 * random()).toISOString(),
      model: pick("gpt-4o", "claude-sonnet-4-5", "qwen-flash"),
      subject: { team: pick("search", "support", "billing"), user: `u${Math.floor(random() * 9_000)}` },
      usage: { input_tokens: Math.floor(random() * 9_000), output_tokens: Math.floor(random() * 900), cached: random() < 0.3 },
      cost: Math.floor(random() * 1e7) / 1e6,
    }),
  ).join("\n");
}

/** The first third of a text, or what it takes to warm up, and slices of the rest. */
function sliced(text) {
  const units = Math.floor((SLICE_BYTES * text.length) / Buffer.byteLength(text));
  const slices = [];
  for (let at = 0; at + units <= text.length && slices.length < WARM_SLICES_MAX + SLICES_MAX; at += units) {
    // A copy of its own: a slice of a string would be measured with what it is a slice of.
    slices.push(Buffer.from(text.slice(at, at + units)).toString());
  }
  const warm = slices.splice(0, Math.min(WARM_SLICES_MAX, Math.ceil(slices.length / 3)));
  return { warm, slices };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { peers: { type: "string" }, json: { type: "boolean" } } });
  const result = await runCounting(values.peers ? { peers: values.peers } : {});
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else {
    const table = {};
    for (const { name, corpus, mbPerSecond, ratio } of result.rows) {
      table[corpus] = { ...table[corpus], [name]: `${mbPerSecond.toFixed(1)} (${ratio?.toFixed(1) ?? "-"}x)` };
    }
    console.table(table);
    console.log({ geometricMeans: result.geometricMeans, gates: result.gates, loadMs: result.loadMs, notRun: result.notRun });
  }
}
