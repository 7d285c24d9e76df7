import type { Denial, KnownAnswer } from "@purser/core";
import type { Dialect } from "../dialects/dialect.ts";
import type { Gateway } from "../gateway.ts";
import type { FoundAnswer } from "./answer-list.ts";
import type { CallName, KeptAnswer } from "./answers.ts";
import { type Active, activeText, answerAfter, type CacheTerms, type RoutedCall, rungAfter } from "./climb.ts";
import { lastQuestion, takesText } from "./last-question.ts";

/** What is known without asking anybody. */
type Knowing = Pick<Gateway, "answers"> & { readonly config: Pick<Gateway["config"], "answers" | "budgets"> };

/** An answer that is given although no provider is asked. */
export interface GivenAnswer {
  readonly contentType: string;
  readonly pieces: readonly (string | Buffer)[];
  /** As its caller reads it: `cache similar 0.8 60m at 0.86 (support 30%)`. */
  readonly rung: string;
  /** As the ledger has it, but for what it saved. */
  readonly known: KnownAnswer;
  /** What it saved, in nano-dollars. Nothing where that is not known. */
  readonly saved?: Promise<number | undefined>;
  /** The headers of its own. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A call and the rungs by which its answer may be known. */
export interface AskedCall {
  readonly id: string;
  /** The format of its client. */
  readonly dialect: Dialect;
  readonly call: RoutedCall;
  readonly lookups: readonly Active<"lookup">[];
  readonly cache: CacheTerms | undefined;
  /** What the call is known by, where it may be answered again. */
  readonly name: CallName | undefined;
}

/** The answer to a call that is known already: what stands in a list comes before what was kept. */
export function knownAnswer(gateway: Knowing, asked: AskedCall, now: number): GivenAnswer | undefined {
  return listedAnswer(gateway, asked, now) ?? keptAnswer(gateway, asked, now);
}

function listedAnswer({ config }: Knowing, { id, dialect, call, lookups }: AskedCall, now: number): GivenAnswer | undefined {
  for (const active of lookups) {
    const found = lookedUp(config, dialect, call, active.rung);
    if (!found || !dialect.writeAnswer) continue;
    const { contentType, body } = dialect.writeAnswer(clientCall(call), found.answer, { id, createdAt: Math.floor(now / 1_000) });
    const { entry, nearness } = found;
    const known = { rung: activeText(active), budget: active.budget.name, entry, ...(nearness !== undefined && { nearness }) };
    return { contentType, pieces: [body], rung: activeText(active, nearnessText(nearness)), known };
  }
  return undefined;
}

function keptAnswer({ answers }: Knowing, { cache, name }: AskedCall, now: number): GivenAnswer | undefined {
  if (!cache || !name) return undefined;
  const { active, ageMs, nearness: least } = cache;
  const same = answers.find(name.key, ageMs, now);
  if (same) return given(same, cache, undefined);
  if (least === undefined || !name.question) return undefined;
  const near = answers.findSimilar(name.question, least, ageMs, now);
  return near && given(near.answer, { active }, near.nearness);
}

function given(
  { contentType, pieces, from, cost }: KeptAnswer,
  { active }: Pick<CacheTerms, "active">,
  nearness: number | undefined,
): GivenAnswer {
  const known = {
    rung: activeText(active),
    budget: active.budget.name,
    from,
    ...(nearness !== undefined && { nearness }),
  };
  return { contentType, pieces, rung: activeText(active, nearnessText(nearness)), known, saved: cost };
}

function nearnessText(nearness: number | undefined): string {
  return nearness === undefined ? "" : ` at ${nearness}`;
}

/** A text that a caller gets where a budget refuses its call, and the rung that it is from, `answer (chatbot)`. */
export interface ReadyText {
  readonly text: string;
  readonly rung: string;
  /** The handover of its conversation, where a person goes on with that. */
  readonly handover?: string;
}

/** The text for a call that a budget refuses because it is used up: the answer to its question in a list of its ladder, or else the ladder's own. */
export function readyTextAfter(
  gateway: Pick<Knowing, "config">,
  dialect: Dialect,
  call: RoutedCall,
  denial: Denial,
): ReadyText | undefined {
  const listed = listedTextAfter(gateway, dialect, call, denial);
  if (listed || !dialect.writeAnswer) return listed;
  const text = answerAfter(denial, gateway.config.budgets);
  return text === undefined ? undefined : { text, rung: readyRung(denial.balance?.budget ?? "") };
}

/** The answer to the question of such a call in a list of its ladder. */
export function listedTextAfter(
  { config }: Pick<Knowing, "config">,
  dialect: Dialect,
  call: RoutedCall,
  denial: Denial,
): ReadyText | undefined {
  const lookup = dialect.writeAnswer && rungAfter(denial, config.budgets, "lookup");
  const found = lookup && lookedUp(config, dialect, call, lookup.rung);
  return lookup && found && { text: found.answer, rung: `lookup ${lookup.rung.list} (${lookup.budget.name})` };
}

/** `answer (chatbot)` */
export function readyRung(budget: string): string {
  return `answer (${budget})`;
}

function lookedUp(
  { answers }: Knowing["config"],
  dialect: Dialect,
  call: RoutedCall,
  { list, nearness }: Active<"lookup">["rung"],
): FoundAnswer | undefined {
  const asked = clientCall(call);
  const question = lastQuestion(dialect, asked);
  const found = question && answers.get(list)?.find(question.text, nearness);
  return found && takesText(asked) ? found : undefined;
}

/** The call as its client made it. */
function clientCall(call: RoutedCall) {
  return (call.asked ?? call).call;
}
