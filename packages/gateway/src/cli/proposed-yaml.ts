import type { BudgetInput, Selector } from "@purser/core";
import type { Recommendation } from "../recommend/recommend.ts";
import { proposalText } from "./recommendation-text.ts";

/** Proposed budgets as a piece of `purser.yaml`, each with what it rests on. */
export function proposedYaml(recommendation: Recommendation): string {
  const { proposals } = recommendation;
  return [
    "budgets:",
    "  # Give each an owner, who is told and to whom it is charged: owner: finance@example.com",
    ...proposals.flatMap((proposal) => budgetLines(proposal.input, proposalText(proposal, recommendation))),
  ].join("\n");
}

function budgetLines(
  { name, for: selector, per, limits = [], exceptions = [] }: BudgetInput,
  comments: readonly string[],
): readonly string[] {
  return [
    `  - name: ${scalar(name)}`,
    ...comments.map((comment) => `    # ${comment}`),
    ...(selector ? [`    for: ${selectorText(selector)}`] : []),
    ...(per === undefined ? [] : [`    per: ${String(per)}`]),
    `    limits: [${limits.join(", ")}]`,
    ...(exceptions.length > 0 ? ["    exceptions:"] : []),
    ...exceptions.map((one) => `      - { for: ${selectorText(one.for)}, limits: [${one.limits.join(", ")}] }`),
  ];
}

function selectorText(selector: Selector): string {
  return `{ ${Object.entries(selector)
    .map(([path, value]) => `${path}: ${scalar(String(value))}`)
    .join(", ")} }`;
}

const PLAIN = /^[A-Za-z][\w.@+-]*(?: [\w.@+-]+)*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;

/** A text as YAML takes it for a text, inside of brackets too. */
function scalar(text: string): string {
  return PLAIN.test(text) && !WORDS.test(text) ? text : JSON.stringify(text);
}
