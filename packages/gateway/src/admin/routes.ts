import { randomBytes } from "node:crypto";
import {
  type Balance,
  type Budget,
  type Budgets,
  compileSelector,
  type Entry,
  type LedgerArchive,
  type PriceSource,
  PurserError,
  periodBefore,
  type ReadEvidence,
  type ReportQuery,
  type Store,
  windowSpan,
} from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import type { Rollups } from "@purser/core/stores/sqlite";
import { ALERTS_MOST } from "../alerts/alert-book.ts";
import type { Alerts } from "../alerts/alerts.ts";
import type { Asks } from "../asks/asks.ts";
import type { AuditLog } from "../audit-log/audit-log.ts";
import type { Keys } from "../callers/key.ts";
import { keyNames } from "../callers/key-names.ts";
import type { Commitment } from "../commitments/commitment.ts";
import { HOUR_MS } from "../commitments/commitment.ts";
import { shareRows } from "../commitments/shares.ts";
import { readAdvice, readCommitments, readCoverages } from "../commitments/uses.ts";
import type { ConfiguredAllowance } from "../config/allowances.ts";
import type { BudgetChange, BudgetFile } from "../config/change-budgets.ts";
import type { Config } from "../config/config.ts";
import { suggestion } from "../config/nearest-name.ts";
import type { Guards } from "../guards/guards.ts";
import type { HandoverBookPort } from "../handovers/handover-book.ts";
import { hashPassword } from "../people/password.ts";
import type { People } from "../people/people.ts";
import type { StoredPerson } from "../people/person.ts";
import type { QueuePort } from "../queue/queue.ts";
import { daysOf } from "../reconciliation/bill.ts";
import { readCommittedLines } from "../reconciliation/ledger-lines.ts";
import type { Switches } from "../switches/switches.ts";
import { guardedBudgets, trialOf } from "../trials/trial.ts";
import { adjustmentJson, callAdjustmentJson } from "./adjustment-json.ts";
import { type Admin, type AdminRequest, type AdminResponse, file, ok, problem, type Role } from "./admin.ts";
import { alertJson, readAcknowledgement, readSnooze } from "./alert-json.ts";
import { askJson, readAskAnswer } from "./ask-json.ts";
import { readAttempts } from "./attempt-list.ts";
import { allowanceJson, balanceJson, fullest, ownedBalances } from "./balances.ts";
import {
  budgetChangeJson,
  budgetTrialJson,
  isTrial,
  readBudgetChange,
  readBudgetRemoval,
  readLimitChange,
  readNewBudget,
  writtenBudgetJson,
} from "./budget-json.ts";
import { readBudgetTree, readHistory } from "./budget-tree.ts";
import { BEGINNINGS, listCalls, unknownRequest } from "./call-list.ts";
import { reportCall } from "./call-report.ts";
import { channelsJson, deliveryJson } from "./channel-json.ts";
import { adviceJson, commitmentJson, committedBillJson, readAdviceQuery } from "./commitment-json.ts";
import { readAskedCall, readAuthorization, readExtension, readRelease, readSettlement } from "./decision-json.ts";
import { authorizationAnswer, type Decisions } from "./decisions.ts";
import { createFigures, type Figures } from "./figures.ts";
import { grantJson, readNewGrant, readReset, readRevocation } from "./grant-json.ts";
import { guardJson } from "./guard-json.ts";
import { type HandoverListJson, handoverJson, oneHandoverJson, readHandoverDeed, wholeHandoverJson } from "./handover-json.ts";
import { Kept } from "./kept.ts";
import { keyJson, readNewKey } from "./key-json.ts";
import type { Live } from "./live.ts";
import { type Minutes, readMinutesBy } from "./minutes.ts";
import { OPENAPI } from "./openapi.ts";
import { readOverview } from "./overview.ts";
import { makePassword, personJson, readNewPassword, readNewPerson } from "./person-json.ts";
import { priceList } from "./price-list.ts";
import { waitingCallJson } from "./queue-json.ts";
import { comparedJson, type ReportJson, readFilter, readReport, readReportQuery, reportCsv, reportJson } from "./report.ts";
import { economicsJson, economicsReports, readEconomicsQuery } from "./reports/economics.ts";
import { FOCUS_ATTRIBUTES, type FocusReport, focusCsv } from "./reports/focus.ts";
import { readSavedQuery, savedJson } from "./reports/saved.ts";
import { readSpendersQuery, spendersJson } from "./reports/spenders.ts";
import { readStatementQuery, type StatementsJson, statementReports, statementsCsv, statementsJson } from "./reports/statement.ts";
import { statementsPage } from "./reports/statement-page.ts";
import { readWaste, readWasteQuery } from "./reports/waste.ts";
import { settingsJson } from "./settings.ts";
import { readEnding, readNewSwitch, switchJson } from "./switch-json.ts";
import { trialJson } from "./trial-json.ts";
import { playBack } from "./what-if.ts";
import { errorAnswer, writtenDown } from "./written-down.ts";

