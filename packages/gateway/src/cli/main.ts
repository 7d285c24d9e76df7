#!/usr/bin/env node
import { runCommandLine, wantsJson } from "./command-line.ts";
import { styleFor } from "./style.ts";

const args = process.argv.slice(2);
const { exit, text, json } = await runCommandLine(args, {
  cwd: process.cwd(),
  env: process.env,
  style: styleFor(process.stdout, process.env),
  now: Date.now,
  print: (text) => process.stdout.write(`${text}\n`),
  say: (text) => process.stderr.write(`${text}\n`),
});
if (wantsJson(args)) {
  if (json !== undefined) process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
} else if (text !== "") {
  (exit === 2 ? process.stderr : process.stdout).write(`${text}\n`);
}
process.exitCode = exit;
