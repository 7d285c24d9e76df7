import { openKeys } from "../callers/keys.ts";
import type { Config, ServerConfig } from "../config/config.ts";
import { demoConfig } from "./config.ts";
import { startDemoProvider } from "./provider.ts";

/** Everything that can be tried without any provider's key: a provider on this machine, budgets at five levels, and a key. */
export interface Demo {
  readonly config: Config;
  /** The secret of the key that the demo made. */
  readonly secret: string;
  close(): Promise<void>;
}

export interface DemoOptions {
  readonly server: ServerConfig;
  /** A folder of its own: what is tried out is no one's real spend. */
  readonly dataDir: string;
}

/** Starts the demo's provider and makes its configuration and key. The gateway is started by whoever asked for the demo. */
export async function openDemo({ server, dataDir }: DemoOptions): Promise<Demo> {
  const provider = await startDemoProvider();
  const keys = await openKeys(dataDir);
  const { secret } = await keys.create({
    name: "demo",
    attributes: { team: "demo" },
    maySet: ["feature", "user", "session", "task", "tag.*"],
  });
  keys.close();
  return { config: demoConfig(provider, server, dataDir), secret, close: () => provider.close() };
}
