import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, normalize } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startGateway } from "../app.ts";
import { writeRunning } from "../cli/running-gateway.ts";
import { openBudgetFile } from "../config/change-budgets.ts";
import { examineConfig, readConfig } from "../config/read-config.ts";
import { problemText } from "../config/source.ts";
import { startDemoProvider } from "../demo/provider.ts";

/*
 * Each page is followed from top to bottom, as a reader would: in a folder of its own, beside a gateway of its own. By the word after the fence:
 *
 *   yaml             is the folder's purser.yaml from here on, and the gateway runs with it; before the first, the demo runs
 *   js               is run as a module; one that begins with `// NAME.mjs` is saved under this name for the blocks below
 *   sh, bash         are run, and must succeed; what they export holds for the blocks below
 *   console          has commands after `$ `, each with its output
 *   text output      (or json output) is what the block above printed
 *   … not run: WHY   is not run
 *
 * In an output `…` stands for anything, and ids, times and white space may differ. `npx purser` is the program that was built. No provider is
 * asked: all lead to the demo's.
 */

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
/** The address that pages name, which stands for the gateway's. */
const ADDRESS = "http://127.0.0.1:4100";
const PAGES = [...readdirSync(ROOT).filter((name) => name.endsWith(".md")), ...filesBelow("docs", ".md"), ...filesBelow("examples", ".md")];
/** What other tests hold to what it says: `yaml` in `config/documentation.test.ts` too. */
const CHECKED_ELSEWHERE: Readonly<Record<string, string>> = { "docs/reference/cli.md": "text" };
const COMMAND_MS = 30_000;

function filesBelow(folder: string, ending: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules"))
    .map((name) => join(folder, name))
    .sort();
}

interface Block {
  readonly language: string;
  readonly info: string;
  readonly text: string;
  /** `docs/start.md:12` */
  readonly at: string;
}

function blocksOf(page: string): readonly Block[] {
  const source = readFileSync(join(ROOT, page), "utf8");
  return [...source.matchAll(/^```(\S*) *(.*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = "", 2: info = "", 3: text = "", index }) => ({
    language,
    info,
    text,
    at: `${page}:${source.slice(0, index).split("\n").length}`,
  }));
}

const isMissing = ["bash", "curl"].find((program) => spawnSync(program, ["--version"]).error !== undefined);

describe("the documents", { concurrency: 2, skip: isMissing !== undefined && `not run: there is no ${isMissing} here` }, () => {
  let provider: { readonly url: string; close(): Promise<void> };
  before(async () => {
    provider = await startAnyModel();
  });
  after(() => provider.close());

  for (const page of PAGES) {
    const blocks = blocksOf(page).filter(({ info }) => !/^not run: ./.test(info));
    if (blocks.some(isRunnable)) test(`${page} does what it says`, () => withinAnHour(() => followPage(page, blocks)));
    else test(`${page} has no block that is neither run nor excused`, () => blocks.forEach(checkExcused));
  }

  async function followPage(page: string, blocks: readonly Block[]): Promise<void> {
    const reader = await Reader.open(provider.url);
    try {
      for (const block of blocks) if (CHECKED_ELSEWHERE[page] !== block.language) await reader.follow(block);
      reader.checkFiles();
    } finally {
      await reader.close();
    }
  }

  test("every example runs as its first lines say, and prints what its last lines say", () =>
    withinAnHour(async () => {
      const reader = await Reader.open(provider.url);
      try {
        for (const file of filesBelow("examples", ".mjs").filter((name) => !name.endsWith(".test.mjs"))) {
          const source = readFileSync(join(ROOT, file), "utf8");
          const command = /^\/\/ Run: (.+)$/m.exec(source)?.[1];
          const prints = /\n\/\* Prints:\n([\s\S]*)\*\/\n$/.exec(source)?.[1];
          assert.ok(command !== undefined && prints !== undefined, `${file} does not say how it is run, or what it prints`);
          assert.ok(command.includes(file), `${file} is run by another's command`);
          await reader.follow({ language: "console", info: "", text: `$ ${command}\n${prints}`, at: file });
        }
      } finally {
        await reader.close();
      }
    }));
});