export interface AdminOptions {
  readonly budgets: Pick<
    Budgets,
    "balances" | "configured" | "allowances" | "grant" | "grants" | "ladder" | "revoke" | "reset" | "adjusting" | "adjusted"
  >;
  readonly store: Pick<Store, "entries">;
  readonly keys: Keys;
  /** The book of record, where there is one: it has what other gateways did, and answers reports. */
  readonly archive?: Pick<LedgerArchive, "reservationEntries" | "report" | "savings">;
  readonly switches: Switches;
  readonly alerts: Pick<Alerts, "channels" | "deliveries" | "waiting" | "test" | "alerts" | "acknowledge" | "snooze">;
  /** Decides calls of other gateways; none where no gateway runs. */
  readonly decisions?: Decisions;
  /** Where it is written down who changed what; nowhere where it is left out. */
  readonly log?: Pick<AuditLog, "write" | "lines" | "refused">;
  /** What only a gateway that runs knows; none where none does. */
  readonly running?: RunningParts;
  /** Lets `/api/requests/{id}` take a cost apart. */
  readonly prices?: PriceSource;
  /** The zone of reports that name none; UTC where it is left out. */
  readonly timeZone?: () => string;
  /** The budgets as they are configured now, whose owners statements name; none where it is left out. */
  readonly configured?: () => readonly Budget[];
  /** What was promised to providers; nothing where it is left out. */
  readonly commitments?: () => readonly Commitment[];
  /** What providers give away, as it is configured now; nothing where it is left out. */
  readonly configuredAllowances?: () => readonly ConfiguredAllowance[];
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** What a gateway is doing, and how it is configured now. */
export interface RunningParts {
  config(): Config;
  priceBook(): PriceBook;
  /** The sums of its ledger. */
  rollups(): Rollups;
  /** What was used of limits that follow it. */
  readonly readEvidence: ReadEvidence;
  readonly live: Live;
  readonly minutes: Pick<Minutes, "read">;
  /** Who signs in by name. */
  readonly people: Pick<People, "list" | "find" | "put" | "remove">;
  readonly asks: Pick<Asks, "list" | "answerById">;
  readonly guards: Pick<Guards, "takeOver" | "standing" | "end">;
  readonly queue: Pick<QueuePort, "list" | "callOff" | "runNow">;
  readonly handovers: Pick<HandoverBookPort, "list" | "read" | "take" | "answer" | "giveBack">;
  /** The budgets in the file of the gateway. */
  readonly budgetFile: BudgetFile;
  onError(error: unknown): void;
}

/** A route of the admin API. `{id}` or `{name}` in its path stands for one segment. */
interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** Whether a member may use it: then it shows nothing but what is theirs. */
  readonly isForMembers?: true;
  /** A question that is asked with a body, and changes nothing. */
  readonly isQuestion?: true;
  /** A change that `dry_run` only tries. */
  readonly canBeTried?: true;
  /** Shows what people wrote, which is not for whoever only looks. */
  readonly isConfidential?: true;
  /** Fields of its body that are somebody's words: the audit log keeps how long they are. */
  readonly unlogged?: readonly string[];
  run(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse>;
}

type Parts = Required<
  Pick<
    AdminOptions,
    "budgets" | "store" | "keys" | "switches" | "alerts" | "now" | "timeZone" | "configured" | "commitments" | "configuredAllowances"
  >
> &
  Pick<AdminOptions, "prices" | "decisions" | "archive" | "log" | "running"> & {
    readonly figures: Figures;
    readonly kept: Kept<readonly Balance[]>;
  };

/** Every route, once; `openapi.ts` describes each, and a test holds the two together. */
export const ADMIN_ROUTES: readonly Route[] = [
  { method: "GET", path: "/api/budgets", isForMembers: true, run: listBudgets },
  { method: "POST", path: "/api/budgets", canBeTried: true, run: createBudget },
  { method: "GET", path: "/api/budgets/{name}", run: showBudget },
  { method: "PUT", path: "/api/budgets/{name}", canBeTried: true, run: replaceBudget },
  { method: "DELETE", path: "/api/budgets/{name}", canBeTried: true, run: removeBudget },
  { method: "GET", path: "/api/allowances", run: listAllowances },
  { method: "GET", path: "/api/commitments", run: listCommitments },
  { method: "GET", path: "/api/commitments/advice", run: adviseCommitments },
  { method: "GET", path: "/api/commitments/billed", run: listCommittedBills },
  { method: "POST", path: "/api/budgets/{name}/reset", run: resetBudget },
  { method: "POST", path: "/api/budgets/{name}/limit", run: changeLimit },
  { method: "GET", path: "/api/budgets/{name}/history", run: showHistory },
  { method: "GET", path: "/api/budgets/{name}/what-if", run: whatIf },
  { method: "GET", path: "/api/budget-tree", run: showTree },
  { method: "GET", path: "/api/adjustments", run: listAdjustments },
  { method: "GET", path: "/api/trials", run: listTrials },
  { method: "GET", path: "/api/overview", run: showOverview },
  { method: "GET", path: "/api/minutes", run: showMinutes },
  {
    method: "GET",
    path: "/api/events",
    run: async (parts) => ({ status: 200, body: undefined, listen: (send) => runningOf(parts).live.listen(send) }),
  },
  { method: "GET", path: "/api/prices", run: listPrices },
  { method: "GET", path: "/api/settings", run: showSettings },
  { method: "GET", path: "/api/asks", run: async (parts) => ok({ data: (await runningOf(parts).asks.list()).map(askJson) }) },
  { method: "POST", path: "/api/asks/{id}", run: answerAsk },
  { method: "GET", path: "/api/grants", run: listGrants },
  { method: "POST", path: "/api/grants", run: createGrant },
  { method: "DELETE", path: "/api/grants/{id}", run: revokeGrant },
  { method: "GET", path: "/api/requests", isForMembers: true, run: listRequests },
  { method: "GET", path: "/api/requests/{id}", isForMembers: true, run: showRequest },
  { method: "GET", path: "/api/report", isForMembers: true, run: report },
  { method: "GET", path: "/api/statements", run: showStatements },
  { method: "GET", path: "/api/spenders", run: listSpenders },
  { method: "GET", path: "/api/waste", run: showWaste },
  { method: "GET", path: "/api/savings", run: showSavings },
  { method: "POST", path: "/api/economics", isQuestion: true, run: reckonEconomics },
  { method: "GET", path: "/api/key-names", run: listKeyNames },
  { method: "GET", path: "/api/keys", run: async ({ keys }) => ok({ data: keys.list().map(keyJson) }) },
  { method: "POST", path: "/api/keys", run: createKey },
  { method: "DELETE", path: "/api/keys/{id}", run: revokeKey },
  { method: "GET", path: "/api/people", run: listPeople },
  { method: "POST", path: "/api/people", run: createPerson },
  { method: "POST", path: "/api/people/{name}/password", run: resetPassword },
  { method: "DELETE", path: "/api/people/{name}", run: removePerson },
  { method: "GET", path: "/api/switches", run: listSwitches },
  { method: "POST", path: "/api/switches", run: throwSwitch },
  { method: "DELETE", path: "/api/switches/{id}", run: endSwitch },
  { method: "GET", path: "/api/guards", run: listGuards },
  { method: "DELETE", path: "/api/guards/{id}", run: endGuard },
  { method: "GET", path: "/api/queue", run: listQueue },
  { method: "DELETE", path: "/api/queue/{id}", run: callOff },
  { method: "POST", path: "/api/queue/{id}/run", run: runWaiting },
  { method: "GET", path: "/api/handovers", run: listHandovers },
  { method: "GET", path: "/api/handovers/{id}", isConfidential: true, run: showHandover },
  { method: "POST", path: "/api/handovers/{id}/take", run: takeHandover },
  { method: "POST", path: "/api/handovers/{id}/answer", unlogged: ["text"], run: answerHandover },
  { method: "POST", path: "/api/handovers/{id}/return", run: returnHandover },
  { method: "GET", path: "/api/channels", run: async ({ alerts }) => ok({ data: await channelsJson(alerts) }) },
  { method: "POST", path: "/api/channels/{id}/test", run: async ({ alerts }, _request, id) => ok(deliveryJson(await alerts.test(id))) },
  { method: "GET", path: "/api/alerts", run: listAlerts },
  { method: "POST", path: "/api/alerts/{id}/acknowledge", run: acknowledgeAlert },
  { method: "POST", path: "/api/alerts/{id}/snooze", run: snoozeAlert },
  { method: "GET", path: "/api/audit", run: listDeeds },
  { method: "GET", path: "/api/deliveries", run: async ({ alerts }) => ok({ data: (await alerts.deliveries()).map(deliveryJson) }) },
  { method: "POST", path: "/api/decisions", run: reserveCall },
  {
    method: "POST",
    path: "/api/decisions/{id}/settle",
    run: async (parts, { body }, id) => decisionsOf(parts).settle(id, readSettlement(body)),
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
  { method: "GET", path: "/api/openapi.json", isForMembers: true, run: async () => ok(OPENAPI) },
];

/** Whether a request is about a call of another gateway. */
export function isAboutDecisions({ path }: Pick<AdminRequest, "path">): boolean {
  return path === "/api/authorize" || path === "/api/decisions" || path.startsWith("/api/decisions/");
}

/** The admin API over the parts of a gateway. It answers requests that are already known to be the owner's. */
export function createAdmin({
  now = Date.now,
  timeZone = () => "UTC",
  configured = () => [],
  commitments = () => [],
  configuredAllowances = () => [],
  ...options
}: AdminOptions): Admin {
  const { store, archive, running } = options;
  const figures = createFigures({ store, archive, rollups: running?.rollups, onError: running?.onError });
  const parts: Parts = { ...options, now, timeZone, configured, commitments, configuredAllowances, figures, kept: new Kept() };
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
    const { role = "owner" } = request;
    if (!mayUse(role, found.route)) return refuseRole(parts, request, role);
    try {
      const run = () => found.route.run(parts, request, found.id);
      return await (parts.log && changes(found.route) && !(found.route.canBeTried && isTrial(request))
        ? writtenDown(parts.log, found.route, request, run)
        : run());
    } catch (error) {
      if (error instanceof PurserError) return errorAnswer(error);
      throw error;
    }
  };
}

/** Whether a route changes something that is not a call's: decisions about calls are in the ledger. */
export function changes({ method, path, isQuestion }: Omit<Route, "run">): boolean {
  return method !== "GET" && isQuestion !== true && !isAboutDecisions({ path });
}

/** Whether a role may use a route. One that is new can be looked at by viewers where it only reads, and is nobody's but the admins' else. */
export function mayUse(role: Role, { method, path, isQuestion, isForMembers, isConfidential }: Omit<Route, "run">): boolean {
  if (role === "owner" || role === "admin") return true;
  if (role === "member") return isForMembers === true;
  const isAsking = isAboutDecisions({ path });
  return role === "viewer" && (method === "GET" || isQuestion === true) && !isAsking && isConfidential !== true;
}

function refuseRole({ log }: Parts, { method, path, by = "somebody", from }: AdminRequest, role: Role): AdminResponse {
  log?.refused({ by, what: "access.refused", from, details: { method, path, status: 403, role } });
  return problem(403, "key_invalid", `The role "${role}" may not do this: ${method} ${path}. Use an admin key, or the owner's token.`);
}

/** Which calls are a member's own: those of their key, or of a person who signed in by name. They are shown no others. */
function ownCalls({ role, subject }: AdminRequest): { readonly key: string } | { readonly user: string } | undefined {
  if (role !== "member") return undefined;
  if (subject?.key !== undefined) return { key: subject.key };
  // A name in which `*` stood would select others.
  return subject?.user === undefined || subject.user.includes("*") ? { key: "" } : { user: subject.user };
}

/** Who did something where nothing else is said: the key, or the person who signed in; nothing of the owner. */
function doerOf({ role = "owner", subject, by }: AdminRequest): string | undefined {
  return subject?.key ?? (role === "owner" ? undefined : by);
}

const ALERTS_SHOWN = 100;

/** What people were told, the newest first. */
async function listAlerts({ alerts, now }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["limit", "state"]);
  const state = query.get("state");
  if (state !== null && !/^(open|acknowledged|snoozed|over)$/.test(state))
    throw new PurserError("body_invalid", '"state" is open, acknowledged, snoozed or over.');
  const limit = countOf("limit", query.get("limit") ?? String(ALERTS_SHOWN), ALERTS_MOST);
  const at = now();
  const all = (await alerts.alerts(state === null ? limit : ALERTS_MOST)).map((one) => alertJson(one, at));
  return ok({ data: all.filter((one) => state === null || one.state === state).slice(0, limit) });
}

