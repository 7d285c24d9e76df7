import type { Standing } from "../../packages/core/dist/domain/command.js";
import type { Balance, Call, CounterRef, Denial } from "../../packages/core/dist/index.js";
import { endsTask, keptOf, type LastAnswerLaw } from "./finishing.js";
import type { Attempt } from "./laws.js";
import { type Model, modelAt } from "./models.js";
import { type Configuration, isFor, limitOf, type PlannedBudget, refuses, trialsOver } from "./plan.js";
import { hold } from "./violation.js";
import { leastOn, withoutWeights } from "./weighing.js";

/** Law 10, and: a call is never refused that a single, sequential store would admit in the same state. */
export function checkDenial(
  call: Call,
  denial: Denial,
  attempt: Attempt,
  { configuration, now, lastAnswers }: { readonly configuration: Configuration; readonly now: number; readonly lastAnswers: LastAnswerLaw },
): void {
  const { id, subject } = call;
  const { reason, balance, message, asked, retryAfterMs } = denial;
  const isSoon = reason === "rate_limited" || reason === "budget_busy" || reason === "store_unavailable";
  hold(
    10,
    message.length > 0 && (retryAfterMs !== undefined) === isSoon,
    () => `The refusal of ${id} (${reason}) does not say when to try again.`,
  );
  hold(10, (retryAfterMs ?? 0) >= 0 && (retryAfterMs ?? 0) <= 60_000, () => `The refusal of ${id} asks to wait ${retryAfterMs} ms.`);
  if (isUnclear(attempt, configuration, now)) return;
  const budgets = configuration.planned.filter((budget) => refuses(budget, now) && isFor(budget, subject));
  if (reason === "store_unavailable") {
    const isClosed = budgets.some((budget) => !budget.isOpen);
    hold(10, attempt.sawFailure && isClosed, () => `${id} is refused for a store that did not fail it.`);
    return;
  }
  const model = modelAt(subject.provider as string, subject.model as string) as Model;
  if (reason === "model_not_allowed") {
    const isForbidden = budgets.some(({ models }) => models && !models.some((one) => model.name.startsWith(one.replace("*", ""))));
    hold(10, isForbidden, () => `${id} is refused for its model, which every budget allows.`);
    return;
  }
  if (reason === "model_unpriced") {
    const tools = Object.keys(call.toolCalls ?? {});
    const lacksPrice = !model.card || tools.some((tool) => model.card?.toolFees?.[tool] === undefined);
    const isUnpriced = lacksPrice && budgets.some(({ limits }) => limits.some(({ unit }) => unit === "nanodollars"));
    hold(9, isUnpriced, () => `${id} is refused for want of a price.`);
    return;
  }
  if (!balance) {
    hold(10, reason === "request_too_large", () => `${id} is refused (${reason}), and no limit is named.`);
    hold(10, isTooLarge(call, attempt, budgets), () => `${id} is refused as too large, and no budget says so: ${message}`);
    return;
  }
  if (/ has ended: | is ending: /.test(message)) {
    lastAnswers.isEnding(id, balance);
    return;
  }
  // Who waits behind others is told so, and not asked for.
  const isLeaky = balance.window.endsWith(" leaky");
  if (isLeaky && reason === "rate_limited" && asked === undefined) return;
  const { refusals } = attempt;
  hold(10, refusals.length > 0, () => `${id} is refused by ${balance.budget}, and the store did not refuse it.`);
  const failingOf = ({ asked }: Refusal) => asked.command.limits.findIndex(({ counter }) => isOf(balance, counter));
  const refused = refusals.findLast((one) => isTold(balance, one.result.standings[failingOf(one)], keptIn(one, failingOf(one))));
  const isRight = refused !== undefined && isPlausible(balance, configuration) && message.includes(balance.budget);
  hold(10, isRight, () => `The refusal of ${id} says ${JSON.stringify(balance)}: ${message}`);
  const failing = failingOf(refused);
  const least = leastAsks(call, attempt, model, budgets);
  const room = refused.asked.command.limits.map(({ counter }, i) => {
    const limit = limitOf(refused.asked.configuration, counter);
    const { amount, spent, held } = refused.result.standings[i] as Standing;
    return {
      counter,
      isTight:
        limit !== undefined && refuses(limit, refused.asked.at ?? now) && leastOn(counter, least) > Math.max(0, amount - spent - held),
    };
  });
  hold(
    1,
    room.some(({ isTight }) => isTight),
    () => `${id} is refused, and would fit: it asks ${JSON.stringify(least)}.`,
  );
  hold(10, room[failing]?.isTight === true, () => `${id} is refused by ${balance.budget} (asked ${asked}), where it would fit.`);
  // What passes by itself, and what does not. When a moving window has room is its slices' to say.
  const { counter } = refused.asked.command.limits[failing] as { readonly counter: CounterRef };
  if (limitOf(configuration, counter)?.moving) return;
  const { limit, spent, held, unit } = balance;
  const used = unit === "requests" ? spent + held : spent;
  const asks = leastOn(counter, least);
  const most = limit - keptIn(refused, failing);
  const passes = most >= asks && used + asks <= most;
  if (passes) hold(10, isSoon, () => `${id} is refused for good (${reason}) by calls in flight.`);
  else if (reason !== "rate_limited") hold(10, !isSoon, () => `${id} is told to try again (${reason}), which is in vain.`);
}

