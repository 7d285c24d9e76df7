import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { Config } from "../config/config.ts";
import { demoConfig } from "../demo/config.ts";
import { readRunning } from "./running-gateway.ts";

/** The folder in the data folder where a demo keeps what is its own. */
export const DEMO_FOLDER = "demo";

/** A demo that runs in a folder where nothing else ever did is what is asked about. */
export function activeFolder(dataDir: string): string {
  const demo = join(dataDir, DEMO_FOLDER);
  return !hasLedger(dataDir) && !readRunning(dataDir) && readRunning(demo) ? demo : dataDir;
}

/** The same for a command that changes nothing: also the demo that ran last. */
function lookedAtFolder(dataDir: string): string {
  const demo = join(dataDir, DEMO_FOLDER);
  return !hasLedger(dataDir) && !readRunning(dataDir) && hasLedger(demo) ? demo : dataDir;
}

/**
 * What a command knows of providers, prices and budgets: those of the demo, where no file says any and the data folder is a demo's. Its provider has
 * no address then: nothing is sent.
 */
export function besideDemo(config: Config): Config {
  if (config.file !== undefined || basename(config.dataDir) !== DEMO_FOLDER || !hasLedger(config.dataDir)) return config;
  const { providers, prices, budgets } = demoConfig({ url: "http://127.0.0.1" }, config.server, config.dataDir);
  return { ...config, providers: [...providers, ...config.providers], prices, budgets };
}

/** The same for a command that changes nothing. */
export function lookedAt(config: Config): Config {
  return besideDemo({ ...config, dataDir: lookedAtFolder(config.dataDir) });
}

function hasLedger(dataDir: string): boolean {
  return existsSync(join(dataDir, "purser.db"));
}
