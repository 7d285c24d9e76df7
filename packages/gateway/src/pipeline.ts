import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { type Denial, PurserError } from "@purser/core";
import { give, refuseAs, refuseError } from "./answering.ts";
import { turnFor } from "./body.ts";
import { budgetedCall, callTerms, reserveCall } from "./budgeted-call.ts";
import type { Caller } from "./callers/identify.ts";
import { refuseHeaders } from "./dialects/dialect.ts";
import { readCallBody } from "./dialects/form-body.ts";
import { callerGone, type Exchange } from "./exchange.ts";
import { Attempts } from "./failover/attempts.ts";
import type { Gateway } from "./gateway.ts";
import { blocking, guardedCall } from "./guards/guards.ts";
import { goOn } from "./handovers/hand-over.ts";
import { heldAsUsual } from "./holds/held-as-usual.ts";
import { type OwnCallTerms, ownCall } from "./own-call.ts";
import { missingKey } from "./providers/routing.ts";
import type { FoundCall } from "./routes.ts";
import { callName } from "./rungs/answers.ts";
import { asItCame, climb, type RoutedCall, routedCall } from "./rungs/climb.ts";
import { knownAnswer } from "./rungs/known-answers.ts";
import { reserveOrFinish } from "./rungs/reserve-or-finish.ts";
import type { Summariser } from "./rungs/summarise.ts";
import { send } from "./sending.ts";
import { askOwner, endedAtStep, queued, queuedAfter, readyInstead, refusedAtStep, refuseUsedUp } from "./used-up.ts";

/** The life of one call: read, identify, route, degrade, reserve, send, meter, settle. */
export async function serveCall(gateway: Gateway, request: IncomingMessage, response: ServerResponse, found: FoundCall): Promise<void> {
  const { dialect, names } = found;
  let exchange: Exchange = { id: gateway.newId(), beganAt: performance.now(), request, response, dialect, names };
  gateway.events.began(exchange.id, request, dialect, false);
  try {
    const routed = await readRouted(gateway, exchange);
    if (dialect.isFree) return await sendFree(gateway, exchange, routed);
    const handed = gateway.handovers.of(routed);
    const isOff = handed && gateway.budgets.switchedOff(routed.subject) !== undefined;
    if (handed && !isOff && (await goOn(gateway, exchange, routed, handed))) return;
    const tripped = gateway.guards.look(routed, Date.now());
    const blocked = blocking(tripped);
    if (blocked) return refuseAs(gateway, exchange, guardedCall(routed, tripped).call, "guard_tripped", blocked.message);
    const climbed = await climb(gateway, routed, summariserFor(gateway, exchange));
    const { call: guarded, waitMs: guardMs } = guardedCall(climbed.call, tripped);
    const attempts = new Attempts(gateway, guarded);
    const { call: chosen, waitMs: ladderMs, end, lookups, cache, queue, handover } = await attempts.first({ ...climbed, call: guarded });
    let call = heldAsUsual(gateway, chosen);
    const off = gateway.budgets.switchedOff(call.subject);
    if (off !== undefined) return refuseAs(gateway, exchange, call, "switched_off", off);
    refuseWithoutKey(call);
    const name = cache && callName(call, request, cache.nearness !== undefined);
    const known = knownAnswer(gateway, { id: exchange.id, dialect, call, lookups, cache, name }, Date.now());
    if (known) return await give(gateway, exchange, call, known);
    if (queue && (await queued(gateway, exchange, routed, queue))) return;
    const refused = refusedAtStep(gateway, exchange, { call, end, handover });
    if (!refused && (await endedAtStep(gateway, exchange, { routed, call, end, handover }))) return;
    const waitMs = Math.max(ladderMs, guardMs);
    if (waitMs > 0) await wait(waitMs, undefined, { signal: callerGone(response) });
    const gone = () => callerGone(response);
    const reserve = () =>
      reserveOrFinish(gateway, call, (asking, { mayFinish }) => {
        const readyText = (denial: Denial) => readyInstead(gateway, exchange, { routed, call: asking, denial })?.rung;
        return reserveCall(gateway.budgets, exchange.id, asking, gone, { mayFinish, readyText });
      });
    const first = refused ? { call, decision: refused } : await reserve();
    call = first.call;
    gateway.alerts.decided(first.decision);
    const asked = first.decision.outcome === "denied" ? await askOwner(gateway, call, first.decision.denial, gone) : undefined;
    // What was refused stays written down: the call that goes on is another one.
    if (asked?.isGiven) {
      const { id } = exchange;
      exchange = { ...exchange, id: gateway.newId() };
      gateway.events.continued(id, exchange.id);
    }
    const { decision, call: admitted } = asked?.isGiven ? await reserve() : first;
    call = admitted;
    if (decision.outcome === "denied" && (await queuedAfter(gateway, exchange, routed, decision.denial))) return;
    const step = decision === refused ? { end, handover } : undefined;
    if (decision.outcome === "denied") return await refuseUsedUp(gateway, exchange, { routed, call, decision, asked, step });
    await send(gateway, exchange, { attempts, first: { id: exchange.id, call, decision }, name });
  } catch (error) {
    refuseError(gateway, exchange, error);
  } finally {
    gateway.events.ended(exchange.id, response.statusCode);
  }
}