/** By whose clock a trial was over is not known where the clocks of gateway and store have it another way. */
export function isUnclear({ asked }: Attempt, configuration: Configuration, now: number): boolean {
  return asked.some(({ at = now }) => trialsOver(configuration, at) !== trialsOver(configuration, now));
}

type Refusal = Attempt["refusals"][number];

function isTold({ limit, spent, held }: Balance, standing: Standing | undefined, kept: number): boolean {
  return standing?.amount === Math.max(0, limit - kept) && standing.spent === spent && standing.held === held;
}

/** What a limit kept from the call that it refused. */
function keptIn({ asked: { command, configuration } }: Refusal, index: number): number {
  const counter = command.limits[index]?.counter;
  if (!counter) return 0;
  const counters = command.limits.map((limit) => limit.counter);
  return endsTask(counters, counter.budget) ? 0 : (limitOf(configuration, counter)?.kept ?? 0);
}

/** The least that a call asks, by unit: its counted input, and the shortest answer that makes sense. */
function leastAsks({ output, toolCalls = {}, input }: Call, attempt: Attempt, model: Model, budgets: readonly PlannedBudget[]) {
  const { copies = 1, most: wanted, least: needed = 1 } = output;
  const inputTokens = Math.min(attempt.countedTokens, input.most);
  const cap = Math.floor(Math.min(wanted * copies, ...budgets.map(({ maxOutput = Infinity }) => maxOutput)) / copies);
  const useful = Math.min(cap, Math.max(0, ...budgets.map(({ minOutput }) => minOutput)));
  const outputTokens = Math.min(wanted, Math.max(needed, useful)) * copies;
  return {
    nanodollars: mostCost(model, inputTokens, outputTokens, toolCalls),
    tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    requests: 1,
    concurrent: 1,
  };
}

/** The most that so many tokens can cost: each at the dearest rate of any tier that they can reach. */
function mostCost({ card }: Model, inputTokens: number, outputTokens: number, toolCalls: Readonly<Record<string, number>>): number {
  if (!card) return 0;
  const reached = card.tiers.filter(({ aboveInputTokens }) => aboveInputTokens === 0 || inputTokens > aboveInputTokens);
  const input = Math.max(...reached.flatMap(({ rates }) => [rates.input, rates.cacheRead ?? 0, rates.cacheWrite ?? 0]));
  const output = Math.max(...reached.map(({ rates }) => rates.output));
  const fees = Object.entries(toolCalls).reduce((sum, [tool, uses]) => sum + uses * (card.toolFees?.[tool] ?? 0), card.requestFee ?? 0);
  return Math.ceil((inputTokens * input + outputTokens * output) / 1000) + fees;
}

function isTooLarge({ output, input }: Call, { countedTokens }: Attempt, budgets: readonly PlannedBudget[]): boolean {
  const { copies = 1, most, least = 1 } = output;
  const inputTokens = Math.min(countedTokens, input.most);
  return budgets.some(
    ({ maxInput = Infinity, maxOutput = Infinity }) => inputTokens > maxInput || maxOutput < Math.min(most, least) * copies,
  );
}

function isOf(balance: Balance, { budget, subject, unit, window }: CounterRef): boolean {
  const isSame = balance.budget === budget && balance.subject === subject && balance.unit === unit;
  return isSame && balance.window === withoutWeights(window).replace(/@\S+/, "").replace(" rollover", "");
}

/** Whether what is left is what the rest of a balance says: all, or all but what is kept for a last answer. */
export function isPlausible({ budget, unit, window, limit, spent, held, left }: Balance, { planned }: Configuration): boolean {
  const limits = planned.flatMap((one) => (one.name === budget ? one.limits.map((each) => [one, each] as const) : []));
  const kept = limits.filter(([, one]) => one.unit === unit && one.window === window).map(([one, each]) => keptOf(one, each));
  return spent >= 0 && held >= 0 && [0, ...kept].some((some) => left === Math.max(0, limit - some - spent - held));
}
