import { createHash } from "node:crypto";
import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { dirname, resolve } from "node:path";
import { PurserError } from "@purser/core";
import type { Config } from "./config.ts";
import { acceptedConfig, type ConfigInput, examineConfig } from "./read-config.ts";
import type { Problem } from "./source.ts";

export interface WatchOptions extends Omit<ConfigInput, "text" | "file"> {
  /** The configuration that is in use. */
  readonly current: Config;
  /** Told of a file that cannot be used. The configuration in use stays. */
  readonly onError?: (error: PurserError) => void;
  readonly onWarning?: (warning: Problem) => void;
}

/** A new configuration that is in use from now on. */
export interface ConfigChange {
  readonly config: Config;
  /** What the file says now. */
  readonly text: string;
  /** Fields that were changed and hold only after a restart: `server.port`. The configuration keeps their old values. */
  readonly needsRestart: readonly string[];
}

/** Changes that no event tells of, on network drives for example, are found this often. */
const LOOK_EVERY_MS = 2_000;
/** A file is read once it has stayed the same for so long: half of it could be a valid file with half of the budgets. */
const SETTLED_MS = 100;

/**
 * Reads the file again whenever it or a file that it names changes. A file that is wrong changes nothing and is reported once. Returns what ends the watching.
 * Events only say that it is time to look: what counts is whether the text differs from the one read last, so none can be seen twice, and
 * a file that is replaced or reached through a link is followed too.
 */
export function watchConfig(file: string, onChange: (change: ConfigChange) => void, options: WatchOptions): () => void {
  const { onError, onWarning, current, cwd = process.cwd(), ...input } = options;
  const path = resolve(cwd, file);
  let config = current;
  let files = [path, ...current.otherFiles];
  let seen = contentsOf(files);
  let stamp = stampOf(files);
  let settling: NodeJS.Timeout | undefined;
  let isClosed = false;

  function look(): void {
    if (settling !== undefined || stampOf(files) === stamp) return;
    settle(stampOf(files));
  }

  function settle(changed: string): void {
    settling = setTimeout(() => {
      settling = undefined;
      if (isClosed) return;
      if (stampOf(files) !== changed) return settle(stampOf(files));
      stamp = changed;
      const contents = contentsOf(files);
      const text = textOf(path);
      // A file that is being replaced is gone for a moment; what it was stays in use until it is back.
      if (text === undefined || contents.every((one, i) => one === seen[i])) return;
      read(text);
      seen = contentsOf(files);
      stamp = stampOf(files);
    }, SETTLED_MS).unref();
  }

  function read(text: string): void {
    let next: Config;
    try {
      if (text.trim() === "") throw new PurserError("config_invalid", `${file} is empty now, which would end every budget.`);
      const reading = examineConfig({ ...input, file, text, cwd });
      // What is wrong may be mended in another file than this one.
      files = [path, ...reading.otherFiles];
      next = acceptedConfig(reading, onWarning);
    } catch (error) {
      if (!(error instanceof PurserError)) throw error;
      onError?.(error);
      return;
    }
    const needsRestart = changedAtStart(config, next);
    config = keepWhatHoldsFromStart(config, next);
    onChange({ config, text, needsRestart });
  }

  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  const watcher = watchFolder(dirname(path), look);
  return () => {
    isClosed = true;
    clearInterval(timer);
    clearTimeout(settling);
    watcher?.close();
  };
}

/** A configuration that is taken over without a restart. */
export function keepWhatHoldsFromStart(before: Config, after: Config): Config {
  const { host, port } = before.server;
  return { ...after, dataDir: before.dataDir, store: before.store, telemetry: before.telemetry, server: { ...after.server, host, port } };
}

/** The fields that are used once, at the start. */
function changedAtStart(before: Config, after: Config): readonly string[] {
  return [
    ...(before.server.host === after.server.host ? [] : ["server.host"]),
    ...(before.server.port === after.server.port ? [] : ["server.port"]),
    ...(before.dataDir === after.dataDir ? [] : ["data"]),
    ...(JSON.stringify(before.store) === JSON.stringify(after.store) ? [] : ["store"]),
    ...(JSON.stringify(before.telemetry) === JSON.stringify(after.telemetry) ? [] : ["telemetry"]),
  ];
}

/** Watches the folder, because editors replace a file rather than write into it. Where that is impossible, looking now and then is enough. */
function watchFolder(folder: string, look: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, look);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

function stampOf(paths: readonly string[]): string {
  const stats = paths.map((path) => statSync(path, { throwIfNoEntry: false, bigint: true }));
  return stats.map((stat) => (stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}` : "")).join("\n");
}

/** What each file has, by a hash: a vocabulary has many megabytes. */
function contentsOf(paths: readonly string[]): readonly (string | undefined)[] {
  return paths.map((path) => {
    try {
      return createHash("sha256").update(readFileSync(path)).digest("base64");
    } catch {
      return undefined;
    }
  });
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
