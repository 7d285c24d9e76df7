import {
  type Call,
  type Decision,
  type Denial,
  describeRefusal,
  giverOf,
  PurserError,
  type RateCard,
  type Reservation,
  type Subject,
} from "@purser/core";
import { callOf, denialMessage } from "../budgeted-call.ts";
import { type Caller, holderOf } from "../callers/identify.ts";
import type { Gateway } from "../gateway.ts";
import { forwardedHeaders, headerLines } from "../headers.ts";
import { observeBalances } from "../sending.ts";
import type { ClientRequest } from "../upstream-request.ts";
import type { HeldLine, KnownBatch } from "./batch-folder.ts";
import type { BatchForm } from "./batch-form.ts";
import type { BatchLine } from "./lines.ts";

/** A batch that is to be made: what it holds, and by whom. */
export interface NewBatch {
  readonly id: string;
  readonly form: BatchForm;
  readonly caller: Caller;
  readonly request: ClientRequest;
  readonly lines: readonly BatchLine[];
  readonly inputFile: string | undefined;
}

/** Whether the calls of a batch are held, all of them, or which one was refused. */
export type Held =
  | { readonly outcome: "held"; readonly batch: KnownBatch }
  | { readonly outcome: "denied"; readonly denied: Decision & { outcome: "denied" }; readonly message: string };

/** Providers end a batch after a day; then they gather its results. A hold that outlives this is charged at its estimate, and corrected later. */
const LEASE_MS = 30 * 3_600_000;

/** So many calls are held or settled at a time: they share what the store writes. */
const AT_A_TIME = 256;

/** Holds every call of a batch, or none of them. What is held is on disk when it resolves, so that it may be sent. */
export async function holdBatch(gateway: Gateway, { id, form, caller, request, lines, inputFile }: NewBatch): Promise<Held> {
  const [first] = lines as readonly [BatchLine, ...BatchLine[]];
  const end = await blockedBy(gateway, id, lines);
  if (end) return end;
  const reservations: Reservation[] = [];
  for (let from = 0; from < lines.length; from += AT_A_TIME) {
    const asked = lines.slice(from, from + AT_A_TIME);
    const decided = await Promise.allSettled(asked.map(({ routed }) => gateway.budgets.reserve(lineCall(gateway, id, routed))));
    let refused: { readonly line: BatchLine; readonly decided: PromiseSettledResult<Decision> } | undefined;
    for (const [i, one] of decided.entries()) {
      if (one.status === "fulfilled" && one.value.outcome === "allowed") reservations.push(one.value.reservation);
      else refused ??= { line: asked[i] as BatchLine, decided: one };
    }
    if (!refused) continue;
    await releaseAll(gateway, reservations, "its batch was refused");
    if (refused.decided.status === "rejected") throw refused.decided.reason;
    return await refusedBy(gateway, refused.line, refused.decided.value);
  }
  const { routed } = first;
  await observeBalances(gateway, routed.subject);
  const at = Date.now();
  const batch: KnownBatch = {
    id,
    form: form.name,
    state: "creating",
    holder: holderOf(caller),
    provider: routed.provider.name,
    dialect: routed.dialect.name,
    at,
    providerId: undefined,
    inputFile,
    expiresAt: at + LEASE_MS,
    headers: headersForLater(request),
    last: undefined,
    ...heldLines(lines, reservations),
  };
  try {
    await gateway.batches.add(batch);
  } catch (error) {
    await releaseAll(gateway, reservations, "not sent: its batch could not be written down");
    throw error;
  }
  return { outcome: "held", batch };
}

async function refusedBy(gateway: Gateway, { customId, routed }: BatchLine, decision: Decision): Promise<Held> {
  gateway.alerts.decided(decision);
  if (decision.outcome !== "denied")
    throw new PurserError(
      "store_unavailable",
      "The budget store is unavailable at the moment, so no batch can be admitted. Try again later.",
    );
  const whole = await denialOfWhole(gateway, routed.subject, decision.denial);
  const message = `The call "${customId}" of the batch is refused, and so is the batch: ${denialMessage(routed, decision.denial)}`;
  return whole
    ? { outcome: "denied", denied: { ...decision, denial: whole }, message: `The batch is refused: ${whole.message}` }
    : { outcome: "denied", denied: decision, message };
}