/** Has a summary written on the budgets of the call that it is for, as a call of its own in the ledger. */
export function summariserFor(gateway: Gateway, { id, request }: OwnCallTerms): Summariser {
  return {
    summaries: gateway.summaries,
    ask: async (question) => {
      const ended = await ownCall(gateway, { ...question, rungs: [`summary for ${id}`] }, { id: gateway.newId(), request });
      return ended.kind === "answered" ? ended.bytes : undefined;
    },
  };
}

/** Who makes a call. Throws where nobody known does, or somebody who may not; it is written down. */
export function callerOf(gateway: Gateway, request: IncomingMessage, endpoint: string): Caller {
  const identified = gateway.identify(request);
  if (!identified.ok) {
    const details = { endpoint, code: identified.code };
    gateway.log.refused({ by: "nobody known", what: "access.refused", from: request.socket.remoteAddress, details });
    throw new PurserError(identified.code, identified.message);
  }
  const { caller } = identified;
  if (caller.key?.role === "viewer")
    throw new PurserError(
      "key_invalid",
      `The key "${caller.key.name}" may look at /api, and make no calls. Use one that was made for calls.`,
    );
  return caller;
}

/** Who calls, what they ask, and where it goes. Throws what the caller has to mend. */
async function readRouted(gateway: Gateway, { request, response, dialect, names }: Exchange): Promise<RoutedCall> {
  const caller = callerOf(gateway, request, dialect.name);
  const bytes = await gateway.bodies.read(request, response, gateway.config.server.maxBodyBytes);
  const turn = turnFor(bytes.length);
  if (turn) await turn;
  refuseHeaders(dialect, (name) => request.headers[name] !== undefined);
  const call = dialect.readCall(readCallBody(dialect, bytes, request.headers["content-type"]), names);
  const route = gateway.route(call.model, dialect.name);
  if ("unknown" in route) throw new PurserError("provider_unknown", route.unknown);
  // Where there are several providers, others may have one.
  if (!route.failover) refuseWithoutKey({ caller, provider: route.provider });
  const terms = callTerms(gateway, caller, route, { dialect, call });
  return routedCall(budgetedCall(terms), caller, route, names);
}

function refuseWithoutKey({ caller, provider }: Pick<RoutedCall, "caller" | "provider">): void {
  const noKey = caller.providerKey === undefined ? missingKey(provider) : undefined;
  if (noKey !== undefined) throw new PurserError("provider_key_missing", noKey);
}

async function sendFree(gateway: Gateway, exchange: Exchange, routed: RoutedCall): Promise<void> {
  const attempts = new Attempts(gateway, routed);
  const { call } = await attempts.first(asItCame(routed));
  refuseWithoutKey(call);
  await send(gateway, exchange, { attempts, first: { id: exchange.id, call, decision: undefined }, name: undefined });
}