async function acknowledgeAlert({ alerts, now }: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  return ok(alertJson(await alerts.acknowledge(id, readAcknowledgement(request)), now()));
}

async function snoozeAlert({ alerts, now }: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { until, by } = readSnooze(request, now());
  return ok(alertJson(await alerts.snooze(id, by, until), now()));
}

const DEEDS = 100;
const DEEDS_MOST = 1_000;

/** Who signed in and out and was not let in, and who made, changed or removed whom. */
const IS_ABOUT_PEOPLE = /^(session|person)\.|^[A-Z]+ \/api\/people/;

/** The newest lines of the audit log of this data folder. */
async function listDeeds({ log }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["limit", "before", "about"]);
  const about = query.get("about");
  if (about !== null && about !== "people") throw new PurserError("body_invalid", '"about" is people, or left out.');
  const limit = countOf("limit", query.get("limit") ?? String(DEEDS), DEEDS_MOST);
  const before = query.get("before");
  const until = before === null ? Number.POSITIVE_INFINITY : countOf("before", before, Number.MAX_SAFE_INTEGER);
  const lines = ((await log?.lines()) ?? []).filter(({ n, what }) => n < until && (about === null || IS_ABOUT_PEOPLE.test(what)));
  return ok({ data: lines.slice(-limit).toReversed(), has_more: lines.length > limit });
}

