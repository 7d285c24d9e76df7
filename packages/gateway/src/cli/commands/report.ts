import { REPORT_STEPS } from "@purser/core";
import { type AmountField, type AmountsJson, type ReportJson, sumOfAmounts } from "../../admin/report.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command, CommandInput } from "../command.ts";
import { askNames, type NameOf } from "../key-names.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

/** The options that say which time a report is of, and which calls. */
export const TIME_OPTIONS = {
  since: { type: "string" },
  until: { type: "string" },
  filter: { type: "string", multiple: true },
  zone: { type: "string" },
} as const;
export const TIME_HELP = [
  "  --since WHEN    2026-11-01, 2026-11, an instant, or 30d, 12h ago; this month where it is left out",
  "  --until WHEN    up to, not including; now where it is left out",
  "  --filter A=V    only calls with this value; * stands for anything. May be repeated",
  "  --zone NAME     whose days and months; the configuration's `timezone` where it is left out",
];

export const report: Command = {
  name: "report",
  summary: "what was used, and what it cost, by whom and when",
  usage: "[--by team,model] [--step day] [--since WHEN] [--until WHEN] [--filter team=search] [--compare] [--csv | --focus]",
  help: [
    "Reads PostgreSQL where `store.postgres` is configured, with what all gateways did; else this gateway's own ledger.",
    "",
    "  --by LIST       one row for each org, team, product, feature, user, tier, session, task, key,",
    "                  provider, model, endpoint or tag.NAME, for each cost_center or owner that calls were",
    "                  charged to; several with commas",
    `  --step STEP     one row for each ${REPORT_STEPS.join(", ")} as well`,
    ...TIME_HELP,
    "  --compare       beside the period before: as many months, or as long a time",
    "  --csv           for spreadsheets",
    "  --focus         FOCUS 1.2 as CSV: a row for each UTC day, model and value of --by, of which the first is the sub-account",
    ACCESS_HELP,
    "",
    "Example: purser report --by team,model --since 2026-11-01 --until 2026-12-01",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    by: { type: "string", multiple: true },
    step: { type: "string" },
    ...TIME_OPTIONS,
    compare: { type: "boolean" },
    csv: { type: "boolean" },
    focus: { type: "boolean" },
  },
  async run(input, context) {
    const [word] = input.positionals;
    if (word === "waste") throw new UsageError("That is a command of its own: purser waste.");
    if (word !== undefined) throw new UsageError(`"${word}" belongs to no option. Did you mean --by ${word}?`);
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      const { csv, focus, compare, json: isJson } = input.options;
      const query = reportQuery(input, context.now());
      if (compare === true) query.set("compare", "before");
      const format = focus === true ? "focus" : csv === true ? "csv" : undefined;
      // For programs every form of a report is the same one.
      if (format !== undefined && isJson !== true) query.set("format", format);
      const answer = await access.ask("GET", `/api/report?${query}`);
      if (typeof answer === "string") return { exit: 0, text: answer, json: undefined };
      const json = answer as ReportJson;
      return { exit: 0, text: reportText(json, context.style, await askNames(access, json.by)), json };
    } finally {
      await access.close();
    }
  },
};

/** The options that are parts of the API's question, by the names that it has for them. */
const PARTS = { by: "by", step: "step", since: "since", until: "until", filter: "filter", zone: "time_zone" } as const;

export function reportQuery({ options }: Pick<CommandInput, "options">, now: number): URLSearchParams {
  const query = new URLSearchParams();
  for (const [option, part] of Object.entries(PARTS)) {
    const isTime = part === "since" || part === "until";
    for (const value of [options[option] ?? []].flat().map(String)) query.append(part, isTime ? timeOption(option, value, now) : value);
  }
  return query;
}

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `30d` is so long ago; a day, a month and an instant are for the API to read. */
export function timeOption(option: string, text: string, now: number): string {
  const [, count, unit = ""] = /^(\d{1,5})([hdw])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(now - Number(count) * (UNITS[unit] ?? 0)).toISOString();
  if (/^\d{4}-\d{2}/.test(text)) return text;
  throw new UsageError(
    `--${option} is "${text}". Write 30d or 12h for so long ago, a day such as 2026-11-01, a month, 2026-11, or an instant.`,
  );
}

