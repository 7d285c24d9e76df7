import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

/** A Prometheus on a port and in a folder of its own. */
export interface TestPrometheus {
  /** The value of each series that an expression finds now, by its labels as text. */
  query(expression: string): Promise<ReadonlyMap<string, string>>;
  /** Asks until the answer is one. */
  until<Value>(what: string, look: () => Promise<Value | undefined>): Promise<Value>;
}

/** Starts the installed Prometheus with a configuration; it ends with the test. A text says why there is none. */
export async function startTestPrometheus(context: TestContext, configuration: string): Promise<TestPrometheus | string> {
  if (spawnSync("prometheus", ["--version"]).status !== 0) return "prometheus is not installed";
  const directory = await mkdtemp(join(tmpdir(), "purser-prometheus-"));
  await mkdir(join(directory, "data"));
  const port = await freePort();
  const child = spawn(
    "prometheus",
    [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  context.after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(directory, { recursive: true, force: true });
  });
  const until: TestPrometheus["until"] = async (what, look) => {
    const end = performance.now() + 60_000;
    for (;;) {
      const value = await look().catch(() => undefined);
      if (value !== undefined) return value;
      if (performance.now() > end) throw new Error(`Waited in vain for ${what}.`);
      await sleep(200);
    }
  };
  const query: TestPrometheus["query"] = async (expression) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query: expression })}`);
    const answer = (await response.json()) as QueryAnswer;
    if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`);
    return new Map(answer.data.result.map(({ metric, value }) => [JSON.stringify(metric), value[1]]));
  };
  await until("Prometheus", async () => ((await fetch(`http://127.0.0.1:${port}/-/ready`)).ok ? true : undefined));
  return { query, until };
}

type QueryAnswer =
  | { readonly status: "error"; readonly error: string }
  | {
      readonly status: "success";
      readonly data: { readonly result: readonly { readonly metric: object; readonly value: readonly [number, string] }[] };
    };

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("There is no free port.");
  return address.port;
}
