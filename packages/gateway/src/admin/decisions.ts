import { randomBytes } from "node:crypto";
import { type Budgets, type Decision, LEASE_MS, type PriceSource, PurserError, type Reservation, type Store } from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import { type BudgetedCall, denialMessage, type Ending, type KnownTerms } from "../budgeted-call.ts";
import { describeBudget } from "../dialects/budget-error.ts";
import type { Refusal } from "../dialects/dialect.ts";
import { refusalHead } from "../refusal.ts";
import { type AdminResponse, ok, problem } from "./admin.ts";
import { balanceJson, instantJson } from "./balances.ts";
import { summariseCall, usageJson } from "./call-report.ts";
import { type AskedCall, isOwnId, type ReportedUsage } from "./decision-json.ts";
import { bodyToSend, endingByAnswer, type ToldAnswer, type WholeCall } from "./whole-call.ts";

export interface DecisionsOptions {
  readonly budgets: Pick<Budgets, "reserve" | "settle" | "release" | "extend">;
  readonly store: Pick<Store, "entries">;
  readonly prices: PriceSource;
  /** By which calls that are sent whole are read. */
  readonly known: () => KnownTerms;
  readonly alerts?: Pick<Alerts, "decided">;
  /** Whether new calls are taken. */
  readonly isDraining?: () => boolean;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** A decision whose hold has not ended. */
interface Open {
  readonly fingerprint: string;
  readonly decided: Promise<Decision>;
  expiresAt: number;
  /** The call, where it was sent whole and is not too much to be kept. */
  readonly budgeted: BudgetedCall | undefined;
}

/** So many bytes of calls that were sent whole are kept until they end. The others are charged by what their answers say alone. */
const KEPT_BYTES_MOST = 64 * 1024 * 1024;

/** Those whose lease ran out are forgotten when this many are kept, and then at each doubling. */
const SWEEP_AT = 1_000;

/** Calls that other gateways send, and about which they ask: each is admitted, settled and returned as the gateway's own are. */
export class Decisions {
  readonly #options: DecisionsOptions;
  readonly #now: () => number;
  /** Never more than the store holds open, but for those that were not swept yet. */
  readonly #open = new Map<string, Open>();
  #sweepAt = SWEEP_AT;
  #keptBytes = 0;

