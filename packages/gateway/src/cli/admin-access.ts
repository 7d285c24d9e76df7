import { ERROR_CODES, type ErrorCode, PurserError } from "@purser/core";
import type { Admin, AdminRequest } from "../admin/admin.ts";
import { createAdmin } from "../admin/routes.ts";
import { Alerts } from "../alerts/alerts.ts";
import { openAlertBook } from "../alerts/open-book.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { Sealer } from "../audit-log/sealer.ts";
import { ledgerName } from "../audit-log/seals.ts";
import { readAdminToken } from "../callers/admin-token.ts";
import { openKeys } from "../callers/keys.ts";
import { type Config, sharedLedger } from "../config/config.ts";
import { readConfig } from "../config/read-config.ts";
import { openSwitches } from "../switches/switches.ts";
import type { CommandContext, CommandInput } from "./command.ts";
import { activeFolder, besideDemo } from "./demo-folder.ts";
import { openLedger } from "./ledger.ts";
import { readRunning } from "./running-gateway.ts";

/** The admin API, wherever it is: of the running gateway, or over the data folder where none runs. */
export interface AdminAccess {
  /** The address of the gateway; none where the folder is read. */
  readonly url: string | undefined;
  readonly config: Config;
  /** The body of the answer. Throws the problem as an error with its code. */
  ask(method: "GET" | "POST" | "DELETE", target: string, body?: unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** Options of every command that asks the admin API. */
export const ACCESS_OPTIONS = { config: { type: "string" }, data: { type: "string" } } as const;
export const ACCESS_HELP = [
  "  --config FILE   the configuration; purser.yaml in this folder where it is left out",
  "  --data DIR      the data folder; the configuration's where it is left out",
  "  --json          the same for programs",
].join("\n");

/** What a command needs where no gateway runs. */
export interface AccessNeeds {
  /** What is done; reading where it is left out. */
  readonly purpose?: "reading" | "changing";
  /** Of the database where keys and books are: all of it, what can be had, or nothing, which is the default where no Redis is changed. */
  readonly books?: "all" | "if reachable" | "none";
}

export async function openAdminAccess(
  { options }: CommandInput,
  { cwd, env, now, say }: CommandContext,
  { purpose = "reading", books: needed }: AccessNeeds = {},
): Promise<AdminAccess> {
  const file = options.config as string | undefined;
  const data = options.data as string | undefined;
  const written = readConfig({ file, environment: env, cwd, flags: { data } });
  const config = besideDemo({ ...written, dataDir: activeFolder(written.dataDir) });
  const running = readRunning(config.dataDir);
  const token = await readAdminToken(config.dataDir);
  if (running && token !== undefined) return { url: running.url, config, ask: askOver(running.url, token), close: async () => undefined };
  // A Redis that has lost its ledger must get it back before anything is added to it.
  const need = needed ?? (purpose === "changing" && config.store.redis ? "all" : "none");
  const books = await openBooksOf(config, need).catch((error: unknown) => {
    if (need === "all" || !(error instanceof PurserError)) throw error;
    say(`${error.message} Only this gateway's own calls are looked at.`);
    return undefined;
  });
  try {
    const ledger = await openLedger(config, now, { purpose, archive: books?.archive, say });
    const keys = books?.keys ?? (await openKeys(config.dataDir));
    const onError = (error: unknown) => say(error instanceof Error ? error.message : String(error));
    const switches = openSwitches(config.dataDir, { now, onError });
    const alerts = new Alerts({ book: await openAlertBook(config, { now, onError }), channels: config.channels, budgets: [], now });
    const told = {
      timeZone: () => config.timezone,
      configured: () => config.budgets,
      commitments: () => config.commitments,
      configuredAllowances: () => config.allowances,
    };
    const log = new AuditLog(config.dataDir, { now });
    const admin = createAdmin({ ...ledger, ...told, keys, switches, alerts, log, now, ...(books && { archive: books.archive }) });
    // Gateways that share a Redis seal what others write to it.
    const isOnlyWriter = purpose === "changing" && !config.store.redis;
    const sealer = isOnlyWriter ? new Sealer({ store: ledger.store, log, ledger: ledgerName(config), onError }) : undefined;
    await sealer?.open();
    await sealer?.begin();
    const close = async () => {
      await sealer?.end().catch(onError);
      await alerts.close();
      keys.close();
      await ledger.close();
      await books?.close();
    };
    return { url: undefined, config, ask: askDirectly(admin, `${env.USER ?? env.USERNAME ?? "somebody"} on this machine`), close };
  } catch (error) {
    await books?.close();
    throw error;
  }
}

/** A command does not wait for a server that may be starting. */
async function openBooksOf({ store, dataDir }: Config, need: Exclude<AccessNeeds["books"], undefined>) {
  if (store.postgres === undefined || need === "none") return undefined;
  const { openBooks } = await import("../books.ts");
  return openBooks({ url: store.postgres, ledger: sharedLedger(store) ?? "read only", directory: dataDir, patienceMs: 0 });
}

/** The data folder that a command is about. */
export function dataFolder({ options }: CommandInput, { cwd, env }: Pick<CommandContext, "cwd" | "env">): string {
  const flags = { data: options.data as string | undefined };
  return activeFolder(readConfig({ file: options.config as string | undefined, environment: env, cwd, flags }).dataDir);
}

function askOver(url: string, token: string): AdminAccess["ask"] {
  return async (method, target, body) => {
    const headers = { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) };
    let response: Response;
    try {
      response = await fetch(url + target, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    } catch (cause) {
      throw new PurserError("store_unavailable", `The gateway at ${url} does not answer. Is it just starting or stopping? Try again.`, {
        cause,
      });
    }
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const answer: unknown = isJson ? await response.json().catch(() => undefined) : await response.text();
    if (!response.ok) throw problemError(answer, `The gateway at ${url} answered ${response.status}.`);
    return answer;
  };
}

function askDirectly(admin: Admin, by: string): AdminAccess["ask"] {
  return async (method, target, body) => {
    const { pathname, searchParams } = new URL(target, "http://purser.invalid");
    const request: AdminRequest = { method, path: pathname, query: searchParams, body, by };
    const { status, body: answer } = await admin(request);
    if (status >= 400) throw problemError(answer, `The answer was ${status}.`);
    return answer;
  };
}

function problemError(answer: unknown, otherwise: string): PurserError {
  const { code, detail } = (answer ?? {}) as { code?: unknown; detail?: unknown };
  const known = typeof code === "string" && code in ERROR_CODES ? (code as ErrorCode) : "internal";
  return new PurserError(known, typeof detail === "string" ? detail : otherwise);
}
