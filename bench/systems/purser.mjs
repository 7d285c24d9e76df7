import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { spawnOn } from "../machine.mjs";

const PACKAGE = dirname(createRequire(import.meta.url).resolve("purser/package.json"));
/** The gateway that is measured; another build of it where PURSER_PROGRAM says so. */
const PROGRAM = process.env.PURSER_PROGRAM ?? join(PACKAGE, "dist", "cli", "main.js");

export const isPurserBuilt = () => existsSync(PROGRAM);

const provider = (upstreamPort) => `
providers:
  openai: { api_key: sk-bench-provider, base_url: "http://127.0.0.1:${upstreamPort}/v1" }
`;

/** Five levels that all apply to every call, each in money and in tokens, wide enough that none refuses; and one budget that is soon spent. */
const BUDGETS = `
budgets:
  - name: company
    limits: [$1,000,000 / month, 900000M tokens / month]
  - name: team
    for: { team: bench }
    limits: [$1,000,000 / month, 900000M tokens / day]
  - name: feature
    for: { feature: load }
    limits: [$1,000,000 / month, 900000M tokens / day]
  - name: user
    per: user
    limits: [$1,000,000 / month, 900000M tokens / day]
  - name: key
    per: key
    limits: [$1,000,000 / month, 900000M tokens / hour]
  - name: spent
    for: { feature: spent }
    limits: [4000 tokens]
`;

/** The gateway with keys, budgets and its journal, or without keys and budgets. `nodeArgs` go before the program: a profiler's, for instance. */
export function startPurser({ core, dir, port, upstreamPort, hasBudgets, nodeArgs = [], program = PROGRAM }) {
  mkdirSync(dir, { recursive: true });
  const config = join(dir, "purser.yaml");
  const data = join(dir, "data");
  writeFileSync(config, provider(upstreamPort) + (hasBudgets ? BUDGETS : ""));
  const keys = hasBudgets
    ? { load: createKey({ config, data, feature: "load" }), spent: createKey({ config, data, feature: "spent" }) }
    : undefined;
  const args = [...nodeArgs, program, "serve", "--config", config, "--port", String(port), "--data", data];
  const log = process.env.BENCH_LOG === undefined ? "ignore" : "inherit";
  return { process: spawnOn({ core, command: process.execPath, args, env: { NODE_ENV: "production" }, log }), keys, data };
}

/** Makes a key as an operator does. */
function createKey({ config, data, feature }) {
  const attributes = ["--team", "bench", "--feature", feature, "--user", "ann"];
  const args = [PROGRAM, "keys", "create", "--name", feature, ...attributes, "--config", config, "--data", data, "--json"];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })).secret;
}