  constructor(options: DecisionsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** By which calls that are sent whole are read. */
  get known(): KnownTerms {
    return this.#options.known();
  }

  /** Holds the most that a call can use, or says why not. An id that is open is answered as before, for the same call. */
  async reserve({ id = newId(), call, fingerprint, whole }: AskedCall): Promise<AdminResponse> {
    if (this.#options.isDraining?.()) return shuttingDown(id);
    if (whole?.budgeted.dialect.isFree) return ok({ outcome: "free", body: bodyToSend(whole, undefined) });
    let open = this.#open.get(id);
    if (open && (open.fingerprint !== fingerprint || open.expiresAt <= this.#now())) throw usedBefore(id);
    if (!open) {
      this.#sweep();
      const expiresAt = this.#now() + (call.leaseMs ?? LEASE_MS);
      open = { fingerprint, decided: this.#decide(id, call), expiresAt, budgeted: this.#keep(whole) };
      this.#open.set(id, open);
    }
    const decision = await open.decided;
    if (decision.outcome === "allowed") open.expiresAt = Math.max(open.expiresAt, decision.reservation.expiresAt);
    return decisionAnswer({ id, decision, expiresAt: open.expiresAt, whole });
  }

  /** Replaces the hold by what was used. Late truth corrects what was charged when the lease ran out; what is said twice is charged once. */
  async settle(id: string, told: ReportedUsage | ToldAnswer): Promise<AdminResponse> {
    const reservation = await this.#reservation(id);
    const ending = "usage" in told ? ({ kind: "settled", ...told } as const) : await this.#endingBy(id, told, reservation);
    if (ending.kind === "released") {
      const { body } = await this.release(id, ending.why);
      return ok({ ...(body as object), usage: null, cost_nanodollars: 0, certainty: null });
    }
    const { outcome, charge } = await this.#options.budgets.settle(reservation, ending.usage, ending.certainty, ending.service);
    this.#forget(id);
    if (outcome === "unknown") throw unknownDecision(id);
    if (outcome !== "duplicate") {
      const { cost = null } = charge;
      return ok({ id, outcome, usage: usageJson(charge.usage), cost_nanodollars: cost, certainty: charge.certainty });
    }
    const standing = summariseCall(await this.#options.store.entries({ reservation: id }));
    return ok({ id, outcome, usage: standing.usage, cost_nanodollars: standing.cost_nanodollars, certainty: standing.certainty });
  }

  /** Returns the hold of a call that was never sent, or that costs nothing. */
  async release(id: string, why: string): Promise<AdminResponse> {
    const { outcome } = await this.#options.budgets.release(await this.#reservation(id), why);
    this.#forget(id);
    if (outcome === "unknown") throw unknownDecision(id);
    return ok({ id, outcome });
  }

  /** Renews the lease of a call that is still in flight. */
  async extend(id: string, leaseMs: number): Promise<AdminResponse> {
    const extended = await this.#options.budgets.extend(await this.#reservation(id), leaseMs);
    if (extended.outcome === "unknown") throw unknownDecision(id);
    const open = this.#open.get(id);
    if (open) open.expiresAt = extended.expiresAt;
    return ok({ id, outcome: extended.outcome, expires_at: instantJson(extended.expiresAt) });
  }

  async #decide(id: string, call: AskedCall["call"]): Promise<Decision> {
    let isAllowed = false;
    try {
      const decision = await this.#options.budgets.reserve({ ...call, id, isShared: true });
      isAllowed = decision.outcome === "allowed";
      this.#options.alerts?.decided(decision);
      return decision;
    } catch (error) {
      if (error instanceof PurserError && error.code === "internal" && (await this.#reserved(id))) throw usedBefore(id);
      throw error;
    } finally {
      if (!isAllowed) this.#forget(id);
    }
  }

  #endingBy(id: string, told: ToldAnswer, reservation: Reservation): Promise<Ending> {
    return endingByAnswer(told, this.#open.get(id)?.budgeted, reservation);
  }

  #keep(whole: WholeCall | undefined): BudgetedCall | undefined {
    const bytes = whole?.budgeted.call.body.bytes.length ?? 0;
    if (this.#keptBytes + bytes > KEPT_BYTES_MOST) return undefined;
    this.#keptBytes += bytes;
    return whole?.budgeted;
  }

  #forget(id: string): void {
    this.#keptBytes -= this.#open.get(id)?.budgeted?.call.body.bytes.length ?? 0;
    this.#open.delete(id);
  }

  /** The reservation of a decision: as it was made, or after a restart as the ledger has it. */
  async #reservation(id: string): Promise<Reservation> {
    const decision = await this.#open.get(id)?.decided.catch(() => undefined);
    if (decision?.outcome === "allowed") return decision.reservation;
    const entry = await this.#reserved(id);
    if (!entry) throw unknownDecision(id);
    const { at, expiresAt, outputCap, detail } = entry;
    const { provider = "", model = "" } = detail.subject;
    return {
      id,
      subject: detail.subject,
      outputTokens: outputCap,
      // The detail has the output of all answers together.
      copies: outputCap === 0 ? 1 : detail.outputTokens / outputCap,
      inputTokens: detail.inputTokens,
      expiresAt,
      card: detail.price === undefined ? undefined : this.#options.prices.card(provider, model, at),
      service: "standard",
      free: detail.allowance !== undefined,
    };
  }

  async #reserved(id: string) {
    if (isOwnId(id)) return undefined;
    const [entry] = await this.#options.store.entries({ reservation: id, kinds: ["reserved"], most: 1, newest: true });
    return entry?.kind === "reserved" ? entry : undefined;
  }

  #sweep(): void {
    if (this.#open.size < this.#sweepAt) return;
    const now = this.#now();
    for (const [id, { expiresAt }] of this.#open) if (expiresAt + EXPIRED_FOR_MS < now) this.#forget(id);
    this.#sweepAt = Math.max(SWEEP_AT, this.#open.size * 2);
  }
}

/** By then the store has charged what a hold was not settled for, and knows that its id is used. */
const EXPIRED_FOR_MS = 60_000;

function shuttingDown(id: string): AdminResponse {
  const code = "shutting_down";
  const message = "This server is shutting down and takes no new calls. Try again in a few seconds.";
  const { status, headers } = refusalHead({ code, message, requestId: id });
  return { ...problem(status, code, message), headers };
}

interface Decided {
  readonly id: string;
  readonly decision: Decision;
  readonly expiresAt: number;
  readonly whole: WholeCall | undefined;
}

function decisionAnswer({ id, decision, expiresAt, whole }: Decided): AdminResponse {
  if (decision.outcome === "denied") {
    const { denial, balances } = decision;
    const { reason: code } = denial;
    const message = whole ? denialMessage(whole.budgeted, denial) : denial.message;
    const refusal: Refusal = { code, message, denial, requestId: id };
    const { status, headers } = refusalHead(refusal, balances);
    const forClient = whole && { body: whole.budgeted.dialect.writeError(refusal, status) };
    return { status, headers, body: { ...problem(status, code, message).body, id, budget: describeBudget(denial), ...forClient } };
  }
  const toSend = whole && { body: bodyToSend(whole, decision) };
  if (decision.outcome === "uncounted") {
    const { outcome, outputTokens, message } = decision;
    return { ...ok({ outcome, output_tokens: outputTokens, message, ...toSend }), headers: { "x-purser-uncounted": "store unavailable" } };
  }
  const { reservation, balances } = decision;
  return ok({
    outcome: decision.outcome,
    id,
    output_tokens: reservation.outputTokens,
    input_tokens: reservation.inputTokens,
    expires_at: instantJson(expiresAt),
    balances: balances.map(balanceJson),
    ...toSend,
  });
}

/**
 * A decision for a gateway that reads headers only. nginx's `auth_request` knows 2xx, 401 and 403, so a refusal is a 403 that says in
 * headers what it would be; `isExact` gives it the status that it has.
 */
export function authorizationAnswer(answer: AdminResponse, isExact: boolean): AdminResponse {
  const { status, headers, body } = answer;
  const { id, output_tokens, input_tokens, expires_at, code, detail } = body as Readonly<Record<string, string | number | undefined>>;
  const own = status === 200 ? { id, output_tokens, input_tokens, expires_at } : { status, code, message: asJsonText(`${detail}`) };
  const named: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) if (value !== undefined) named[AUTHORIZATION_HEADERS[name] as string] = String(value);
  const answered = { status: status === 200 || isExact ? status : 403, headers: { ...headers, ...named } };
  const { body: ofCall, ...rest } = body as { readonly body?: unknown };
  if (ofCall === undefined) return { ...answered, body };
  // The client of a call reads an error in its own format; what was admitted goes on as it is.
  return status === 200 ? { ...answered, body: rest } : { ...answered, body: JSON.stringify(ofCall), textType: "application/json" };
}

const AUTHORIZATION_HEADERS: Readonly<Record<string, string>> = {
  id: "x-purser-decision-id",
  output_tokens: "x-purser-output-tokens",
  input_tokens: "x-purser-input-tokens",
  expires_at: "x-purser-expires-at",
  status: "x-purser-status",
  code: "x-purser-code",
  message: "x-purser-message",
};

/** A text as it stands between the quotes of a JSON text, in ASCII: as such a header can carry it, and a proxy can write it into a body. */
function asJsonText(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Ids that ascend by time keep an index over them small. */
function newId(): string {
  return `dec_${Date.now().toString(36)}${randomBytes(9).toString("base64url")}`;
}

function usedBefore(id: string): PurserError {
  return new PurserError(
    "body_invalid",
    `The id "${id}" was used for another call, or its hold has ended. Every call needs an id of its own.`,
  );
}

function unknownDecision(id: string): PurserError {
  return new PurserError(
    "reservation_unknown",
    `There is no decision "${id}" that can still be changed. The id is in the answer of POST /api/decisions.`,
  );
}
