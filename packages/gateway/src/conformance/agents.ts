import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROGRAMS } from "../cli/program-settings.ts";
import type { Json } from "./calls.ts";

/** Where `scripts/install-agents.mjs` puts them. */
export const AGENTS_FOLDER = process.env.PURSER_TEST_AGENTS ?? fileURLToPath(new URL("../../../../.build/agents", import.meta.url));

export const PROMPT = "Read note.txt and say its last word.";
export const ANSWER = "The last word is lantern.";

/** Tokens as an agent prints them when it is done. */
export interface Printed {
  readonly input: number;
  readonly output: number;
  /** In dollars, where it says so. */
  readonly cost?: number;
}

/** A coding agent as its makers ship it, run without a terminal. */
export interface Agent {
  /** By its name in `purser env`. */
  readonly name: string;
  readonly program: string;
  /** How it is run for one turn, behind the lines of `purser env`. */
  readonly command: string;
  /** The call of a tool by which it reads a file. */
  readonly reads: (file: string) => { readonly name: string; readonly arguments: Json };
  readonly printed: (stdout: string) => Printed;
  /** Files of its own settings, below the home directory. */
  readonly settings?: Readonly<Record<string, Json>>;
}

const quotedPrompt = JSON.stringify(PROMPT);

export const AGENTS: readonly Agent[] = [
  {
    name: "claude",
    program: "claude",
    command: `claude -p ${quotedPrompt} --output-format json --allowedTools Read --model claude-sonnet-4-6`,
    reads: (file_path) => ({ name: "Read", arguments: { file_path } }),
    printed(stdout) {
      const { usage, total_cost_usd: cost } = JSON.parse(stdout);
      const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens } = usage;
      return { input: input_tokens + cache_creation_input_tokens + cache_read_input_tokens, output: output_tokens, cost };
    },
  },
  {
    name: "codex",
    program: "codex",
    // The mock does not say how often a search was made, so that all would be charged that a call allows.
    command: `codex -c web_search=disabled exec --json --skip-git-repo-check -m gpt-5.4-mini ${quotedPrompt}`,
    reads: (file) => ({ name: "exec_command", arguments: { cmd: `cat ${file}` } }),
    printed(stdout) {
      const { usage } = linesOf(stdout).find(({ type }) => type === "turn.completed") ?? {};
      return { input: usage.input_tokens, output: usage.output_tokens };
    },
  },
  {
    name: "gemini",
    program: "gemini",
    command: `gemini --skip-trust --output-format json --yolo -m gemini-2.5-flash -p ${quotedPrompt}`,
    reads: (file_path) => ({ name: "read_file", arguments: { file_path } }),
    // With an address in the environment it takes no key from there for granted, but where it was told once.
    settings: { ".gemini/settings.json": { security: { auth: { selectedType: "gemini-api-key" } } } },
    printed: (stdout) => modelStats(JSON.parse(stdout).stats),
  },
  {
    name: "qwen",
    program: "qwen",
    command: `export OPENAI_MODEL=gpt-4o-mini; qwen --output-format json --yolo -p ${quotedPrompt}`,
    reads: (file_path) => ({ name: "read_file", arguments: { file_path } }),
    printed: (stdout) => modelStats(JSON.parse(stdout).find(({ type }: Json) => type === "result").stats),
  },
  {
    name: "opencode",
    program: "opencode",
    // Without a title it has another model make one.
    command: `opencode run --format json --title turn -m anthropic/claude-sonnet-4-5 ${quotedPrompt}`,
    reads: (filePath) => ({ name: "read", arguments: { filePath } }),
    printed(stdout) {
      const steps = linesOf(stdout).filter(({ type }) => type === "step_finish");
      const sum = (of: (part: Json) => number) => steps.reduce((total, { part }) => total + of(part), 0);
      return {
        input: sum(({ tokens }) => tokens.input + tokens.cache.read + tokens.cache.write),
        output: sum(({ tokens }) => tokens.output + tokens.reasoning),
        cost: sum(({ cost }) => cost),
      };
    },
  },
];

export interface AgentRun {
  readonly stdout: string;
  /** All that it wrote, as a reader sees it: without the escapes of JSON. */
  readonly shown: string;
}

/** Runs one turn of an agent, in a home of its own, with nothing but the lines that `purser env` writes, and no way to any other server. */
export async function runAgent(
  { name, program, command, settings = {} }: Agent,
  folder: string,
  url: string,
  key: string,
): Promise<AgentRun> {
  const home = join(folder, "home");
  for (const [file, content] of Object.entries(settings)) {
    await mkdir(join(home, file, ".."), { recursive: true });
    await writeFile(join(home, file), JSON.stringify(content));
  }
  await mkdir(home, { recursive: true });
  const lines = ["shopt -s expand_aliases", ...(PROGRAMS[program]?.(url, key) ?? []), command].join("\n");
  const child = spawn("bash", ["-c", lines], {
    cwd: folder,
    env: { ...ENVIRONMENT, PATH: `${join(AGENTS_FOLDER, "node_modules/.bin")}:${process.env.PATH}`, HOME: home, TMPDIR: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = ["stdout", "stderr"].map((stream) => {
    const pieces: Buffer[] = [];
    child[stream as "stdout" | "stderr"].on("data", (piece: Buffer) => pieces.push(piece));
    return () => Buffer.concat(pieces).toString("utf8");
  }) as [() => string, () => string];
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
  await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  if (child.signalCode === "SIGKILL") throw new Error(`${name} did not end within ${RUN_MS / 1000} s: ${stdout()}${stderr()}`);
  return { stdout: stdout(), shown: `${stdout()}\n${stderr()}`.replaceAll("\\", "") };
}

const RUN_MS = 300_000;
const NOWHERE = "http://127.0.0.1:9";
const ENVIRONMENT = {
  TERM: "xterm-256color",
  LANG: "C.UTF-8",
  HTTPS_PROXY: NOWHERE,
  HTTP_PROXY: NOWHERE,
  NO_PROXY: "127.0.0.1,localhost",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  OPENCODE_DISABLE_AUTOUPDATE: "1",
  OPENCODE_DISABLE_MODELS_FETCH: "1",
};

/** The lines of an output that are JSON objects. */
function linesOf(stdout: string): readonly Json[] {
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

/** What the Gemini CLI, and Qwen Code which grew out of it, print of all models. */
function modelStats({ models }: Json): Printed {
  const tokens = Object.values(models).map((model) => (model as Json).tokens);
  const sum = (of: (one: Json) => number) => tokens.reduce((total, one) => total + of(one), 0);
  return { input: sum(({ prompt }) => prompt), output: sum(({ candidates, thoughts }) => candidates + thoughts) };
}
