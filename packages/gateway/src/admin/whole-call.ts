import { PurserError, type Reservation, type Subject, type Usage } from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import {
  type Admitted,
  admittedBody,
  type BudgetedCall,
  budgetedCall,
  type Ending,
  endingOf,
  isComplete,
  type KnownTerms,
  mayHaveBeenMade,
  refusedWhy,
} from "../budgeted-call.ts";
import { type Dialect, refuseHeaders } from "../dialects/dialect.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { AnswerMeter } from "../metering/answer-meter.ts";
import { type Framing, framingOf, streamMeter } from "../metering/stream-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM, streamOutcome, UNREADABLE } from "../outcome.ts";
import { PRESETS } from "../providers/presets/index.ts";
import { CALLS, findCallAt, refusedRoute } from "../routes.ts";

/** A call as its client sent it, about which another gateway asks. */
export interface WholeCall {
  readonly budgeted: BudgetedCall;
  /** Whether its body came as a text, and goes back as one. */
  readonly isText: boolean;
}

interface CallAsSent {
  /** With whatever stands before it there, and with its query or without. */
  readonly path: string;
  readonly bytes: Buffer;
  /** Whom it is for; of the model, how budgets name it where the body names another. */
  readonly subject: Subject;
  /** Whether the body may add to that, as it may where whoever asks has read it. */
  readonly trustsBody: boolean;
  hasHeader(name: string): boolean;
}

/** Reads a call in the format of its path, as the gateway reads its own. Throws what the asker has to mend. */
export function readWholeCall(known: KnownTerms, { path, bytes, subject, trustsBody, hasHeader }: CallAsSent): BudgetedCall {
  const found = findCallAt(pathOf(path));
  if (!found) throw new PurserError("route_unknown", refusedRoute("POST", pathOf(path)));
  const { dialect, names } = found;
  if (dialect.form)
    throw new PurserError("body_invalid", `Calls of ${dialect.path} are forms, which are not read here. Send "input_tokens" instead.`);
  refuseHeaders(dialect, hasHeader);
  const read = dialect.readCall(readJsonBody(bytes), names);
  const { provider = "", model = read.model, ...who } = subject;
  const { prices, calibration, config } = known;
  return budgetedCall({
    dialect,
    call: trustsBody ? read : { ...read, user: undefined, tags: {} },
    provider: { ...PRESETS.get(provider), name: provider },
    model,
    sentAs: read.model,
    subject: who,
    key: undefined,
    pools: undefined,
    prices,
    calibration,
    defaultMaxOutput: config.defaultMaxOutput,
    unseenInput: config.unseenInput,
  });
}

/** Without its query. Where it goes up and down, whoever sends the call could read it otherwise. */
function pathOf(path: string): string {
  const [own = ""] = path.split("?", 1);
  if (/(^|[/\\])\.{1,2}([/\\]|$)/.test(own))
    throw new PurserError("route_unknown", `The path "${own.slice(0, 200)}" is not plain: leave out "." and "..".`);
  return own;
}

/** The body to send of an admitted call, or of one that is free: with its output cap lowered to what fits. */
export function bodyToSend({ budgeted, isText }: WholeCall, decision: Admitted | undefined): unknown {
  const text = admittedBody(budgeted, decision).toString("utf8");
  return isText ? text : JSON.parse(text);
}

/** What came back of a call, as its provider sent it. */
export interface ToldAnswer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
  /** The path of a call about which was asked by its sizes. */
  readonly path: string | undefined;
}

/** What becomes of a call by what its provider answered. `budgeted` is not known any more where this process began after the call. */
export async function endingByAnswer(told: ToldAnswer, budgeted: BudgetedCall | undefined, reservation: Reservation): Promise<Ending> {
  const dialect = budgeted?.dialect ?? dialectOf(told, reservation);
  const outcome = outcomeOf(told, dialect, budgeted, reservation.subject.model ?? "");
  if (budgeted) return endingOf(budgeted, reservation, outcome);
  if (outcome.kind === "refused" && !mayHaveBeenMade(outcome.status)) return { kind: "released", why: refusedWhy(outcome.status) };
  const { usage = {}, service } = outcome.kind === "answered" ? outcome : {};
  if (isComplete(dialect, { outputCap: undefined }, usage)) return { kind: "settled", usage, certainty: "confirmed", service };
  return { kind: "settled", usage: withoutZeros(usage), certainty: "unconfirmed", service };
}

/** Who cannot count reports zeros. A total that is left out is charged as it was held. */
function withoutZeros({ inputTokens, outputTokens, ...parts }: Usage): Usage {
  return { ...parts, ...(inputTokens && { inputTokens }), ...(outputTokens && { outputTokens }) };
}

function outcomeOf({ status, bytes, contentType }: ToldAnswer, dialect: Dialect, known: BudgetedCall | undefined, model: string): Outcome {
  if (status >= REFUSED_FROM) return { kind: "refused", status };
  const counter = createOutputCounter(model, known?.margin);
  try {
    const framing = framingOf(contentType) ?? framingOfText(bytes);
    if (framing) {
      const stream = streamMeter(dialect, counter, { hidesUsage: false, framing });
      stream.write(bytes);
      stream.end();
      return streamOutcome(stream, true);
    }
    const answer = new AnswerMeter(dialect, undefined, known?.call);
    answer.write(bytes);
    return answerOutcome(answer, counter, true);
  } catch {
    // Of a form that the dialect does not have.
    return UNREADABLE;
  }
}

/** No JSON begins as server-sent events do. */
function framingOfText(bytes: Buffer): Framing | undefined {
  return /^\s*(data|event|id|retry)?:/.test(bytes.toString("latin1", 0, 64)) ? "events" : undefined;
}

/** Of a call about which was asked whole, the ledger knows its format. */
function dialectOf({ path }: ToldAnswer, { subject }: Reservation): Dialect {
  if (path !== undefined) {
    const found = findCallAt(pathOf(path));
    if (found) return found.dialect;
    throw new PurserError("route_unknown", refusedRoute("POST", pathOf(path)));
  }
  const dialect = [...CALLS.values()].find(({ name }) => name === subject.endpoint);
  if (dialect) return dialect;
  throw new PurserError("body_invalid", '"path" says in which format the answer is: `/v1/chat/completions`. It is missing.');
}