test("every example of a configuration is one that Purser reads without a doubt", () => {
  for (const file of filesBelow("examples", ".yaml").filter((name) => !name.endsWith("prompts.yaml"))) {
    const text = readFileSync(join(ROOT, file), "utf8");
    const environment = Object.fromEntries([...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => [name, "secret"]));
    const { problems, warnings } = examineConfig({ file, text, environment });
    assert.deepEqual([...problems, ...warnings].map(problemText), [], file);
  }
});

test("every link between documents leads somewhere", () => {
  const broken = PAGES.flatMap((page) => {
    const prose = readFileSync(join(ROOT, page), "utf8").replace(/^```[\s\S]*?^```$|`[^`\n]*`/gm, "");
    return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = ""]) => target)
      .filter((target) => !/^(https?|mailto):/.test(target) && !leadsSomewhere(page, target))
      .map((target) => `${page}: ${target}`);
  });
  assert.deepEqual(broken, []);
});

function leadsSomewhere(page: string, target: string): boolean {
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, file))) return false;
  if (anchor === undefined || !file.endsWith(".md")) return true;
  const headings = readFileSync(join(ROOT, file), "utf8").matchAll(/^#+ (.+)$/gm);
  return [...headings].some(([, heading = ""]) => anchorOf(heading) === anchor);
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

function isRunnable({ language }: Block): boolean {
  return ["js", "sh", "bash", "console"].includes(language);
}

function checkExcused({ language, info, at }: Block): void {
  const isKnown = language === "yaml" || CHECKED_ELSEWHERE[at.split(":")[0] as string] === language;
  assert.ok(isKnown && info === "", `${at}: mark this block "not run: WHY", or as one that is run`);
}

/** What counts by the hour or the day starts anew where the clock turns; a page that this happens to is read again. */
async function withinAnHour(work: () => Promise<void>): Promise<void> {
  const hour = () => Math.floor(Date.now() / 3_600_000);
  const began = hour();
  try {
    await work();
  } catch (error) {
    if (hour() === began) throw error;
    await work();
  }
}

/** The demo's provider under whatever name a model is asked for. */
async function startAnyModel(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const demo = await startDemoProvider({ delayMs: 0 });
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = "GET", headers } = request;
    const type = headers["content-type"] ?? "";
    const bytes = Buffer.concat(chunks);
    const isCall = bytes.length > 0 && !type.startsWith("multipart/");
    const body = isCall ? JSON.stringify({ ...JSON.parse(bytes.toString("utf8")), model: "demo-1" }) : bytes;
    // Google and Bedrock have the model in the path.
    const path = (request.url?.split("?")[0] ?? "").replace(/(?<=\/models?\/)[^/:]+/, "demo-1");
    const answer = await fetch(demo.url + path, { method, headers: { "content-type": type }, ...(method === "POST" && { body }) });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    for await (const chunk of answer.body ?? []) response.write(chunk);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await demo.close();
    },
  };
}

interface Served {
  readonly url: string;
  /** What it said when it was up. */
  readonly welcome: string;
  close(): Promise<unknown>;
}

/** Somebody who does what a page says. */
class Reader {
  readonly #folder: string;
  readonly #providerUrl: string;
  readonly #env: Record<string, string | undefined>;
  /** Files that the page has shown and not yet used. */
  readonly #files = new Set<string>();
  #isConfigured = false;
  /** The gateway of a page keeps its address, whatever it is configured to be. */
  readonly #port: number;
  #served: Served | undefined;
  #output: string | undefined;

  static async open(providerUrl: string): Promise<Reader> {
    const folder = await mkdtemp(join(tmpdir(), "purser-documents-"));
    await mkdir(join(folder, "bin"));
    await writeFile(join(folder, "bin/purser"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
    for (const name of ["node_modules", "examples"]) await symlink(join(ROOT, name), join(folder, name));
    return new Reader(folder, providerUrl, await freePort());
  }

  private constructor(folder: string, providerUrl: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.#providerUrl = providerUrl;
    this.#env = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PURSER|NODE_TEST|FORCE_COLOR)/.test(name))),
      PATH: `${join(folder, "bin")}${delimiter}${process.env.PATH}`,
      NO_COLOR: "1",
      OPENAI_API_KEY: "provider-secret",
      ANTHROPIC_API_KEY: "provider-secret",
      GEMINI_API_KEY: "provider-secret",
      GOOGLE_VERTEX_API_KEY: "provider-secret",
      HOUSE_API_KEY: "provider-secret",
      OPENAI_BASE_URL: `${providerUrl}/v1`,
      ANTHROPIC_BASE_URL: providerUrl,
    };
  }

  async follow(block: Block): Promise<void> {
    const { language, info, text, at } = block;
    if (language === "yaml" && info === "") return this.#configure(text);
    if (info === "output" && /^(text|json)$/.test(language)) {
      assert.ok(this.#output !== undefined, `${at}: there is nothing above that could have printed this`);
      return assertShown(text, this.#output, at);
    }
    assert.ok(isRunnable(block) && info === "", `${at}: mark this block "not run: WHY", or as one that is run`);
    if (language === "js") return this.#runModule(block);
    if (language === "console") return this.#runConsole(block);
    this.#output = await this.#run(text, at, { mustSucceed: true });
  }

  checkFiles(): void {
    assert.deepEqual([...this.#files], [], "files that the page shows and does not use");
  }

  async close(): Promise<void> {
    await this.#stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #configure(text: string): Promise<void> {
    await this.#stop();
    await writeFile(join(this.#folder, "purser.yaml"), text);
    this.#isConfigured = true;
  }

  async #runModule({ text, at }: Block): Promise<void> {
    const saved = /^\/\/ (\S+\.mjs)\n/.exec(text)?.[1];
    const file = saved ?? "block.mjs";
    await writeFile(join(this.#folder, file), text.replaceAll(ADDRESS, `http://127.0.0.1:${this.#port}`));
    if (saved !== undefined) this.#files.add(saved);
    else this.#output = await this.#run(`node ${file}`, at, { mustSucceed: true });
  }

  async #runConsole({ text, at }: Block): Promise<void> {
    assert.match(text, /^\$ /, `${at}: a console begins with a command`);
    for (const [, command = "", shown = ""] of text.matchAll(/^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)/gm)) {
      const printed = /^(npm start|(npx )?purser serve)\b/.test(command)
        ? await this.#serveAsWritten(command)
        : await this.#run(command, at, { mustSucceed: shown.trim() === "" });
      if (shown.trim() !== "") assertShown(shown, printed, `${at}: ${command}`);
      this.#output = printed;
    }
  }

  /** Runs commands as the reader's shell would, and returns all that they print. */
  async #run(commands: string, at: string, { mustSucceed }: { readonly mustSucceed: boolean }): Promise<string> {
    const { url } = await this.#start();
    for (const file of this.#files) if (commands.includes(file)) this.#files.delete(file);
    const script = [
      "[ -f bin/env ] && . bin/env",
      "set -eo pipefail",
      commands.replaceAll(ADDRESS, url).replaceAll("npx purser", "purser"),
      "export -p > bin/env",
    ].join("\n");
    const env = { ...this.#env, PURSER_URL: url };
    const child = spawn("bash", ["-c", script], { cwd: this.#folder, env, stdio: ["ignore", "pipe", "pipe"], timeout: COMMAND_MS });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output.push(chunk));
    const [code] = await once(child, "close");
    const printed = Buffer.concat(output).toString("utf8").replaceAll(url, ADDRESS).replaceAll(this.#folder, "/srv/purser");
    if (mustSucceed) assert.equal(code, 0, `${at}: ${commands}\n${printed}`);
    return printed;
  }

  async #start(): Promise<Served> {
    this.#served ??= this.#isConfigured ? await this.#startConfigured() : await this.#startProgram(["--demo"]);
    return this.#served;
  }

  async #stop(): Promise<void> {
    await this.#served?.close();
    this.#served = undefined;
  }

  /** `purser serve` and `npm start` in a page: what the program says when it is up. */
  async #serveAsWritten(command: string): Promise<string> {
    await this.#stop();
    const isDemo = !this.#isConfigured || command.includes("--demo");
    const served = await this.#startProgram(isDemo ? ["--demo"] : []);
    if (isDemo) this.#served = served;
    // Its providers are real ones: it is only looked at, and the gateway of the page goes on in its place.
    else await served.close();
    return served.welcome.replaceAll(served.url, ADDRESS).replaceAll(this.#folder, "/srv/purser");
  }

  async #startProgram(options: readonly string[]): Promise<Served> {
    const child = spawn(process.execPath, [MAIN, "serve", "--port", String(this.#port), ...options], {
      cwd: this.#folder,
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let welcome = "";
    for await (const chunk of child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      welcome += chunk;
      if (/Ctrl-C ends the demo|ANTHROPIC_BASE_URL=.*\n/.test(welcome)) break;
    }
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(welcome)?.[0];
    assert.ok(url !== undefined, `the program did not start:\n${welcome}`);
    const key = /Your key:\s+(\S+)/.exec(welcome)?.[1];
    if (key !== undefined) {
      this.#env.PURSER_KEY = key;
      // A gateway that is no demo has it one folder higher.
      await copyFile(join(this.#folder, ".purser/demo/admin.token"), join(this.#folder, ".purser/admin.token"));
    }
    return { url, welcome, close: () => interrupted(child) };
  }

  /** The page's own configuration, with the demo's provider in the place of all others. */
  async #startConfigured(): Promise<Served> {
    const source = { file: "purser.yaml", cwd: this.#folder, environment: this.#env, flags: { port: this.#port } };
    const config = readConfig(source);
    const providers = config.providers.map((one) => ({
      ...one,
      baseUrls: Object.fromEntries(
        Object.keys(one.baseUrls).map((dialect) => [
          dialect,
          /^(openai|vertex)-/.test(dialect) ? `${this.#providerUrl}/v1` : this.#providerUrl,
        ]),
      ),
    }));
    await rm(join(config.dataDir, "admin.token"), { force: true });
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    const gateway = await startGateway({ config: { ...config, providers }, budgetFile: openBudgetFile(config, source), onNotice });
    writeRunning(config.dataDir, { url: gateway.url, pid: process.pid });
    const close = async () => {
      await gateway.close();
      assert.deepEqual(notices, []);
    };
    return { url: gateway.url, welcome: "", close };
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function interrupted(child: ChildProcess): Promise<void> {
  const closed = once(child, "close");
  child.stdout?.resume();
  child.kill("SIGINT");
  await closed;
}

/** Whether an output is the one that a page shows, but for what `…` stands for and for what differs each time. */
function assertShown(shown: string, printed: string, at: string): void {
  const parts = plain(shown)
    .split("…")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const isSame = new RegExp(`^${parts.join("[\\s\\S]*")}$`).test(plain(printed));
  assert.ok(isSame, `${at} shows\n${shown}\nand what was printed is\n${printed}`);
}

function plain(text: string): string {
  return text
    .replace(/\b(req_|key_|pk-|run-|chatcmpl-|msg_)[\w-]+/g, "$1")
    .replace(/\d{4}-\d\d-\d\d/g, "DAY")
    .replace(/\b\d\d:\d\d(:\d\d(\.\d+)?)?\b/g, "TIME")
    .replace(/\bin \d+ (second|minute|hour|day|month)s?\b/g, "SOON")
    .replace(/\b(t|"created")([=:])\d+/g, "$1$2")
    .replaceAll("npx purser", "purser")
    .replace(/\s+/g, "");
}
