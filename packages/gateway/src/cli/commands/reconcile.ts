import { createReadStream, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type CommittedBillJson, committedLinesOf } from "../../admin/commitment-json.ts";
import type { ReportJson } from "../../admin/report.ts";
import { priceBookOf } from "../../config/price-book.ts";
import { type Bill, DAY_MS, type Days, joinedBills } from "../../reconciliation/bill.ts";
import type { CommittedLines } from "../../reconciliation/committed.ts";
import { askableProviders, fetchBill } from "../../reconciliation/fetch-bill.ts";
import { ledgerLines, ledgerQuery } from "../../reconciliation/ledger-lines.ts";
import { type Page, parsePages, readPages } from "../../reconciliation/pages.ts";
import { type LedgerLine, type Reconciliation, reconcile as reconcileBill } from "../../reconciliation/reconcile.ts";
import { reconciliationJson } from "../../reconciliation/reconciliation-json.ts";
import { readBillColumns, readTable } from "../../reconciliation/table-bill.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput } from "../command.ts";
import { reconciliationText } from "../reconciliation-text.ts";
import { UsageError } from "./outcome.ts";

export const reconcile: Command = {
  name: "reconcile",
  summary: "what providers billed, beside what the ledger has: how much was captured, and what is missing",
  usage: "[FILE...] [--provider NAME] [--since DAY] [--until DAY] [--least 97] [--columns LIST] [--json]",
  help: [
    "Compares day by day, by UTC, and model by model. Exit code 1 where less than 97 % of what was billed is in the ledger, or as much too much: on one",
    "day, or in all. Today and yesterday are shown and not judged, because providers bill late.",
    "",
    "  FILE            what a provider billed: JSON as the costs and usage APIs of OpenAI and Anthropic answer, or CSV with a heading",
    "                  (day, model, cost, …; or FOCUS). Without one, the providers are asked whose administrator's key is known:",
    "                  admin_key in purser.yaml, OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY",
    "  --provider A,B  whose bill it is, as purser.yaml calls the provider; several where one account serves them. Without",
    "                  FILE: which one is asked; may be repeated",
    "  --since DAY     2026-11-01, 2026-11, or 30d ago; all of the files, or 14 days ago, where it is left out",
    "  --until DAY     up to, not including",
    "  --least SHARE   how many of a hundred dollars must be in the ledger; 97 where it is left out",
    "  --columns LIST  columns of a CSV that have other names: day=Date,cost=Amount,model=SKU",
    ACCESS_HELP,
    "",
    "Example: OPENAI_ADMIN_KEY=sk-admin-… purser reconcile --provider openai --since 30d",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    provider: { type: "string", multiple: true },
    since: { type: "string" },
    until: { type: "string" },
    least: { type: "string" },
    columns: { type: "string" },
  },
  async run(input, context) {
    const asked = readAsked(input, context);
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      const prices = priceBookOf(access.config);
      const whole = asked.files.length > 0 ? await readFiles(asked, context) : await fetchBills(asked, access, context);
      const bill = withinAsked(whole, asked);
      const span = spanOf(bill);
      const ledger = span ? ledgerLines((await access.ask("GET", `/api/report?${ledgerQuery(span)}`)) as ReportJson) : [];
      const committed = span ? await askCommitted(access, span) : [];
      const { names, least } = asked;
      const providers = reconcileBill({ bill, ledger, committed, names, prices, least, now: context.now() });
      const notes = [...bill.notes, ...strangers(providers, ledger)];
      const json = reconciliationJson({ providers, leftOut: bill.leftOut, notes, least });
      return { exit: json.alarms.length > 0 ? 1 : 0, text: reconciliationText(providers, json, context.style), json };
    } finally {
      await access.close();
    }
  },
};

async function askCommitted(access: AdminAccess, { from, to }: Days): Promise<readonly CommittedLines[]> {
  const days = new URLSearchParams({ since: new Date(from).toISOString(), until: new Date(to).toISOString() });
  const { data } = (await access.ask("GET", `/api/commitments/billed?${days}`)) as { readonly data: readonly CommittedBillJson[] };
  return data.map(committedLinesOf);
}

interface Asked {
  readonly files: readonly string[];
  /** The names in the ledger of each provider of the bill, under the first of them. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  readonly since: number | undefined;
  readonly until: number | undefined;
  /** As a share: 0.97. */
  readonly least: number;
  readonly columns: ReadonlyMap<string, string>;
}