async function listBudgets({ budgets }: Parts, request: AdminRequest): Promise<AdminResponse> {
  const { query, subject = {} } = request;
  checkParameters(query, ["budget", "most", "owners"]);
  const budget = query.get("budget");
  const most = query.get("most");
  const isForCallers = ownCalls(request) !== undefined;
  const balances = await budgets.balances({ ...(isForCallers && { subject }), ...(budget !== null && { budget }) });
  const owners = query.get("owners") ?? "false";
  if (owners !== "true" && owners !== "false") throw new PurserError("body_invalid", '"owners" is true or false.');
  const data = (shown: readonly Balance[]) =>
    owners === "true" ? ownedBalances(shown, budgets.configured, { isForCallers }) : shown.map(balanceJson);
  if (most === null) return ok({ data: data(balances) });
  return ok({ data: data(fullest(balances, countOf("most", most, BALANCES_MOST))), total: balances.length });
}

async function listAllowances({ budgets, configuredAllowances, now }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, []);
  const byName = new Map(configuredAllowances().map((allowance) => [allowance.name, allowance]));
  const data = (await budgets.allowances()).map((balance) => allowanceJson(balance, byName.get(balance.budget), now()));
  return ok({ data });
}

async function listCommitments({ commitments, figures, now, timeZone }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, []);
  const standings = await readCommitments(commitments(), { figures, timeZone: timeZone(), now: now() });
  return ok({ data: standings.map(commitmentJson) });
}

async function adviseCommitments(parts: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["since", "until", "provider", "model", "discount", "offer"]);
  const asked = readAdviceQuery(query, termsOf(parts));
  return ok(adviceJson(await readAdvice({ figures: parts.figures, timeZone: parts.timeZone() }, asked), asked));
}

async function listCommittedBills({ commitments, figures, now, timeZone }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["since", "until"]);
  const { since, until } = readReportQuery(query, { now: now(), timeZone: "UTC" });
  const { from, to } = daysOf(since, until);
  const lines = await readCommittedLines(commitments(), { figures, timeZone: timeZone() }, { from, to, now: now() });
  return ok({ data: lines.map(committedBillJson) });
}

