import { randomBytes } from "node:crypto";
import {
  type Budgets,
  type Entry,
  type ErrorCode,
  type LedgerArchive,
  type PriceSource,
  PurserError,
  reportLedger,
  type Store,
} from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import type { Keys } from "../callers/key.ts";
import { suggestion } from "../config/nearest-name.ts";
import type { Switches } from "../switches/switches.ts";
import { type Admin, type AdminRequest, type AdminResponse, ok, problem } from "./admin.ts";
import { balanceJson, fullest } from "./balances.ts";
import { reportCall, summariseCall } from "./call-report.ts";
import { channelsJson, deliveryJson } from "./channel-json.ts";
import { readAskedCall, readAuthorization, readExtension, readRelease, readReportedUsage } from "./decision-json.ts";
import { authorizationAnswer, type Decisions } from "./decisions.ts";
import { grantJson, readNewGrant, readReset, readRevocation } from "./grant-json.ts";
import { keyJson, readNewKey } from "./key-json.ts";
import { OPENAPI } from "./openapi.ts";
import { readReportQuery, reportJson } from "./report.ts";
import { readNewSwitch, readSwitchEnd, switchJson } from "./switch-json.ts";

export interface AdminOptions {
  readonly budgets: Pick<Budgets, "balances" | "grant" | "grants" | "revoke" | "reset">;
  readonly store: Pick<Store, "entries">;
  readonly keys: Keys;
  /** The book of record, where there is one: it has what other gateways did, and answers reports. */
  readonly archive?: Pick<LedgerArchive, "reservationEntries" | "report">;
  readonly switches: Switches;
  readonly alerts: Pick<Alerts, "channels" | "deliveries" | "waiting" | "test">;
  /** Decides calls of other gateways; none where no gateway runs. */
  readonly decisions?: Decisions;
  /** Lets `/api/requests/{id}` take a cost apart. */
  readonly prices?: PriceSource;
  /** The zone of reports that name none; UTC where it is left out. */
  readonly timeZone?: () => string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** A route of the admin API. `{id}` or `{name}` in its path stands for one segment. */
interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  run(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse>;
}

type Parts = Required<Pick<AdminOptions, "budgets" | "store" | "keys" | "switches" | "alerts" | "now" | "timeZone">> &
  Pick<AdminOptions, "prices" | "decisions" | "archive">;

/** Every route, once; `openapi.ts` describes each, and a test holds the two together. */
export const ADMIN_ROUTES: readonly Route[] = [
  { method: "GET", path: "/api/budgets", run: listBudgets },
  { method: "POST", path: "/api/budgets/{name}/reset", run: resetBudget },
  { method: "GET", path: "/api/grants", run: listGrants },
  { method: "POST", path: "/api/grants", run: createGrant },
  { method: "DELETE", path: "/api/grants/{id}", run: revokeGrant },
  { method: "GET", path: "/api/requests", run: listRequests },
  { method: "GET", path: "/api/requests/{id}", run: showRequest },
  { method: "GET", path: "/api/report", run: report },
  { method: "GET", path: "/api/keys", run: async ({ keys }) => ok({ data: keys.list().map(keyJson) }) },
  { method: "POST", path: "/api/keys", run: createKey },
  { method: "DELETE", path: "/api/keys/{id}", run: revokeKey },
  { method: "GET", path: "/api/switches", run: listSwitches },
  { method: "POST", path: "/api/switches", run: throwSwitch },
  { method: "DELETE", path: "/api/switches/{id}", run: endSwitch },
  { method: "GET", path: "/api/channels", run: async ({ alerts }) => ok({ data: await channelsJson(alerts) }) },
  { method: "POST", path: "/api/channels/{id}/test", run: async ({ alerts }, _request, id) => ok(deliveryJson(await alerts.test(id))) },
  { method: "GET", path: "/api/deliveries", run: async ({ alerts }) => ok({ data: (await alerts.deliveries()).map(deliveryJson) }) },
  { method: "POST", path: "/api/decisions", run: async (parts, request) => decisionsOf(parts).reserve(readAskedCall(request)) },
  {
    method: "POST",
    path: "/api/decisions/{id}/settle",
    run: async (parts, { body }, id) => decisionsOf(parts).settle(id, readReportedUsage(body)),
  },
  {
    method: "POST",
    path: "/api/decisions/{id}/release",
    run: async (parts, { body }, id) => decisionsOf(parts).release(id, readRelease(body)),
  },
  {
    method: "POST",
    path: "/api/decisions/{id}/extend",
    run: async (parts, { body }, id) => decisionsOf(parts).extend(id, readExtension(body)),
  },
  { method: "GET", path: "/api/authorize", run: authorize },
  { method: "POST", path: "/api/authorize", run: authorize },
  { method: "GET", path: "/api/openapi.json", run: async () => ok(OPENAPI) },
];

/** Whether a request is about a call of another gateway. */
export function isAboutDecisions({ path }: AdminRequest): boolean {
  return path === "/api/authorize" || path === "/api/decisions" || path.startsWith("/api/decisions/");
}

/** The admin API over the parts of a gateway. It answers requests that are already known to be the owner's. */
export function createAdmin({ now = Date.now, timeZone = () => "UTC", ...options }: AdminOptions): Admin {
  const parts: Parts = { ...options, now, timeZone };
  return async (request) => {
    const matching = ADMIN_ROUTES.flatMap((route) => {
      const id = matchPath(route.path, request.path);
      return id === undefined ? [] : [{ route, id }];
    });
    const found = matching.find(({ route }) => route.method === request.method);
    if (!found)
      return routeUnknown(
        request,
        matching.map(({ route }) => route.method),
      );
    try {
      return await found.route.run(parts, request, found.id);
    } catch (error) {
      if (error instanceof PurserError) return errorAnswer(error);
      throw error;
    }
  };
}

async function listBudgets({ budgets }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["budget", "most"]);
  const budget = query.get("budget");
  const most = query.get("most");
  const balances = await budgets.balances(budget === null ? {} : { budget });
  if (most === null) return ok({ data: balances.map(balanceJson) });
  return ok({ data: fullest(balances, countOf("most", most, BALANCES_MOST)).map(balanceJson), total: balances.length });
}

