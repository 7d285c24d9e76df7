import { type ActiveRung, type Budget, beyondStep, type Decision, type Denial, type LadderStep, shownOwner, stepText } from "@purser/core";
import { endWith, give, refuseDenied } from "./answering.ts";
import type { Ask } from "./asks/ask.ts";
import { callOf } from "./budgeted-call.ts";
import type { Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway.ts";
import { handOver, writtenBy } from "./handovers/hand-over.ts";
import { handoverRung } from "./handovers/handover.ts";
import { isTaken } from "./handovers/wire.ts";
import { headerText } from "./headers.ts";
import { queueable, type ToQueue } from "./queue/queue.ts";
import { prefersAsync, queuedHeaders, queuedJson } from "./queue/wire.ts";
import { type Climbed, type RoutedCall, rungAfter, textOf } from "./rungs/climb.ts";
import { listedTextAfter, type ReadyText, readyRung, readyTextAfter } from "./rungs/known-answers.ts";

/** A call at a step of a ladder: as it came, and as the ladder left it. */
interface AtStep extends Pick<Climbed, "end" | "handover"> {
  readonly routed: RoutedCall;
  readonly call: RoutedCall;
}

/** Whether a call ends at a step of a ladder: a person goes on with its conversation, or it gets a text, or its refusal. */
export async function endedAtStep(gateway: Gateway, exchange: Exchange, { routed, call, end, handover }: AtStep): Promise<boolean> {
  const cannot = handover && gateway.handovers.cannot(routed, handover.budget);
  if (handover && cannot === undefined) {
    await handOver(gateway, exchange, { routed, call, handover });
    return true;
  }
  if (!end) return false;
  const ready = readyAt(exchange, { end });
  const blocked = gateway.budgets.block(callOf(exchange.id, call, undefined, ready && (() => ready.rung)), end);
  refuseDenied(exchange, call, ready ? blocked : withoutPerson(blocked, cannot), ready);
  return true;
}

/** What a call is refused by that would end at a step, where the owner of the budget is asked for more before it does. */
export function refusedAtStep({ budgets }: Gateway, { id }: Exchange, { call, end, handover }: Omit<AtStep, "routed">) {
  const ends = handover ?? end;
  return ends && asksFirst(ends) ? budgets.block(callOf(id, call), ends) : undefined;
}

/** What the owner of a budget was asked for, and whether it was given while the call waited. */
interface Asked {
  readonly ask: Ask;
  readonly budget: Budget;
  readonly isGiven: boolean;
}

/** Asks the owner of the budget that refuses a call for more, where its ladder says so, and waits for what they say. */
export async function askOwner(gateway: Gateway, call: RoutedCall, denial: Denial, gone: () => AbortSignal): Promise<Asked | undefined> {
  const found = rungAfter(denial, gateway.config.budgets, "ask");
  if (!found || !denial.balance) return undefined;
  const { budget, rung } = found;
  const ask = await gateway.asks.ask(budget, denial.balance, call.subject, rung);
  return ask && { ask, budget, isGiven: await gateway.asks.wait(ask, denial.balance, call.subject, { waitMs: rung.waitMs, gone: gone() }) };
}

/** A call that a budget refuses, as it came and as ladders left it, and whoever was asked for more in vain. */
interface UsedUp {
  readonly routed: RoutedCall;
  readonly call: RoutedCall;
  readonly decision: Decision & { outcome: "denied" };
  readonly asked: Asked | undefined;
  /** The step at which it ends; none where its budget has no room for it. */
  readonly step: Pick<AtStep, "end" | "handover"> | undefined;
}

/** What a refused call gets: an answer that stands ready, a person who goes on with its conversation, a text, or its refusal. */
export async function refuseUsedUp(gateway: Gateway, exchange: Exchange, { routed, call, decision, asked, step }: UsedUp): Promise<void> {
  const { denial } = decision;
  const { dialect } = exchange;
  const listed = listedTextAfter(gateway, dialect, call, denial);
  const after = listed ? undefined : (step?.handover ?? rungAfter(denial, gateway.config.budgets, "handover"));
  const cannot = after && gateway.handovers.cannot(routed, after.budget);
  // Where somebody was asked first, or it could have waited, its refusal stands in the books as one.
  const isRefused = isUndecided(gateway, exchange, denial);
  if (after && cannot === undefined) {
    const turn = await gateway.handovers.begin({ call: routed, ...after, why: denial.message });
    const { handover: id, text } = turn;
    const rung = handoverRung(after.budget.name);
    if (isRefused) {
      const next = continued(gateway, exchange);
      await give(gateway, next, routed, writtenBy(next, routed, { id, rung, budget: after.budget.name }, text));
    } else refuseDenied(exchange, call, decision, { text, rung, handover: id });
    return gateway.handovers.ended(turn, () => isTaken(exchange.response));
  }
  const ready = listed ?? (step ? readyAt(exchange, step) : readyTextAfter(gateway, dialect, call, denial));
  if (!ready) return refuseDenied(exchange, call, withoutPerson(asked ? withAsked(decision, asked) : decision, cannot), undefined);
  if (!isRefused) return refuseDenied(exchange, call, decision, ready);
  const next = continued(gateway, exchange);
  const { reason, message, balance } = denial;
  const again = gateway.budgets.refuse(
    callOf(next.id, call, undefined, () => ready.rung),
    reason,
    message,
    balance,
  );
  refuseDenied(next, call, again, ready);
}

/** The same request, from here on as another call in the books. */
function continued(gateway: Gateway, exchange: Exchange): Exchange {
  const next = { ...exchange, id: gateway.newId() };
  gateway.events.continued(exchange.id, next.id);
  return next;
}

/** The text of the rung that ends a call at a step. */
function readyAt({ dialect }: Exchange, { end }: Pick<AtStep, "end">): ReadyText | undefined {
  const text = end && dialect.writeAnswer && textOf(end.rung);
  return text === undefined ? undefined : { text, rung: readyRung(end?.budget.name ?? "") };
}

/** A refusal with why no person goes on with the conversation, where the ladder asks for one. */
function withoutPerson(decision: Decision & { outcome: "denied" }, cannot: string | undefined): Decision & { outcome: "denied" } {
  if (cannot === undefined) return decision;
  const { denial } = decision;
  return { ...decision, denial: { ...denial, message: `${denial.message} Its conversation is handed over to nobody: ${cannot}.` } };
}

/** Whether the owner of a budget is asked for more before a call ends at a step: where its ladder has got so far, or the budget is used up. */
function asksFirst({ budget, balance }: ActiveRung): boolean {
  const hasCome = (step: LadderStep) => balance.left === 0 || beyondStep(step, balance, balance.limit) >= 0;
  return budget.ladder.some((step) => step.rungs.some(({ kind }) => kind === "ask") && hasCome(step));
}

function withAsked(decision: Decision & { outcome: "denied" }, { ask, budget }: Asked): Decision & { outcome: "denied" } {
  const { denial } = decision;
  const message = `${denial.message} ${shownOwner(budget) ?? "The owner of the budget"} was asked for ${ask.more} more: try again when it is given.`;
  return { ...decision, denial: { ...denial, message } };
}

/** Lets a call wait for a budget that is used up, where its ladder and its client say so. */
export async function queuedAfter(gateway: Gateway, exchange: Exchange, routed: RoutedCall, denial: Denial): Promise<boolean> {
  const found = rungAfter(denial, gateway.config.budgets, "queue");
  return found !== undefined && queued(gateway, exchange, routed, { ...found, step: undefined, balance: denial.balance });
}

interface Waits {
  readonly rung: ToQueue["rung"];
  readonly budget: Budget;
  /** The step from which the rung holds; none where the budget is used up. */
  readonly step: LadderStep | undefined;
  readonly balance: ToQueue["balance"];
}

/** Takes a call that can wait, and answers where its answer will be. Only clients that ask for that know what to do with it. */
export async function queued(
  gateway: Gateway,
  exchange: Exchange,
  call: RoutedCall,
  { rung, budget, step, balance }: Waits,
): Promise<boolean> {
  const { id, request, response } = exchange;
  // What waits is made again from its key alone, and would not know any more what was handed on.
  if (!prefersAsync(request.headers) || call.pools) return false;
  const text = `queue (${budget.name}${step === undefined ? "" : ` ${stepText(step)}`})`;
  const fit = queueable({ call, request, rung, text, balance }, Date.now());
  const waiting = fit && (await gateway.queue.add(fit));
  if (!waiting) return false;
  const headers = { ...queuedHeaders(waiting, Date.now()), "x-purser-request-id": id, "x-purser-rung": headerText(text) };
  endWith(response, 202, { ...headers, "preference-applied": "respond-async" }, JSON.stringify(queuedJson(waiting)));
  return true;
}

interface Refused {
  readonly routed: RoutedCall;
  readonly call: RoutedCall;
  readonly denial: Denial;
}

/** What a caller gets when a budget refuses its call, where that is known already. */
export function readyInstead(gateway: Gateway, exchange: Exchange, { routed, call, denial }: Refused): Pick<ReadyText, "rung"> | undefined {
  if (isUndecided(gateway, exchange, denial)) return undefined;
  const listed = listedTextAfter(gateway, exchange.dialect, call, denial);
  if (listed) return listed;
  const after = rungAfter(denial, gateway.config.budgets, "handover");
  if (after && gateway.handovers.cannot(routed, after.budget) === undefined) return { rung: handoverRung(after.budget.name) };
  return readyTextAfter(gateway, exchange.dialect, call, denial);
}

/** Whether what a refused call gets is not known yet: somebody is asked first, or it can wait. */
function isUndecided({ config: { budgets } }: Gateway, { request }: Exchange, denial: Denial): boolean {
  return (
    rungAfter(denial, budgets, "ask") !== undefined || (prefersAsync(request.headers) && rungAfter(denial, budgets, "queue") !== undefined)
  );
}