/** A ladder that refuses calls refuses a batch with them. What else it does to calls cannot be done to one: its provider has their text. */
async function blockedBy(gateway: Gateway, id: string, lines: readonly BatchLine[]): Promise<Held | undefined> {
  const { budgets } = gateway;
  if (!budgets.hasLadders) return undefined;
  const looked = new Set<Subject>();
  for (const { customId, routed } of lines) {
    if (looked.has(routed.subject)) continue;
    looked.add(routed.subject);
    const plan = await budgets.ladder(routed.subject);
    const end = plan?.rungs.find(({ rung }) => rung.kind === "block" || rung.kind === "answer" || rung.kind === "handover");
    if (!end) continue;
    const denied = budgets.block(lineCall(gateway, id, routed), end);
    return {
      outcome: "denied",
      denied,
      message: `The call "${customId}" of the batch is refused, and so is the batch: ${denied.denial.message}`,
    };
  }
  return undefined;
}

/**
 * What the limit says to all of a batch, of which the calls before the one that was refused are returned by now: they are no reason to try again
 * in a moment.
 */
async function denialOfWhole({ budgets, config }: Gateway, subject: Subject, denial: Denial): Promise<Denial | undefined> {
  const { balance: refusing, asked: least = 0, retryAfterMs } = denial;
  if (!refusing) return undefined;
  const balances = await budgets.balances({ budget: refusing.budget, subject });
  const balance = balances.find(
    ({ unit, window, subject: whose }) => unit === refusing.unit && window === refusing.window && whose === refusing.subject,
  );
  const own = balance ? refusing.held - balance.held : 0;
  if (!balance || own <= 0) return undefined;
  const asked = own + least;
  let { reason } = denial;
  if (asked > balance.limit) reason = "request_too_large";
  else if (reason === "budget_busy" && asked > balance.limit - balance.spent) reason = "budget_exhausted";
  const budget = config.budgets.find(({ name }) => name === balance.budget);
  const giver = giverOf(budget ?? { owner: undefined, showsOwner: false });
  const message = describeRefusal({ reason, balance, asked, retryAfterMs, giver, asker: "batch" });
  return { reason, balance, asked, retryAfterMs: reason === denial.reason ? retryAfterMs : undefined, message };
}

function lineCall(gateway: Pick<Gateway, "newId">, batch: string, routed: BatchLine["routed"]): Call {
  return { ...callOf(gateway.newId(), routed), batch, leaseMs: LEASE_MS, isShared: true };
}

function heldLines(lines: readonly BatchLine[], reservations: readonly Reservation[]): Pick<KnownBatch, "lines" | "subjects" | "cards"> {
  const subjects = new Map<Subject, number>();
  const cards = new Map<RateCard, number>();
  const place = <One>(all: Map<One, number>, one: One): number => {
    const known = all.get(one) ?? all.size;
    all.set(one, known);
    return known;
  };
  const held = lines.map(({ customId, routed }, i): HeldLine => {
    const { id, subject, card, inputTokens, outputTokens, copies, free } = reservations[i] as Reservation;
    return {
      id,
      customId,
      subject: place(subjects, subject),
      card: card && place(cards, card),
      inputTokens,
      outputTokens,
      copies,
      free,
      toolCalls: routed.call.toolCalls,
    };
  });
  return { lines: held, subjects: [...subjects.keys()], cards: [...cards.keys()] };
}

/** The headers of a client that say which version of its provider's API it speaks. */
function headersForLater({ rawHeaders }: ClientRequest): readonly string[] {
  const all = forwardedHeaders(rawHeaders, headerLines({}));
  return all.filter((_, i) => /^(anthropic-version|anthropic-beta|openai-beta)$/.test(all[i - (i % 2)] as string));
}

export async function releaseAll({ budgets }: Gateway, reservations: readonly Reservation[], why: string): Promise<void> {
  await inTurns(reservations, async (reservation) => void (await budgets.release(reservation, why)));
}

export async function inTurns<One>(all: readonly One[], work: (one: One) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += AT_A_TIME) await Promise.all(all.slice(from, from + AT_A_TIME).map(work));
}
