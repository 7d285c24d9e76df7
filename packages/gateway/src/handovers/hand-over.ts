import { give, handoverHeaders, refuseAs, refuseDenied } from "../answering.ts";
import { callOf } from "../budgeted-call.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway.ts";
import type { Active, RoutedCall } from "../rungs/climb.ts";
import type { GivenAnswer } from "../rungs/known-answers.ts";
import { cannotCarry, handoverRung } from "./handover.ts";
import type { OpenHandover } from "./open-handovers.ts";
import { isTaken } from "./wire.ts";

interface ToPerson {
  readonly routed: RoutedCall;
  readonly call: RoutedCall;
  readonly handover: Active<"handover">;
}

/** Lets a person go on with the conversation of a call, at the step of a ladder that says so. */
export async function handOver(gateway: Gateway, exchange: Exchange, { routed, call, handover }: ToPerson): Promise<void> {
  const { budget, rung } = handover;
  const name = handoverRung(budget.name);
  const blocked = gateway.budgets.block(
    callOf(exchange.id, call, undefined, () => name),
    handover,
  );
  const turn = await gateway.handovers.begin({ call: routed, budget, rung, why: blocked.denial.message });
  refuseDenied(exchange, call, blocked, { text: turn.text, rung: name, handover: turn.handover });
  await gateway.handovers.ended(turn, () => isTaken(exchange.response));
}

/**
 * A call of a conversation that a person goes on with: it gets what they wrote since, or the text again. No provider is asked. False where the
 * call goes on as any other, because the conversation was given back meanwhile.
 */
export async function goOn(gateway: Gateway, exchange: Exchange, routed: RoutedCall, open: OpenHandover): Promise<boolean> {
  const cannot = cannotCarry(exchange.dialect, routed);
  // What was written before it was given back waits for a call that can carry it.
  if (cannot !== undefined && open.isReturned) return false;
  if (cannot !== undefined) {
    refuseAs(
      gateway,
      exchange,
      routed,
      "handed_over",
      `A person goes on with this conversation (${open.id}), and ${cannot}. It can be made again when they have given it back.`,
    );
    return true;
  }
  const turn = await gateway.handovers.goOn(open, routed);
  if (!turn) return false;
  await give(gateway, exchange, routed, writtenBy(exchange, routed, open, turn.text));
  await gateway.handovers.ended(turn, () => isTaken(exchange.response));
  return true;
}

/** What a person wrote, in the form in which a call wants its answer. */
export function writtenBy(
  { id, dialect }: Exchange,
  { call }: RoutedCall,
  { id: handover, rung, budget }: Pick<OpenHandover, "id" | "rung" | "budget">,
  text: string,
): GivenAnswer {
  if (!dialect.writeAnswer) throw new Error("A call that cannot carry a text got one.");
  const { contentType, body } = dialect.writeAnswer(call, text, { id, createdAt: Math.floor(Date.now() / 1_000) });
  return { contentType, pieces: [body], rung, known: { rung, budget, handover }, headers: handoverHeaders(handover) };
}