function readAsked({ positionals, options }: CommandInput, { now }: CommandContext): Asked {
  const providers = [options.provider ?? []].flat().map((text) =>
    String(text)
      .split(",")
      .flatMap((name) => name.trim() || []),
  );
  const empty = providers.find((names) => names.length === 0);
  if (empty) throw new UsageError("--provider names nobody. Write --provider openai.");
  if (positionals.length > 0 && providers.length > 1)
    throw new UsageError(`Files are of one provider. Write --provider ${providers.flat().join(",")} where one account serves them.`);
  if (positionals.length === 0 && options.columns !== undefined)
    throw new UsageError("--columns is about a file. Name one: purser reconcile FILE --columns …");
  const since = instantOf("since", options.since as string | undefined, now());
  const until = instantOf("until", options.until as string | undefined, now());
  if (since !== undefined && until !== undefined && since >= until) throw new UsageError("--until is not after --since.");
  return {
    files: positionals,
    names: new Map(providers.map((names) => [names[0] as string, names])),
    since,
    until,
    least: leastOf((options.least as string | undefined) ?? "97"),
    columns: options.columns === undefined ? new Map() : readBillColumns(String(options.columns)),
  };
}

/** Where a day or a month begins by UTC, or the day that was so long ago. */
function instantOf(option: string, text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  if (days !== undefined) return Math.floor(now / DAY_MS - Number(days)) * DAY_MS;
  const instant = /^\d{4}-\d{2}(-\d{2})?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(instant)) return instant;
  throw new UsageError(`--${option} is "${text}". Write a day such as 2026-11-01, a month, 2026-11, or 30d for so many days ago.`);
}

function leastOf(text: string): number {
  const percent = /^\d{1,3}(\.\d+)?\s*%?$/.test(text.trim()) ? Number.parseFloat(text) : Number.NaN;
  if (percent > 0 && percent <= 100) return percent / 100;
  throw new UsageError(`--least is "${text}". Write how many of a hundred dollars must be in the ledger: 97.`);
}

async function readFiles({ files, names, columns }: Asked, { cwd }: CommandContext): Promise<Bill> {
  const [provider] = names.keys();
  const bills: Bill[] = [];
  const pages: Page[] = [];
  for (const name of files) {
    const file = resolve(cwd, name);
    if (!existsSync(file)) throw new UsageError(`There is no file ${name}.`);
    if (await isJson(file)) pages.push(...parsePages(await readFile(file, "utf8"), name));
    else bills.push(await readTable({ file, place: name, columns, provider }));
  }
  return joinedBills([readPages(pages, provider), ...bills]);
}

/** Tables begin with a name. */
async function isJson(file: string): Promise<boolean> {
  for await (const chunk of createReadStream(file, { encoding: "utf8", end: 1023 })) return /^\uFEFF?\s*[[{]/.test(chunk as string);
  return false;
}

const DAYS_ASKED = 14;

async function fetchBills({ names, since, until }: Asked, { config }: AdminAccess, { now }: CommandContext): Promise<Bill> {
  const providers = names.size > 0 ? [...names.keys()] : askableProviders(config);
  if (providers.length === 0)
    throw new UsageError("Name a file with what was billed, or set OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY to ask the provider.");
  const today = Math.floor(now() / DAY_MS) * DAY_MS;
  const days = { from: since ?? today - DAYS_ASKED * DAY_MS, to: until ?? today + DAY_MS };
  if (days.from >= days.to) throw new UsageError("--since is in the future.");
  const bills: Bill[] = [];
  for (const provider of providers) bills.push(await fetchBill({ provider, days, config }));
  return joinedBills(bills);
}

function withinAsked(bill: Bill, { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: Asked): Bill {
  const isAsked = ({ from, to }: Days) => from >= since && to <= until;
  return { ...bill, lines: bill.lines.filter(isAsked), spans: bill.spans.filter(isAsked) };
}

/** A provider that is called otherwise in purser.yaml has nothing in the ledger. */
function strangers(providers: readonly Reconciliation[], ledger: readonly LedgerLine[]): readonly string[] {
  const others = [...new Set(ledger.map(({ provider }) => provider))];
  return providers
    .filter(({ days }) => others.length > 0 && days.every(({ ledger: { calls, cost } }) => calls === 0 && cost === 0))
    .map(
      ({ provider }) =>
        `The ledger has nothing of ${provider} in this time, and has calls to ${others.join(", ")}. Where that is the same, name it: --provider ${others[0]}.`,
    );
}

function spanOf({ spans }: Bill): Days | undefined {
  const [first] = spans;
  if (!first) return undefined;
  return spans.reduce<Days>((all, { from, to }) => ({ from: Math.min(all.from, from), to: Math.max(all.to, to) }), first);
}
