import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

/** A PostgreSQL server for tests. */
export interface TestPostgres {
  /** Of a database that is the tests' own, or in which they keep to schemas of their own. */
  readonly url: string;
  /** Ends it, as a crash does where `kill` is set. None where the server is not ours. */
  readonly stop?: (how?: "kill") => Promise<void>;
  /** Starts it again with the data that it had. */
  readonly start?: () => Promise<void>;
  /** Stops it for good. */
  close(): Promise<void>;
}

/** The server that PURSER_TEST_POSTGRES names, or else one from the installed binaries. A text says why there is none. */
export async function openTestPostgres(): Promise<TestPostgres | string> {
  const url = process.env.PURSER_TEST_POSTGRES;
  return url ? { url, close: async () => undefined } : startTestPostgres();
}

/** A server of one's own, which can be stopped and started. `durable`: as servers are by default. A text says why there is none. */
export async function startTestPostgres({ durable = false } = {}): Promise<TestPostgres | string> {
  const folder = binaries();
  if (folder === undefined) return "PostgreSQL is not installed here (no initdb), and PURSER_TEST_POSTGRES is not set";
  const directory = mkdtempSync(join(tmpdir(), "purser-postgres-"));
  const owner = unprivileged();
  if (owner) chownSync(directory, owner.uid, owner.gid);
  const data = join(directory, "data");
  const options = { cwd: directory, ...owner, env: { PATH: process.env.PATH, LC_ALL: "C.UTF-8" } };
  try {
    execFileSync(join(folder, "initdb"), ["-D", data, "-U", "purser", "-A", "trust", "-E", "UTF8", "--no-sync"], {
      ...options,
      stdio: "pipe",
    });
    const port = await freePort();
    const server = new OwnServer([join(folder, "postgres"), ...serverArguments({ data, directory, port, durable })], options);
    await server.start();
    return {
      url: `postgres://purser@127.0.0.1:${port}/postgres`,
      stop: (how) => server.stop(how),
      start: () => server.start(),
      async close() {
        await server.stop("kill");
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

interface ServerSettings {
  readonly data: string;
  readonly directory: string;
  readonly port: number;
  readonly durable: boolean;
}

/** What a test writes need not survive the machine, only the server's own end. */
function serverArguments({ data, directory, port, durable }: ServerSettings): readonly string[] {
  const settings = { listen_addresses: "127.0.0.1", port, unix_socket_directories: directory, fsync: durable ? "on" : "off" };
  return ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

interface ProcessOptions {
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly env: NodeJS.ProcessEnv;
}

/** Ends the server when a line comes, or when whoever would write it is gone: a test that is killed leaves no server behind. */
const GUARD = 'exec 3<&0; "$@" 3<&- & server=$!; { read -r how <&3 || how=QUIT; kill -"$how" $server; } & wait $server';

class OwnServer {
  readonly #command: readonly string[];
  readonly #options: ProcessOptions;
  #child: ChildProcess | undefined;

  constructor(command: readonly string[], options: ProcessOptions) {
    this.#command = command;
    this.#options = options;
  }

  async start(): Promise<void> {
    const child = spawn("sh", ["-c", GUARD, "sh", ...this.#command], { ...this.#options, stdio: ["pipe", "ignore", "pipe"] });
    this.#child = child;
    child.once("exit", () => child.stdin.destroy());
    const log: string[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        log.push(line);
        if (line.includes("ready to accept connections")) resolve();
      });
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`PostgreSQL did not start:\n${log.join("\n")}`)));
    });
  }

  /** Either way its connections end at once. */
  async stop(how?: "kill"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.stdin?.end(how === "kill" ? "QUIT\n" : "INT\n");
    await exited;
  }
}

/** The folder of the newest binaries. */
function binaries(): string | undefined {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...versions.map((version) => join(base, version, "bin")), ...(process.env.PATH ?? "").split(delimiter)];
  return folders.find((folder) => folder !== "" && existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/** PostgreSQL refuses to run as root, so root lends it another user. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, user], { stdio: "pipe" })));
      if (uid && gid) return { uid, gid };
    } catch {
      // There is no such user.
    }
  }
  return undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