async function resetBudget({ budgets }: Parts, request: AdminRequest, name: string): Promise<AdminResponse> {
  const balances = await budgets.reset(readReset(request, name));
  return ok({ data: balances.map(balanceJson) });
}

async function listGrants({ budgets }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  const budget = query.get("budget");
  return ok({ data: (await budgets.grants(budget === null ? {} : { budget })).map(grantJson) });
}

async function createGrant({ budgets }: Parts, request: AdminRequest): Promise<AdminResponse> {
  const grant = await budgets.grant(readNewGrant(request, () => randomBytes(9).toString("base64url")));
  return { status: 201, body: grantJson(grant) };
}

async function revokeGrant({ budgets }: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  if (await budgets.revoke(id, readRevocation(request))) return ok({ id, revoked: true });
  return problem(404, "grant_unknown", `There is no grant "${id}" that has not ended. \`GET /api/grants\` lists them.`);
}

const BALANCES_MOST = 1_000;
const PAGE = 20;
const PAGE_MOST = 100;

async function listRequests({ store }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["limit", "after_id"]);
  const limit = countOf("limit", query.get("limit") ?? String(PAGE), PAGE_MOST);
  const afterId = query.get("after_id");
  // One more than is shown tells whether there is another page.
  const firsts = afterId === null ? await newestCalls(store, limit + 1) : await callsBefore(store, afterId, limit + 1);
  const shown = firsts.slice(0, limit);
  const data = await Promise.all(shown.map(async ({ reservation }) => summariseCall(await store.entries({ reservation }))));
  return ok({ data, has_more: firsts.length > limit, last_id: data.at(-1)?.id ?? null });
}

/** A filter that nobody applies would show what was to be left out. */
function checkParameters(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys())
    if (!known.includes(name)) throw new PurserError("body_invalid", `There is no parameter "${name}" here.${suggestion(name, known)}`);
}

function countOf(name: string, text: string, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= most) return count;
  throw new PurserError("body_invalid", `"${name}" is a number from 1 to ${most.toLocaleString("en-US")}.`);
}

/** The entries with which calls begin. */
const BEGINNINGS = ["reserved", "denied"] as const;

async function newestCalls(store: Parts["store"], most: number): Promise<readonly Entry[]> {
  return (await store.entries({ kinds: BEGINNINGS, newest: true, most })).toReversed();
}

/** The calls before a call, newest first. A ledger has no gaps, so older entries lie within a known span; the span grows until it is enough. */
async function callsBefore(store: Parts["store"], id: string, most: number): Promise<readonly Entry[]> {
  const [begin] = await store.entries({ reservation: id, kinds: BEGINNINGS, most: 1 });
  if (!begin) throw unknownRequest(id);
  for (let span = most * 4; ; span *= 4) {
    const after = Math.max(0, begin.seq - 1 - span);
    const entries = await store.entries({ kinds: BEGINNINGS, after, most: span });
    const older = entries.filter(({ seq }) => seq < begin.seq);
    if (older.length >= most || after === 0) return older.slice(-most).toReversed();
  }
}

