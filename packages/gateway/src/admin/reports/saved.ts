import { type Nanodollars, PurserError, REFUSED, type Rung, type SavingRow } from "@purser/core";
import { instantJson } from "../balances.ts";
import { readReportQuery } from "../report.ts";

/** What the rungs of ladders saved. Money in nano-dollars. */
export interface SavedJson {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly total: SavedMoneyJson;
  /** Those that saved most first. */
  readonly data: readonly SavedByRungJson[];
}

export interface SavedMoneyJson {
  readonly gross_nanodollars: Nanodollars;
  /** What calls cost that rungs made themselves. */
  readonly spent_nanodollars: Nanodollars;
  /** The first less the second. */
  readonly saved_nanodollars: Nanodollars;
}

export interface SavedByRungJson extends SavedMoneyJson {
  readonly budget: string;
  /** As it is written in the ladder; `refused` for calls that the budget refused. */
  readonly rung: string;
  readonly kind: SavingKind;
  /** Calls that it touched. One that several touched is with each of them. */
  readonly calls: number;
  /** Of these, calls of which nobody can know what it saved. */
  readonly unknown_calls: number;
  readonly left_out_tokens: number;
  /** Whether its money is an estimate, because tokens that were never sent were counted here. */
  readonly is_estimate: boolean;
  /** How its money was reckoned, in a sentence for people. */
  readonly how: string;
}

/** Rungs that can save something. */
export const SAVING_KINDS = [
  "use",
  "shorten",
  "trim",
  "summarise",
  "cache",
  "lookup",
  "answer",
  "handover",
  "refused",
] as const satisfies readonly (Rung["kind"] | typeof REFUSED)[];
export type SavingKind = (typeof SAVING_KINDS)[number];

const LEFT_OUT =
  "the tokens that were left out, as they are counted here, at the input price of the call; as many of the whole call as may have been in the provider's cache, at the price of that";

const HOW: Readonly<Record<SavingKind, string>> = {
  use: "The same tokens at the price of the model that it took the place of, less what was charged.",
  shorten: "How long the answers would have been nobody knows, so no money is claimed.",
  trim: `An estimate: ${LEFT_OUT}.`,
  summarise: `An estimate: ${LEFT_OUT}; less what the calls cost that wrote the summaries.`,
  cache: "What the calls cost whose answers were given again.",
  lookup: "What a model would have cost nobody knows, so no money is claimed.",
  answer: "What a model would have cost nobody knows, so no money is claimed.",
  handover: "What a model would have cost nobody knows, so no money is claimed.",
  refused: "Calls that found the budget used up, or its ladder at `block`. What they would have cost nobody knows, so no money is claimed.",
};

const ESTIMATES: ReadonlySet<SavingKind> = new Set(["trim", "summarise"]);

export interface SavedQuery {
  readonly since: number;
  readonly until: number;
  readonly timeZone: string;
  /** Only what the ladder of this one did. */
  readonly budget: string | undefined;
}

/** Reads what is asked from a URL. Throws `body_invalid` with what to do. */
export function readSavedQuery(query: URLSearchParams, terms: { readonly now: number; readonly timeZone: string }): SavedQuery {
  const other = ["by", "step", "filter"].find((part) => query.has(part));
  if (other !== undefined) {
    const message = `What ladders saved is shown by budget and rung. Leave out \`${other}\`, or ask /api/report, whose \`saved_nanodollars\` is by any attribute.`;
    throw new PurserError("body_invalid", message);
  }
  const rest = new URLSearchParams(query);
  rest.delete("budget");
  const { since, until, timeZone = "UTC" } = readReportQuery(rest, terms);
  if (since >= until) throw new PurserError("body_invalid", "The time ends after it begins. Give an earlier `since` or a later `until`.");
  return { since, until, timeZone, budget: query.get("budget") ?? undefined };
}

export function savedJson(rows: readonly SavingRow[], { since, until, timeZone, budget }: SavedQuery): SavedJson {
  const data = rows.filter((row) => budget === undefined || row.budget === budget).map(rowJson);
  return {
    since: instantJson(since),
    until: instantJson(until),
    time_zone: timeZone,
    total: {
      gross_nanodollars: sumOf(data, "gross_nanodollars"),
      spent_nanodollars: sumOf(data, "spent_nanodollars"),
      saved_nanodollars: sumOf(data, "saved_nanodollars"),
    },
    data: data.sort((a, b) => b.saved_nanodollars - a.saved_nanodollars || b.calls - a.calls),
  };
}

function rowJson({ budget, rung, calls, unknownCalls, leftOutTokens, saved, spent }: SavingRow): SavedByRungJson {
  const kind = kindOf(rung);
  return {
    budget,
    rung,
    kind,
    calls,
    unknown_calls: unknownCalls,
    left_out_tokens: leftOutTokens,
    gross_nanodollars: saved,
    spent_nanodollars: spent,
    saved_nanodollars: saved - spent,
    is_estimate: ESTIMATES.has(kind),
    how: HOW[kind],
  };
}

function kindOf(rung: string): SavingKind {
  const [word] = rung.replace(/^hand over/, "handover").split(" ");
  return SAVING_KINDS.find((kind) => kind === word) ?? REFUSED;
}

function sumOf(rows: readonly SavedMoneyJson[], field: keyof SavedMoneyJson): Nanodollars {
  return rows.reduce((sum, row) => sum + row[field], 0);
}
