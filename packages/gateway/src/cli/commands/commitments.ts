import { formatAmount } from "@purser/core";
import type { AdviceJson, CommitmentAdviceJson, CommitmentJson, OfferJson } from "../../admin/commitment-json.ts";
import { discountText, roundText } from "../../commitments/text.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortAmount, shortDollars, untilText } from "../amounts.ts";
import type { Command, CommandContext, CommandInput } from "../command.ts";
import type { Style } from "../style.ts";
import { bar, table } from "../table.ts";
import { UsageError } from "./outcome.ts";
import { timeOption } from "./report.ts";

export const commitments: Command = {
  name: "commitments",
  summary: "how much of what was promised to providers is used; and what might be promised",
  usage: "[advise [--discount 12%] [--offer OFFER]... [--provider NAME] [--model NAME] [--since WHEN] [--until WHEN]]",
  help: [
    "Commitments stand under commitments: in purser.yaml. Reads PostgreSQL where `store.postgres` is configured, with what all gateways did;",
    "else this gateway's own ledger.",
    "",
    "  advise            what was used steadily at each provider, and what offers would have come to",
    "    --discount N    what a provider would take off all prices: 12%",
    "    --offer OFFER   '$10,000 / month for 12%', or '100k tokens / minute for $2 / hour'; may be repeated",
    "    --provider NAME only this one; * stands for anything. May be repeated, as may --model",
    "    --model NAME    only calls to this model: capacity is of one",
    "    --since WHEN    2026-11-01, 2026-11, an instant, or 30d ago; 90d ago where it is left out",
    "    --until WHEN    up to, not including; now where it is left out",
    ACCESS_HELP,
    "",
    "Example: purser commitments advise --provider openai --offer '$5,000 / month for 8%' --offer '$10,000 / month for 12%'",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    discount: { type: "string" },
    offer: { type: "string", multiple: true },
    provider: { type: "string", multiple: true },
    model: { type: "string", multiple: true },
    since: { type: "string" },
    until: { type: "string" },
  },
  wordsMost: 1,
  async run(input, context) {
    const [verb] = input.positionals;
    if (verb !== undefined && verb !== "advise")
      throw new UsageError(`There is no \`purser commitments ${verb}\`.${suggestion(verb, ["advise"])}`);
    const asked = adviceQuery(input, context.now());
    if (verb === undefined && asked.size > 0) throw new UsageError("Offers and discounts are for advice: purser commitments advise");
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      if (verb === "advise") {
        const json = (await access.ask("GET", `/api/commitments/advice?${asked}`)) as CommitmentAdviceJson;
        return { exit: 0, text: adviceText(json, context.style), json };
      }
      const { data } = (await access.ask("GET", "/api/commitments")) as { readonly data: readonly CommitmentJson[] };
      return { exit: 0, text: data.length === 0 ? NONE : standingText(data, context), json: data };
    } finally {
      await access.close();
    }
  },
};

const NONE =
  "There are no commitments. What was promised to a provider stands under commitments: in purser.yaml; `purser commitments advise` says what might be.";

const ASKED = ["discount", "offer", "provider", "model", "since", "until"] as const;

function adviceQuery({ options }: Pick<CommandInput, "options">, now: number): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ASKED) {
    const isTime = name === "since" || name === "until";
    for (const value of [options[name] ?? []].flat().map(String)) query.append(name, isTime ? timeOption(name, value, now) : value);
  }
  return query;
}

function standingText(all: readonly CommitmentJson[], { style, now }: Pick<CommandContext, "style" | "now">): string {
  const rows = all.map((one) => {
    const { name, unit, used, committed, state, expected, window } = one;
    const share = used / committed;
    const amount = (value: number) => shortAmount(Math.round(value), unit);
    return [
      style.bold(name),
      boughtText(one),
      state === "not begun" ? "" : `${bar(share)} ${String(Math.floor(share * 100)).padStart(3)} %`,
      state === "not begun" ? "" : amount(used),
      expected ? amount(expected.used) : "",
      expected ? shortDollars(expected.unused_nanodollars) : "",
      state === "running" ? untilText(window.to, now()) : state,
    ];
  });
  const heading = ["Commitment", "Bought", "", "Used", "At this pace", "For nothing", "Window ends"].map(style.dim);
  return `${table(heading, rows, [1, 3, 4, 5])}\n\n${style.dim(all.map(detailText).join("\n"))}`;
}

/** `$10,000.00 / month`. */
function boughtText({ amount, unit, period }: CommitmentJson): string {
  return `${formatAmount(amount, unit)} / ${period}`;
}