function reportText(json: ReportJson, style: Style, nameOf: NameOf): string {
  const { data, by, step, time_zone } = json;
  const spanText = (one: { since: string; until: string }) => `${timeText(one.since, time_zone)} to ${timeText(one.until, time_zone)}`;
  const span = `From ${spanText(json)} (${time_zone})${json.compared ? `, compared with ${spanText(json.compared)}` : ""}.`;
  if (data.length === 0) return `Nothing was used. ${span}`;
  const total = sumOfAmounts(data);
  const shown = COLUMNS.filter(({ field, isAlways }) => isAlways || total[field] !== 0);
  const totalBefore = sumOfAmounts(data.flatMap(({ before }) => before ?? []));
  const compared = (cost: number, before: AmountsJson | undefined) =>
    json.compared ? comparison(cost, before?.cost_nanodollars ?? 0) : [];
  const cells = (row: AmountsJson, before: AmountsJson | undefined) => [
    ...shown.map(({ field, show }) => show(row[field])),
    ...compared(row.cost_nanodollars, before),
  ];
  const rows = data
    .slice(0, ROWS_SHOWN)
    .map((row) => [
      ...(step === null ? [] : [stepText(row.from, step, time_zone)]),
      ...by.map((path) => valueText(path, row.values[path], { style, nameOf })),
      ...cells(row, row.before),
    ]);
  const before = by.length + (step === null ? 0 : 1);
  const heading = [
    ...(step === null ? [] : [capital(step)]),
    ...by.map(capital),
    ...shown.map(({ title }) => title),
    ...(json.compared ? ["Before", "Change"] : []),
  ];
  const sums = before === 0 ? [] : [[style.bold("Total"), ...Array(before - 1).fill(""), ...cells(total, totalBefore)]];
  const right = heading.slice(before).map((_, i) => before + i);
  const more =
    data.length > ROWS_SHOWN ? `${style.dim(`… and ${count(data.length - ROWS_SHOWN)} rows more: --csv and --json have them.`)}\n` : "";
  return `${table(heading.map(style.dim), [...rows, ...sums], right)}\n${more}\n${style.dim(span)}`;
}

function valueText(path: string, value: string | null | undefined, { style, nameOf }: { style: Style; nameOf: NameOf }): string {
  return value === null || value === undefined ? style.dim("none") : nameOf(path, value);
}

/** More is not read on a terminal. */
const ROWS_SHOWN = 1_000;

interface AmountColumn {
  readonly field: AmountField;
  readonly title: string;
  readonly show: (amount: number) => string;
  /** Else only where there is something to show. */
  readonly isAlways?: boolean;
}

const count = (amount: number) => amount.toLocaleString("en-US");
const COLUMNS: readonly AmountColumn[] = [
  { field: "calls", title: "Calls", show: count, isAlways: true },
  { field: "refusals", title: "Refused", show: count },
  { field: "known_answers", title: "Known answers", show: count },
  { field: "input_tokens", title: "Input", show: count, isAlways: true },
  { field: "cache_read_input_tokens", title: "of it cached", show: count },
  { field: "resent_input_tokens", title: "sent again", show: count },
  { field: "output_tokens", title: "Output", show: count, isAlways: true },
  { field: "unpriced_calls", title: "Unpriced calls", show: count },
  { field: "estimated_nanodollars", title: "Estimated", show: shortDollars },
  { field: "unconfirmed_nanodollars", title: "Unconfirmed", show: shortDollars },
  { field: "saved_nanodollars", title: "Saved", show: shortDollars },
  { field: "cost_nanodollars", title: "Cost", show: shortDollars, isAlways: true },
];

/** What it was before, and by how much it has changed. */
function comparison(cost: number, before: number): readonly string[] {
  if (before === 0) return [shortDollars(before), cost === 0 ? "" : "new"];
  const percent = Math.round(((cost - before) / before) * 100);
  return [shortDollars(before), `${percent > 0 ? "+" : ""}${percent} %`];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `2026-11`, `2026-11-22`, `2026-11-22 08:00`: as the clock of the zone shows it. */
function stepText(instant: string, step: NonNullable<ReportJson["step"]>, timeZone: string): string {
  return timeText(instant, timeZone).slice(0, { month: 7, day: 10, hour: 16 }[step]);
}

/** `2026-11-01 00:00 (Europe/Berlin)` */
export function sinceText({ since, time_zone }: { readonly since: string; readonly time_zone: string }): string {
  return `${timeText(since, time_zone)} (${time_zone})`;
}

function timeText(instant: string, timeZone: string): string {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  return format.format(new Date(instant));
}