async function resetBudget({ budgets }: Parts, request: AdminRequest, name: string): Promise<AdminResponse> {
  const balances = await budgets.reset(readReset(request, name));
  return ok({ data: balances.map(balanceJson) });
}

async function changeLimit(parts: Parts, { body }: AdminRequest, budget: string): Promise<AdminResponse> {
  const change = { budget: budgetOf(parts, budget).name, ...readLimitChange(body) };
  await runningOf(parts).budgetFile.change({ kind: "limit", ...change });
  return ok(change);
}

async function showBudget(parts: Parts, { query }: AdminRequest, name: string): Promise<AdminResponse> {
  checkParameters(query, []);
  return ok(writtenBudgetJson(await runningOf(parts).budgetFile.read(name)));
}

async function createBudget(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  return changeBudget(parts, request, { kind: "new", ...readNewBudget(request.body) });
}

async function replaceBudget(parts: Parts, request: AdminRequest, budget: string): Promise<AdminResponse> {
  return changeBudget(parts, request, { kind: "replace", budget, ...readBudgetChange(request) });
}

async function removeBudget(parts: Parts, request: AdminRequest, budget: string): Promise<AdminResponse> {
  return changeBudget(parts, request, { kind: "remove", budget, ...readBudgetRemoval(request) });
}