/** What it costs, beside what its calls would have cost without it. */
function detailText(one: CommitmentJson): string {
  const { name, unit, weights, price, discount, state, over, used, committed, unused_nanodollars: lapsed } = one;
  if (state === "not begun") return `${name}: begins ${(one.from ?? "").slice(0, 10)}.`;
  const share = `${roundText(used, unit)} of ${roundText(committed, unit, weights)}`;
  const less = discount > 0 ? `, less ${discountText(Math.round(discount * 10_000))}` : "";
  const cost = price ? `; ${shortDollars(one.cost_nanodollars)} in its window` : "";
  const nothing = lapsed > 0 ? ` ${shortDollars(lapsed)} of that is paid for nothing by now${price ? ", at least" : ""}.` : "";
  const beyond = over > 0 ? ` ${roundText(over, unit, weights)} more went beyond it.` : "";
  return `${name}: ${share}, for calls of ${shortDollars(one.ledger_nanodollars)} by the ledger${less}${cost}.${nothing}${beyond}`;
}

function adviceText({ since, until, data }: CommitmentAdviceJson, style: Style): string {
  const span = `${since.slice(0, 10)} to ${until.slice(0, 10)}`;
  if (data.length === 0) return `Nothing was used from ${span}.`;
  const asked = data.some(({ discount }) => discount);
  const heading = [
    "Provider",
    "Days",
    "Spent",
    "A month",
    "Steady part",
    "Pays from",
    ...(asked ? ["Used up to", "Pays up to", "Saves"] : []),
  ];
  const rows = data.map((one) => [
    style.bold(one.provider),
    daysOf(one).toFixed(daysOf(one) < 10 ? 1 : 0),
    shortDollars(one.ledger_nanodollars),
    shortDollars(one.monthly_nanodollars),
    one.steady ? shortDollars(one.steady.monthly_nanodollars) : "too early",
    one.steady ? paysFromText(one.steady.pays_from_discount) : "",
    ...(one.discount
      ? [
          shortDollars(one.discount.used_up_monthly_nanodollars),
          shortDollars(one.discount.pays_up_to_monthly_nanodollars),
          shortDollars(one.discount.saved_nanodollars),
        ]
      : []),
  ]);
  const right = heading.slice(1).map((_, i) => i + 1);
  const notes = [STEADY_NOTE, ...(asked ? [DISCOUNT_NOTE] : [])].join("\n");
  const parts = [
    table(heading.map(style.dim), rows, right),
    offersText(data, style),
    modelsText(data, style),
    style.dim(`From ${span}. ${notes}`),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

const STEADY_NOTE =
  "Steady is what nine of ten weeks came to (or days, where there are no two weeks), for a month. A commitment to it would have paid off from that discount on.";
const DISCOUNT_NOTE =
  "With that discount, so much a month would have been used up each time, and more than the other would have cost more than it saved.";

function daysOf({ from, to }: AdviceJson): number {
  return (Date.parse(to) - Date.parse(from)) / 86_400_000;
}

function paysFromText(share: number | null): string {
  if (share === null) return "no discount";
  return share === 0 ? "any discount" : discountText(Math.round(share * 10_000));
}

function atDiscountText(share: number | null): string {
  return share !== null && share > 0 ? `from ${paysFromText(share)}` : `at ${paysFromText(share)}`;
}

function offersText(data: readonly AdviceJson[], style: Style): string {
  const rows = data.flatMap(({ provider, offers }) => offers.map((offer) => [style.bold(provider), ...offerCells(offer)]));
  if (rows.length === 0) return "";
  return table(["Provider", "Offer", "By the ledger", "Billed", "Saved", "Unused", "Pays"].map(style.dim), rows, [2, 3, 4, 5]);
}

function offerCells(offer: OfferJson): readonly string[] {
  const { committed, unused, pays_up_to_hourly_nanodollars: hourly } = offer;
  return [
    offer.offer,
    shortDollars(offer.ledger_nanodollars),
    shortDollars(offer.billed_nanodollars),
    shortDollars(offer.saved_nanodollars),
    committed === 0 ? "" : `${Math.round((unused / committed) * 100)} %`,
    hourly === null ? atDiscountText(offer.pays_from_discount) : `up to ${shortDollars(hourly)} / hour`,
  ];
}

function modelsText(data: readonly AdviceJson[], style: Style): string {
  const rows = data.flatMap(({ provider, models }) =>
    models.map(({ model, steady_tokens_per_minute, hourly_nanodollars }) => [
      style.bold(provider),
      model,
      steady_tokens_per_minute.toLocaleString("en-US"),
      `${shortDollars(hourly_nanodollars)} / hour`,
    ]),
  );
  if (rows.length === 0) return "";
  return table(["Provider", "Model", "Steady tokens a minute", "Capacity for them pays below"].map(style.dim), rows, [2, 3]);
}
