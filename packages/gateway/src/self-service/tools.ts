import {
  type Balance,
  costOf,
  formatAmount,
  formatDollars,
  formatInstant,
  giverOf,
  PurserError,
  shownOwner,
  weighMost,
  weightsFor,
  weightsPhrase,
  windowPhrase,
} from "@purser/core";
import { countTokens } from "@purser/core/tokens";
import { balanceJson } from "../admin/balances.ts";
import type { Caller } from "../callers/identify.ts";
import type { Gateway } from "../gateway.ts";

/** What an agent may ask about its own money. */
export interface Tool {
  readonly name: string;
  readonly description: string;
  /** Whether it changes nothing. */
  readonly isReading: boolean;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  /** Throws `body_invalid` for arguments that are none. */
  run(call: ToolCall): Promise<ToolAnswer>;
}

export interface ToolCall {
  readonly gateway: Gateway;
  readonly caller: Caller;
  readonly input: Readonly<Record<string, unknown>>;
  readonly now: number;
}

export interface ToolAnswer {
  /** For the model that asked, in sentences. */
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const TEXT_MOST = 1_000;
const SHARE_USUAL = 20;

export const TOOLS: readonly Tool[] = [
  {
    name: "get_my_budget",
    description: "What is left of every budget that your calls are charged to, and when it resets.",
    isReading: true,
    inputSchema: { type: "object", properties: {}, additionalProperties: false },
    async run({ gateway, caller: { subject, pools } }) {
      const balances = await gateway.budgets.balances({ subject, pools });
      const text = balances.length === 0 ? "No budget limits your calls." : balances.map(balanceSentence).join("\n");
      return { text, data: { balances: balances.map(balanceJson) } };
    },
  },
  {
    name: "estimate_cost",
    description:
      "The most that a call can cost, before it is made, and whether your budgets have room for it. Give input_tokens, or a text to be counted.",
    isReading: true,
    inputSchema: {
      type: "object",
      properties: {
        model: { type: "string", description: "The model, as a call names it." },
        input_tokens: { type: "integer", minimum: 0 },
        text: { type: "string", description: "The input itself. It is counted and not kept." },
        max_output_tokens: { type: "integer", minimum: 0, description: "The most that the answer can have." },
      },
      required: ["model", "max_output_tokens"],
      additionalProperties: false,
    },
    run: estimateCost,
  },
  {
    name: "request_increase",
    description: "Asks the owner of a budget for more. They are told once, with your reason, and decide; nothing is given before.",
    isReading: false,
    inputSchema: {
      type: "object",
      properties: {
        reason: { type: "string", maxLength: TEXT_MOST, description: "Why more is needed, for the person who decides." },
        budget: { type: "string", description: "Which budget; that of which most is used where it is left out." },
        percent: {
          type: "integer",
          minimum: 1,
          maximum: 100,
          description: `How much more of its limit; ${SHARE_USUAL} where it is left out.`,
        },
      },
      required: ["reason"],
      additionalProperties: false,
    },
    run: requestIncrease,
  },
];

function balanceSentence(balance: Balance): string {
  const { budget, subject, unit, weights, window, limit, spent, held, left, resetsAt, timezone } = balance;
  const name = subject === "" ? `"${budget}"` : `"${budget}" (${subject})`;
  const amount = (value: number) => formatAmount(value, unit, weights);
  const resets = resetsAt === undefined ? "" : `, resets ${formatInstant(resetsAt, timezone)}`;
  const counting = weights === undefined ? "" : `, counting ${weightsPhrase(weights)}`;
  const inFlight = held > 0 ? `, ${amount(held)} held by calls in flight` : "";
  return `${name}: ${amount(left)} left of ${amount(limit)}${windowPhrase(window)} (${amount(spent)} spent${inFlight})${counting}${resets}${observedPhrase(balance)}.`;
}

/** `; it refuses nothing until 2026-12-16 00:00 UTC` */
function observedPhrase({ observedUntil, timezone }: Balance): string {
  if (observedUntil === undefined) return "";
  return observedUntil === Infinity ? "; it refuses nothing" : `; it refuses nothing until ${formatInstant(observedUntil, timezone)}`;
}

async function estimateCost({ gateway, caller: { subject, pools }, input, now }: ToolCall): Promise<ToolAnswer> {
  const model = textOf(input, "model");
  const outputTokens = countOf(input, "max_output_tokens");
  const inputTokens =
    input.text === undefined
      ? countOf(input, "input_tokens")
      : await countTokens(model, { texts: [textOf(input, "text", 1_000_000)], messages: 1 });
  const route = gateway.route(model, "openai-chat");
  const routed = "unknown" in route ? gateway.route(model, "anthropic-messages") : route;
  if ("unknown" in routed) throw new PurserError("provider_unknown", routed.unknown);
  const provider = routed.provider.name;
  const card = gateway.prices.card(provider, routed.model, now);
  const cost = card && costOf(card, { inputTokens, outputTokens });
  const asked = { ...subject, provider, model: routed.model };
  const balances = await gateway.budgets.balances({ subject: asked, pools });
  const needed: Partial<Record<Balance["unit"], number | undefined>> = {
    nanodollars: cost,
    tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    requests: 1,
    concurrent: 1,
  };
  const neededOf = ({ unit, weights }: Balance) => {
    const weighed = weights && weightsFor(unit, weights);
    return weighed ? weighMost(weighed, unit, { inputTokens, outputTokens }) : (needed[unit] ?? 0);
  };
  const short = balances.filter((balance) => balance.observedUntil === undefined && neededOf(balance) > balance.left);
  const price = cost === undefined ? "It has no price." : `It costs at most ${formatDollars(cost)}.`;
  const fits = short.length === 0 ? "Your budgets have room for it." : `There is not enough left: ${short.map(balanceSentence).join(" ")}`;
  return {
    text: `${inputTokens} tokens of input and at most ${outputTokens} of output with ${routed.model} at ${provider}. ${price} ${fits}`,
    data: {
      provider,
      model: routed.model,
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      cost_nanodollars: cost ?? null,
      fits: short.length === 0,
      short_of: short.map(balanceJson),
    },
  };
}

async function requestIncrease({ gateway, caller: { subject }, input }: ToolCall): Promise<ToolAnswer> {
  const reason = textOf(input, "reason");
  const named = input.budget === undefined ? undefined : textOf(input, "budget");
  const percent = input.percent === undefined ? SHARE_USUAL : countOf(input, "percent", 100);
  const used = ({ limit, left }: Balance) => (limit === 0 ? 1 : (limit - left) / limit);
  const balances = await gateway.budgets.balances({ subject });
  const [balance] = balances
    .filter(({ budget, unit }) => unit !== "concurrent" && (named === undefined || budget === named))
    .sort((a, b) => used(b) - used(a));
  const budget = gateway.config.budgets.find(({ name }) => name === balance?.budget);
  if (!balance || !budget)
    throw new PurserError(
      "budget_unknown",
      named === undefined ? "No budget limits your calls." : `No budget "${named}" is charged for your calls.`,
    );
  const owner = giverOf(budget);
  if (gateway.config.channels.length === 0)
    throw new PurserError(
      "channel_unknown",
      `Nobody can be told here: no channel is configured. Ask ${owner} yourself, and say which budget: "${budget.name}".`,
    );
  const ask = await gateway.asks.ask(
    budget,
    balance,
    subject,
    { kind: "ask", share: percent * 100, waitMs: 0, channel: undefined },
    reason,
  );
  if (!ask) throw new PurserError("rate_limited", "Too many asks are open, or nobody in particular would be given more. Try again later.");
  return {
    text: `${owner} was asked for ${ask.more} more of budget "${budget.name}". Look with get_my_budget whether it was given; asking again tells nobody again.`,
    data: { budget: budget.name, subject: balance.subject, asked: ask.more, owner: shownOwner(budget) ?? null, ask: ask.id },
  };
}

function textOf(input: ToolCall["input"], name: string, most = TEXT_MOST): string {
  const value = input[name];
  if (typeof value === "string" && value.trim() !== "" && value.length <= most) return value.trim();
  throw new PurserError("body_invalid", `"${name}" is a text of 1 to ${most.toLocaleString("en-US")} characters.`);
}

function countOf(input: ToolCall["input"], name: string, most = 1e9): number {
  const value = input[name];
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new PurserError("body_invalid", `"${name}" is a whole number from 0 to ${most.toLocaleString("en-US")}.`);
}