async function showRequest({ store, archive, prices }: Parts, _request: AdminRequest, id: string): Promise<AdminResponse> {
  const own = await store.entries({ reservation: id });
  const entries = own.length === 0 && archive ? await archive.reservationEntries(id) : own;
  if (!entries.some(({ kind }) => BEGINNINGS.some((beginning) => beginning === kind))) throw unknownRequest(id);
  return ok(reportCall(entries, prices));
}

async function report({ store, archive, now, timeZone }: Parts, request: AdminRequest): Promise<AdminResponse> {
  const query = readReportQuery(request.query, { now: now(), timeZone: timeZone() });
  return ok(reportJson(archive ? await archive.report(query) : await reportLedger(store, query), query));
}

async function createKey({ keys, now }: Parts, { body }: AdminRequest): Promise<AdminResponse> {
  const { key, secret } = await keys.create(readNewKey(body, now()));
  return { status: 201, body: { ...keyJson(key), secret } };
}

async function revokeKey({ keys }: Parts, _request: AdminRequest, id: string): Promise<AdminResponse> {
  if (await keys.revoke(id)) return ok({ id, revoked: true });
  return problem(404, "key_invalid", `There is no key "${id}". Those that there are: \`purser keys list\`, or GET /api/keys.`);
}

async function listSwitches({ switches, now }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  const all = switches.list().map((one) => switchJson(one, now()));
  return ok({ data: query.get("all") === "true" ? all : all.filter(({ in_force }) => in_force) });
}

async function throwSwitch({ switches, now }: Parts, { body, subject }: AdminRequest): Promise<AdminResponse> {
  return { status: 201, body: switchJson(await switches.off(readNewSwitch(body, subject?.key, now())), now()) };
}

async function endSwitch({ switches, now }: Parts, { query, subject }: AdminRequest, id: string): Promise<AdminResponse> {
  const ended = await switches.on(id, readSwitchEnd(query, subject?.key));
  if (ended) return ok(switchJson(ended, now()));
  return problem(404, "switch_unknown", `No switch "${id}" is in force. \`GET /api/switches\` lists those that are.`);
}

/** For gateways that ask in headers and read headers only. */
async function authorize(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const isExact = request.query.get("status") === "exact";
  try {
    return authorizationAnswer(await decisionsOf(parts).reserve(readAuthorization(request)), isExact);
  } catch (error) {
    if (error instanceof PurserError) return authorizationAnswer(errorAnswer(error), isExact);
    throw error;
  }
}

function decisionsOf({ decisions }: Parts): Decisions {
  if (decisions) return decisions;
  throw new PurserError("route_unknown", "Calls are decided by a gateway that runs. Start it: purser serve.");
}

/** The value of what stands in braces, an empty text for a path without one, or undefined where the path is another. */
function matchPath(pattern: string, path: string): string | undefined {
  const [start, end] = pattern.split(/\{\w+\}/) as [string, string?];
  if (end === undefined) return path === pattern ? "" : undefined;
  const id = path.startsWith(start) && path.endsWith(end) ? path.slice(start.length, path.length - end.length) : "";
  if (id === "" || id.includes("/")) return undefined;
  try {
    return decodeURIComponent(id);
  } catch {
    return undefined;
  }
}

function routeUnknown({ method, path }: AdminRequest, methods: readonly string[]): AdminResponse {
  if (methods.length > 0) return problem(405, "route_unknown", `${path} answers ${methods.join(" and ")}, not ${method}.`);
  return problem(404, "route_unknown", `There is no ${path}. \`GET /api/openapi.json\` lists every route.`);
}

function errorAnswer({ code, message }: PurserError): AdminResponse {
  return problem(statusOf(code), code, message);
}

const NOT_FOUND: ReadonlySet<ErrorCode> = new Set(["reservation_unknown", "channel_unknown", "route_unknown", "budget_unknown"]);

function statusOf(code: ErrorCode): number {
  if (NOT_FOUND.has(code)) return 404;
  if (code === "store_unavailable" || code === "shutting_down") return 503;
  if (code === "store_locked") return 409;
  return code === "internal" ? 500 : 400;
}

function unknownRequest(id: string): PurserError {
  return new PurserError("reservation_unknown", `There is no call "${id}". The id is in the answer's header x-purser-request-id.`);
}
