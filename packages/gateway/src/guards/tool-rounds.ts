import type { BudgetedCall } from "../budgeted-call.ts";
import type { MessagesForm } from "../dialects/dialect.ts";
import { elementsFromEnd } from "../dialects/json-body.ts";
import { isRecord, recordOf } from "../dialects/json-value.ts";
import type { CalledTool, ToolOutcome, ToolStep } from "../dialects/tool-steps.ts";
import { condensed, digest } from "./condensed.ts";

/** Tools that a model called at once, and what came of that. Of arguments and results there are only hashes. */
export interface ToolRound {
  readonly tools: readonly string[];
  /** Which tools were called with which arguments. */
  readonly calls: string;
  /** The same with what they returned. */
  readonly results: string;
  /** What they returned, where all of that are errors. */
  readonly errors: string | undefined;
}

/** No more of a conversation is looked at, and no more calls and results. */
const BYTES_MOST = 2 * 2 ** 20;
const STEPS_MOST = 2_000;

/** The rounds since a user last said something, the latest first: no more than so many. */
export function toolRounds({ dialect, call }: Pick<BudgetedCall, "dialect" | "call">, most: number): readonly ToolRound[] {
  const form = dialect.turns ?? dialect.messages;
  const rounds: ToolRound[] = [];
  if (!form) return rounds;
  let steps = 0;
  let calls: CalledTool[] = [];
  let outcomes: ToolOutcome[] = [];
  const close = () => {
    if (calls.length > 0) rounds.push(roundOf(calls, outcomes));
    calls = [];
    outcomes = [];
  };
  for (const step of stepsFromEnd(form, call.body)) {
    // What came of calls stands behind them, so before it stand those of another round.
    if (step.kind === "result" && calls.length > 0) close();
    if (rounds.length === most || ++steps > STEPS_MOST) return rounds;
    if (step.kind === "call") calls.unshift(step);
    else outcomes.unshift(step);
  }
  close();
  return rounds;
}

function* stepsFromEnd(form: MessagesForm, body: BudgetedCall["call"]["body"]): Generator<ToolStep> {
  let bytes = 0;
  for (const element of elementsFromEnd(body, form.member)) {
    bytes += element.length;
    const message = bytes > BYTES_MOST ? undefined : parsed(condensed(element));
    if (message === undefined || form.beginsTurn(message)) return;
    yield* form.toolSteps(message).toReversed();
  }
}

function roundOf(calls: readonly CalledTool[], outcomes: readonly ToolOutcome[]): ToolRound {
  const left = [...outcomes];
  const pairs = calls.map((call) => {
    const outcome = left[indexOfOutcome(left, call)];
    if (outcome) left.splice(left.indexOf(outcome), 1);
    return { call, asked: digest(`${call.name}\n${canonical(inputOf(call.input))}`), outcome };
  });
  const failed = pairs.map(({ outcome }) => (outcome && isFailure(outcome) ? digest(canonical(outcome.content)) : undefined));
  return {
    tools: [...new Set(calls.map(({ name }) => name))],
    calls: together(pairs.map(({ asked }) => asked)),
    results: together(pairs.map(({ asked, outcome }) => asked + digest(canonical(outcome?.content)))),
    errors: failed.includes(undefined) ? undefined : together(failed as string[]),
  };
}

/** By its id; of formats that have none, the first that is left. */
function indexOfOutcome(outcomes: readonly ToolOutcome[], { id }: CalledTool): number {
  const own = id === undefined ? -1 : outcomes.findIndex((outcome) => outcome.id === id);
  return own >= 0 ? own : outcomes.findIndex((outcome) => id === undefined || outcome.id === undefined);
}

/** What is done at once has no order, and what is done twice at once is done on purpose. */
function together(digests: readonly string[]): string {
  return digest([...new Set(digests)].sort().join("\n"));
}

function inputOf(input: unknown): unknown {
  if (typeof input !== "string") return input;
  const value = parsed(input);
  return value === undefined ? input : parsed(condensed(Buffer.from(input)));
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Marks for a provider's cache move on with each call. */
const MARK = "cache_control";

/** The same text for the same value, in whatever order its fields stand. */
function canonical(value: unknown): string {
  const ordered = (_name: string, inner: unknown) => {
    if (!isRecord(inner)) return inner;
    const names = Object.keys(inner).filter((name) => name !== MARK);
    return Object.fromEntries(names.sort().map((name) => [name, inner[name]]));
  };
  return JSON.stringify(value, ordered) ?? "";
}

/** How texts begin that tools return when they fail, in the words of most. */
const FAILURE = /^\W*(?!no\b)(?:[a-z_][\w.]*[ :]\s*){0,2}?(?:\w*error|\w*exception|traceback|fatal|failed|failure)\b/i;

/** Whether a tool says that it failed: in the words of its format, or in its own. */
function isFailure({ content, isError }: ToolOutcome): boolean {
  return isError || saysFailure(content);
}

function saysFailure(content: unknown): boolean {
  if (Array.isArray(content)) return content.length > 0 && content.every((part) => saysFailure(recordOf(part).text ?? recordOf(part).json));
  if (typeof content === "string") {
    const value = content.trimStart().startsWith("{") ? parsed(content) : undefined;
    return isRecord(value) ? saysFailure(value) : FAILURE.test(content);
  }
  const { error, isError, is_error: alsoError, success, ok, status } = recordOf(content);
  if (error !== undefined && error !== null && error !== false && error !== "") return true;
  return isError === true || alsoError === true || success === false || ok === false || status === "error";
}