/** Changes a budget in the file, or says what would come of it. */
async function changeBudget(parts: Parts, request: AdminRequest, change: BudgetChange): Promise<AdminResponse> {
  checkParameters(request.query, ["dry_run"]);
  const { budgetFile } = runningOf(parts);
  if (isTrial(request)) return ok(budgetTrialJson(await budgetFile.try(change)));
  const changed = await budgetFile.change(change);
  const logged = { budget: changed.name, before: changed.before ?? null, after: changed.after?.item ?? null };
  return { status: change.kind === "new" ? 201 : 200, body: budgetChangeJson(changed), logged };
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
const GUARDS_MOST = 1_000;
const PAGE = 20;
const PAGE_MOST = 100;
const HISTORY_DAYS_MOST = 366;
const PLAYED_DAYS_MOST = 31;
const PRICED_DAYS = 90;
const DAY_MS = 86_400_000;

async function listRequests({ store }: Parts, request: AdminRequest): Promise<AdminResponse> {
  const { query } = request;
  checkParameters(query, ["limit", "after_id", "filter", "outcome"]);
  const limit = countOf("limit", query.get("limit") ?? String(PAGE), PAGE_MOST);
  const outcome = query.get("outcome") ?? undefined;
  if (outcome !== undefined && outcome !== "denied" && outcome !== "allowed")
    throw new PurserError("body_invalid", '"outcome" is "denied" or "allowed".');
  const asked = readFilter(query.getAll("filter"));
  const filter = { ...asked, ...ownCalls(request) };
  return ok(await listCalls(store, { limit, afterId: query.get("after_id"), filter, outcome }));
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

async function listAdjustments({ budgets, running }: Parts): Promise<AdminResponse> {
  // Only a gateway adds up what was used.
  const read: ReadEvidence = running?.readEvidence ?? (async () => undefined);
  return ok({ data: (await budgets.adjusting(read)).map(adjustmentJson) });
}

async function listTrials({ configured, figures, running, now }: Parts): Promise<AdminResponse> {
  const observing = configured().filter(({ observesUntil }) => observesUntil > 0);
  if (observing.length === 0) return ok({ data: [] });
  const at = now();
  const guarded = running ? guardedBudgets(running.config()) : [];
  return ok({
    data: await figures.fromSums((sums) => observing.map((budget) => trialJson(trialOf(budget, sums, at, guarded), at))),
  });
}

async function showRequest({ budgets, store, archive, prices }: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const entriesOf = async (reservation: string) => {
    const own = await store.entries({ reservation });
    return own.length === 0 && archive ? archive.reservationEntries(reservation) : own;
  };
  const entries = await entriesOf(id);
  if (!entries.some(({ kind }) => BEGINNINGS.some((beginning) => beginning === kind))) throw unknownRequest(id);
  const isOwn = compileSelector(ownCalls(request) ?? {});
  // What is another's is not there, for whoever may not see it.
  if (entries.some((entry) => "detail" in entry && !isOwn(entry.detail.subject))) throw unknownRequest(id);
  const adjusted = (await budgets.adjusted(entries[0]?.at ?? 0)).filter(({ budget }) => isAbout(entries, budget)).map(callAdjustmentJson);
  return ok(reportCall(entries, { attempts: await readAttempts(entriesOf, id), adjusted, ...(prices && { prices }) }));
}

/** Whether a call was charged to a budget, or refused by it. */
function isAbout(entries: readonly Entry[], budget: string): boolean {
  return entries.some(
    (entry) =>
      entry.postings.some(({ counter }) => counter.budget === budget) ||
      (entry.kind === "denied" && entry.detail.refusedBy?.budget === budget),
  );
}

async function showOverview({ figures, now, timeZone }: Parts): Promise<AdminResponse> {
  return ok(await readOverview(figures, { now: now(), timeZone: timeZone() }));
}

async function showMinutes(parts: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["by"]);
  return ok(await runningOf(parts).minutes.read(readMinutesBy(query.get("by"))));
}

async function showTree(parts: Parts): Promise<AdminResponse> {
  const { budgets, figures, kept, now } = parts;
  return ok({ data: await readBudgetTree({ budgets, figures, kept, configured: runningOf(parts).config().budgets, now: now() }) });
}

async function showHistory(parts: Parts, { query }: AdminRequest, name: string): Promise<AdminResponse> {
  checkParameters(query, ["days"]);
  const days = countOf("days", query.get("days") ?? "31", HISTORY_DAYS_MOST);
  return ok({ data: readHistory(parts.figures, budgetOf(parts, name), { days, now: parts.now() }) });
}

async function whatIf(parts: Parts, { query }: AdminRequest, name: string): Promise<AdminResponse> {
  checkParameters(query, ["limit", "days"]);
  const limit = query.get("limit");
  if (limit === null) throw new PurserError("body_invalid", 'Say which amount: "limit=$50 / month".');
  const days = countOf("days", query.get("days") ?? "7", PLAYED_DAYS_MOST);
  return ok(await playBack(parts.store, budgetOf(parts, name), { limit, days, now: parts.now() }));
}

async function listPrices(parts: Parts): Promise<AdminResponse> {
  const { figures, now } = parts;
  const { config, priceBook } = runningOf(parts);
  const until = now();
  const timeZone = parts.timeZone();
  const since = windowSpan({ kind: "calendar", period: "day", timeZone }, until - PRICED_DAYS * DAY_MS).startsAt;
  const { reports } = await figures.glance([{ since, until: until + 1, by: ["model"], timeZone }]);
  return ok(priceList(config(), priceBook(), reports[0] ?? [], until));
}

async function showSettings(parts: Parts): Promise<AdminResponse> {
  return ok(settingsJson(runningOf(parts).config(), performance.timeOrigin));
}

async function answerAsk(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { isGiven, giver } = readAskAnswer(request);
  const answered = await runningOf(parts).asks.answerById(id, isGiven, giver);
  if (answered && "ask" in answered) return ok({ ...askJson(answered.ask), answer: answered.kind });
  return problem(404, "grant_unknown", `Nothing is asked for by "${id}" any more. \`GET /api/asks\` lists what is.`);
}

function runningOf({ running }: Parts): RunningParts {
  if (running) return running;
  throw new PurserError("route_unknown", "Only a gateway that runs knows this. Start it: purser serve.");
}

function budgetOf(parts: Parts, name: string): Budget {
  const budget = runningOf(parts)
    .config()
    .budgets.find((one) => one.name === name);
  if (budget) return budget;
  throw new PurserError("budget_unknown", `There is no budget "${name}". Budgets stand in the configuration, each with its name.`);
}

async function report(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const { query: asked, format, isCompared } = readReport(request.query, termsOf(parts));
  const query = { ...asked, filter: { ...asked.filter, ...ownCalls(request) } };
  if (format === "focus") return file("text/csv", "focus.csv", focusCsv(await focusReport(parts, query), query));
  const now = await reportOf(parts, query);
  const json = isCompared ? comparedJson(now, await reportOf(parts, { ...query, ...periodBefore(query) })) : now;
  return format === "csv" ? file("text/csv", "report.csv", reportCsv(json)) : ok(json);
}

/** What is nobody's calls is told only where all calls are asked for. */
async function focusReport(parts: Parts, query: ReportQuery): Promise<FocusReport> {
  const isOfAll = Object.keys(query.filter ?? {}).length === 0;
  const rows = await parts.figures.report(query);
  const { commitments, source, terms } = committedOf(parts, query);
  const coverages = await readCoverages(commitments, source, terms);
  const { filter, ...ofAll } = query;
  const whole = isOfAll || coverages.length === 0 ? rows : await parts.figures.report({ ...ofAll, by: FOCUS_ATTRIBUTES });
  const shared = shareRows(rows, { coverages, whole, periodMs: terms.periodMs, at: { provider: 0, model: 1 } });
  const committed = coverages.flatMap(({ commitment, charges }) => charges.map((charge) => ({ ...charge, commitment })));
  return { rows: shared, committed: isOfAll ? committed : [] };
}

function committedOf(
  { commitments, figures, timeZone, now }: Parts,
  { since, until, step }: Pick<ReportQuery, "since" | "until" | "step">,
) {
  return {
    commitments: commitments(),
    source: { figures, timeZone: timeZone() },
    terms: { span: { startsAt: since, endsAt: until }, periodMs: step === "hour" ? HOUR_MS : DAY_MS, now: now() },
  };
}

async function reportOf({ figures }: Parts, query: ReportQuery): Promise<ReportJson> {
  return reportJson(await figures.report(query), query);
}

function termsOf({ now, timeZone }: Parts): { readonly now: number; readonly timeZone: string } {
  return { now: now(), timeZone: timeZone() };
}

async function showStatements(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  checkParameters(request.query, ["month", "by", "time_zone", "format"]);
  const query = readStatementQuery(request.query, termsOf(parts));
  const [now, before] = await Promise.all(statementReports(query).map((one) => reportOf(parts, one)));
  const budgets = parts.configured();
  const json = statementsJson({ query, now: parts.now(), rows: now?.data ?? [], before: before?.data ?? [], budgets });
  const format = request.query.get("format") ?? "json";
  if (format === "csv") return file("text/csv", `statements-${json.month}.csv`, statementsCsv(json));
  if (format === "html") return file("text/html", `statements-${json.month}.html`, statementsPage(await named(parts, json)));
  if (format === "json") return ok(json);
  throw new PurserError("body_invalid", '"format" is json, csv or html.');
}

async function listSpenders(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const query = readSpendersQuery(request.query, termsOf(parts));
  return ok(spendersJson(await reportOf(parts, query.report), query));
}

async function showWaste(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const { store, prices, configured } = parts;
  return ok(await readWaste({ store, prices, budgets: configured() }, readWasteQuery(request.query, termsOf(parts))));
}

async function showSavings(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const query = readSavedQuery(request.query, termsOf(parts));
  return ok(savedJson(await parts.figures.savings(query), query));
}

async function reckonEconomics(parts: Parts, { body }: AdminRequest): Promise<AdminResponse> {
  const query = readEconomicsQuery(body, termsOf(parts));
  return ok(economicsJson(query, await Promise.all(economicsReports(query).map((one) => reportOf(parts, one)))));
}

/** Statements for people: keys are called by their names. */
async function named({ keys }: Parts, json: StatementsJson): Promise<StatementsJson> {
  if (json.by !== "key") return json;
  const names = keyNames([...keys.list(), ...(await keys.revoked())]);
  return { ...json, data: json.data.map((one) => ({ ...one, value: names.get(one.value ?? "") ?? one.value })) };
}

/** Reports have ids of keys, also of those that are no more: here is what they are called. */
async function listKeyNames({ keys }: Parts): Promise<AdminResponse> {
  const known = keys.list().map(({ id, name }) => ({ id, name, revoked: false }));
  const revoked = (await keys.revoked()).map(({ id, name }) => ({ id, name, revoked: true }));
  return ok({ data: [...known, ...revoked] });
}

async function createKey({ keys, now }: Parts, { body, role }: AdminRequest): Promise<AdminResponse> {
  const wanted = readNewKey(body, now());
  if (role === "admin" && wanted.role === "admin") return OWNERS_ONLY;
  const { key, secret } = await keys.create(wanted);
  return { status: 201, body: { ...keyJson(key), secret } };
}

const OWNERS_ONLY = problem(
  403,
  "key_invalid",
  "Only the owner makes keys of admins, and ends those of others: on the machine of the gateway, or with its admin.token.",
);

async function revokeKey({ keys }: Parts, { role, subject }: AdminRequest, id: string): Promise<AdminResponse> {
  // Whoever finds their own key in the wrong hands ends it.
  const isOthers = subject?.key !== id;
  if (role === "admin" && isOthers && keys.list().some((key) => key.id === id && key.role === "admin")) return OWNERS_ONLY;
  if (await keys.revoke(id)) return ok({ id, revoked: true });
  return problem(404, "key_invalid", `There is no key "${id}". Those that there are: \`purser keys list\`, or GET /api/keys.`);
}

async function listPeople(parts: Parts): Promise<AdminResponse> {
  const { people, config } = runningOf(parts);
  const configured = new Set(config().login.people.map(({ name }) => name));
  return ok({ data: people.list().map((person) => personJson(person, configured.has(person.name))) });
}

async function createPerson(parts: Parts, { body, role }: AdminRequest): Promise<AdminResponse> {
  const { people } = runningOf(parts);
  const { password = makePassword(), ...person } = readNewPerson(body);
  if (role === "admin" && person.role === "admin") return ADMINS_ARE_THE_OWNERS;
  if (people.find(person.name)) throw new PurserError("body_invalid", `There is a person named "${person.name}" already.`);
  await people.put({ ...person, password: await hashPassword(password) });
  return { status: 201, body: { ...personJson(person, false), password } };
}

async function resetPassword(parts: Parts, request: AdminRequest, name: string): Promise<AdminResponse> {
  const { people } = runningOf(parts);
  const password = readNewPassword(request.body) ?? makePassword();
  const hashed = await hashPassword(password);
  const person = changeable(parts, request, name);
  if ("status" in person) return person;
  await people.put({ ...person, password: hashed });
  return ok({ ...personJson(person, false), password });
}

async function removePerson(parts: Parts, request: AdminRequest, name: string): Promise<AdminResponse> {
  const person = changeable(parts, request, name);
  if ("status" in person) return person;
  await runningOf(parts).people.remove(name);
  return ok({ name, removed: true });
}

/** A person who can be changed here, by whoever asks; or why not. */
function changeable(parts: Parts, { role }: AdminRequest, name: string): StoredPerson | AdminResponse {
  const { people, config } = runningOf(parts);
  if (config().login.people.some((one) => one.name === name))
    throw new PurserError("config_fixed", `${name} stands in login.people of purser.yaml: change it there.`);
  const person = people.find(name);
  if (!person) return problem(404, "person_unknown", `There is no person "${name}".${nearestPerson(people, name)}`);
  return role === "admin" && person.role === "admin" ? ADMINS_ARE_THE_OWNERS : person;
}

function nearestPerson(people: Pick<People, "list">, name: string): string {
  const names = people.list().map((one) => one.name);
  return names.length === 0 ? " Nobody signs in by name." : suggestion(name, names);
}

const ADMINS_ARE_THE_OWNERS = problem(
  403,
  "key_invalid",
  "Only the owner makes, changes and removes people who are admins: on the machine of the gateway, or with its admin.token.",
);

async function listGuards(parts: Parts): Promise<AdminResponse> {
  return ok({ data: (await guardsOf(parts)).standing(parts.now()).slice(0, GUARDS_MOST).map(guardJson) });
}

/** The guards, with what those of other processes tripped on by now. */
async function guardsOf(parts: Parts): Promise<RunningParts["guards"]> {
  const { guards, onError } = runningOf(parts);
  await guards.takeOver(parts.now()).catch(onError);
  return guards;
}

async function endGuard(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  // Who does it, and why, is written down with the request.
  readEnding(request.query, doerOf(request));
  const guards = await guardsOf(parts);
  const ended = await guards.end(id, parts.now());
  if (ended) return ok(guardJson(ended));
  return problem(
    404,
    "guard_unknown",
    `No guard stands under "${id}", or it let go by itself. \`GET /api/guards\` lists those that stand.`,
  );
}

/** More are waited for by nobody who reads a list. */
const QUEUE_MOST = 1_000;

async function listQueue(parts: Parts): Promise<AdminResponse> {
  const calls = await runningOf(parts).queue.list();
  return ok({ data: calls.slice(0, QUEUE_MOST).map(waitingCallJson), total: calls.length });
}

async function callOff(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { by, why } = readEnding(request.query, doerOf(request));
  const call = await runningOf(parts).queue.callOff(id, why === "" ? `by ${by}.` : `${why} (${by})`);
  if (!call) return waitingUnknown(id);
  if (call.state !== "failed" && call.state !== "deleted")
    return problem(
      409,
      "queued_call_running",
      `The call "${id}" is being made, or its answer pushed. Look again in a moment: \`GET /api/queue\`.`,
    );
  return ok(waitingCallJson(call));
}

async function runWaiting(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  readEnding(request.query, doerOf(request));
  const call = await runningOf(parts).queue.runNow(id);
  return call ? ok(waitingCallJson(call)) : waitingUnknown(id);
}

function waitingUnknown(id: string): AdminResponse {
  return problem(
    404,
    "queued_call_unknown",
    `No call waits under "${id}". \`GET /api/queue\` lists those that do; an answer is given once, and kept for a day.`,
  );
}

const HANDOVERS_MOST = 1_000;

async function listHandovers(parts: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  checkParameters(query, ["all"]);
  const hasReturned = query.get("all") === "true";
  const { handovers, total } = await runningOf(parts).handovers.list({ hasReturned, most: HANDOVERS_MOST });
  return ok({ data: handovers.map(handoverJson), total } satisfies HandoverListJson);
}

async function showHandover(parts: Parts, { by = "the owner", from }: AdminRequest, id: string): Promise<AdminResponse> {
  const { handover, said } = await runningOf(parts).handovers.read(id);
  // Who reads what people wrote is written down too.
  if (said) await parts.log?.write({ by, what: "handover.read", from, details: { handover: id } });
  return ok(await wholeHandoverJson({ handover, said }, parts.budgets));
}

async function takeHandover(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { by, over } = readHandoverDeed(request, ["over"]);
  return ok(await oneHandoverJson(await runningOf(parts).handovers.take(id, by, over), parts.budgets));
}

async function answerHandover(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { handovers } = runningOf(parts);
  const { by, text = "", isReturned } = readHandoverDeed(request, ["text", "return"]);
  const answered = await handovers.answer(id, by, text);
  return ok(await oneHandoverJson(isReturned ? await handovers.giveBack(id, by) : answered, parts.budgets));
}

async function returnHandover(parts: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const { by } = readHandoverDeed(request, []);
  return ok(await oneHandoverJson(await runningOf(parts).handovers.giveBack(id, by), parts.budgets));
}

async function listSwitches({ switches, now }: Parts, { query }: AdminRequest): Promise<AdminResponse> {
  const all = switches.list().map((one) => switchJson(one, now()));
  return ok({ data: query.get("all") === "true" ? all : all.filter(({ in_force }) => in_force) });
}

async function throwSwitch({ switches, now }: Parts, request: AdminRequest): Promise<AdminResponse> {
  return { status: 201, body: switchJson(await switches.off(readNewSwitch(request.body, doerOf(request), now())), now()) };
}

async function endSwitch({ switches, now }: Parts, request: AdminRequest, id: string): Promise<AdminResponse> {
  const ended = await switches.on(id, readEnding(request.query, doerOf(request)));
  if (ended) return ok(switchJson(ended, now()));
  return problem(
    404,
    "switch_unknown",
    `No switch "${id}" is in force. \`purser switches\` lists those that are, as does \`GET /api/switches\`.`,
  );
}

async function reserveCall(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const decisions = decisionsOf(parts);
  return decisions.reserve(readAskedCall(request, decisions.known));
}

/** For gateways that ask in headers and read headers only. */
async function authorize(parts: Parts, request: AdminRequest): Promise<AdminResponse> {
  const isExact = request.query.get("status") === "exact";
  try {
    const decisions = decisionsOf(parts);
    return authorizationAnswer(await decisions.reserve(readAuthorization(request, decisions.known)), isExact);
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
