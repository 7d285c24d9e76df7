import { CHARGED_PATHS, reportValue } from "../../domain/charged-to.ts";
import type { CounterRef, Entry, Posting } from "../../domain/ledger.ts";
import { bookedAmounts, REPORT_AMOUNTS, type ReportAmounts } from "../../domain/report.ts";
import { bookedSavings, SAVING_AMOUNTS, type SavingAmounts } from "../../domain/saving.ts";
import { ATTRIBUTES, type Subject } from "../../domain/subject.ts";
import { restoreEntry } from "../entry-json.ts";

export type SqlValue = string | number | null;

/** How a column is written: its name, and the type that its text or number is cast to. */
interface Column {
  readonly name: string;
  readonly type: string;
}

/** The column of an amount: `input_tokens`. */
export function amountColumn(amount: keyof ReportAmounts | keyof SavingAmounts): string {
  return amount.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** An attribute as a column; `user` is a word of SQL. */
export function attributeColumn(attribute: string): string {
  return `"${attribute}"`;
}

/** The columns of `purser.entry` as `rowOf` fills them. */
export const COLUMNS: readonly Column[] = [
  { name: "ledger", type: "integer" },
  { name: "seq", type: "bigint" },
  { name: "at", type: "bigint" },
  { name: "kind", type: "text" },
  { name: "reservation", type: "text" },
  { name: "certainty", type: "text" },
  ...ATTRIBUTES.map((attribute) => ({ name: attributeColumn(attribute), type: "text" })),
  { name: "tags", type: "jsonb" },
  ...CHARGED_PATHS.map((path) => ({ name: attributeColumn(path), type: "text" })),
  ...REPORT_AMOUNTS.map((amount) => ({ name: amountColumn(amount), type: "bigint" })),
  { name: "savings", type: "json" },
  { name: "counters", type: "bigint[]" },
  { name: "held", type: "bigint[]" },
  { name: "spent", type: "bigint[]" },
  { name: "body", type: "json" },
];

/** Finds the number of a counter. */
export type CounterIds = (counter: CounterRef) => number;

/** An entry as one row: what reports and auditors ask for as columns, and the rest as JSON. */
export function rowOf(entry: Entry, ledger: number, counterId: CounterIds): SqlValue[] {
  const { seq, at, kind, reservation, postings } = entry;
  const subject: Subject = "detail" in entry ? entry.detail.subject : {};
  const call = "detail" in entry ? entry.detail : { subject };
  const amounts = bookedAmounts(entry);
  const row: SqlValue[] = [ledger, seq, at, kind, cleaned(reservation), "charge" in entry ? entry.charge.certainty : null];
  for (const attribute of ATTRIBUTES) row.push(textOf(subject[attribute]));
  row.push(subject.tags === undefined ? null : JSON.stringify(cleanedTags(subject.tags)));
  for (const path of CHARGED_PATHS) row.push(textOf(reportValue(call, path)));
  // What is nothing takes no room as NULL, and most entries of a call book nothing.
  for (const amount of REPORT_AMOUNTS) row.push(amounts?.[amount] || null);
  row.push(savingsOf(entry), ...postingArrays(postings, counterId), bodyOf(entry, subject));
  return row;
}

function savingsOf(entry: Entry): string | null {
  const savings = bookedSavings(entry);
  if (savings.length === 0) return null;
  return JSON.stringify(
    savings.map(({ budget, rung, ...amounts }) => ({
      budget: cleaned(budget),
      rung: cleaned(rung),
      ...Object.fromEntries(SAVING_AMOUNTS.map((name) => [amountColumn(name), amounts[name]])),
    })),
  );
}

function postingArrays(postings: readonly Posting[], counterId: CounterIds): readonly (string | null)[] {
  if (postings.length === 0) return [null, null, null];
  let [counters, helds, spents] = ["{", "{", "{"];
  for (const { counter, held, spent } of postings) {
    const separator = counters === "{" ? "" : ",";
    counters += separator + counterId(counter);
    helds += separator + held;
    spents += separator + spent;
  }
  return [`${counters}}`, `${helds}}`, `${spents}}`];
}

const IN_COLUMNS = { seq: undefined, at: undefined, kind: undefined };

/** What the columns do not say, or cannot say exactly. Kinds and fields of entries that are not known here are kept with it. */
function bodyOf(entry: Entry, subject: Subject): string {
  const { detail } = entry as { readonly detail?: object };
  return JSON.stringify({
    ...entry,
    ...IN_COLUMNS,
    reservation: isClean(entry.reservation) ? undefined : entry.reservation,
    postings: entry.postings.every(isPlain) ? undefined : entry.postings,
    ...(detail && { detail: isExact(subject) ? { ...detail, subject: undefined } : detail }),
  });
}

function isPlain(posting: Posting): boolean {
  for (const field in posting) if (field !== "counter" && field !== "held" && field !== "spent") return false;
  return true;
}

const KNOWN: ReadonlySet<string> = new Set([...ATTRIBUTES, "tags"]);

/** Whether the columns say a subject as it is. */
function isExact(subject: Subject): boolean {
  for (const name in subject) {
    const value: unknown = subject[name as keyof Subject];
    if (name === "tags" ? !areClean(value as object) : !KNOWN.has(name) || typeof value !== "string" || !isClean(value)) return false;
  }
  return true;
}

function areClean(tags: object): boolean {
  return Object.entries(tags).every(([name, value]) => isClean(name) && typeof value === "string" && isClean(value));
}

/** A text of PostgreSQL can hold neither the character 0 nor half a character. */
const UNCLEAN = /\0|\p{Surrogate}/gu;
/** Finds halves of whole characters too, and is much faster. */
const MAYBE_UNCLEAN = /[\0\ud800-\udfff]/;

export function isClean(text: string): boolean {
  return !MAYBE_UNCLEAN.test(text) || text.search(UNCLEAN) < 0;
}

/** The text with what PostgreSQL cannot hold replaced. */
export function cleaned(text: string): string {
  return MAYBE_UNCLEAN.test(text) ? text.replace(UNCLEAN, "\ufffd") : text;
}

function cleanedTags(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(tags).map((pair) => pair.map((text) => cleaned(String(text)))));
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? cleaned(value) : null;
}

/** A row of `purser.entry` as it is selected by `SELECT_ENTRY`. */
export interface EntryRow {
  readonly seq: string;
  readonly at: string;
  readonly kind: string;
  readonly reservation: string;
  readonly subject: Subject;
  readonly counters: readonly string[] | null;
  readonly held: readonly string[] | null;
  readonly spent: readonly string[] | null;
  readonly body: Partial<Entry> & { readonly detail?: { readonly subject?: Subject } };
}

const SUBJECT = [...ATTRIBUTES.map((attribute) => `'${attribute}', e.${attributeColumn(attribute)}`), "'tags', e.tags"].join(", ");

/** Selects `EntryRow`s from `purser.entry` as `e`. */
export const SELECT_ENTRY = `
  SELECT e.seq, e.at, e.kind, e.reservation, e.counters, e.held, e.spent, e.body, json_strip_nulls(json_build_object(${SUBJECT})) AS subject
  FROM purser.entry e`;

export function entryOf(row: EntryRow, counterOf: (id: number) => CounterRef): Entry {
  const { seq, at, kind, reservation, subject, body } = row;
  const { detail } = body;
  return restoreEntry({
    seq: Number(seq),
    at: Number(at),
    kind,
    reservation,
    ...body,
    postings: body.postings?.map(restorePosting) ?? postingsOf(row, counterOf),
    ...(detail && { detail: { ...detail, subject: detail.subject ?? subject } }),
  } as Entry);
}

/** JSON leaves out that a counter never resets. */
function restorePosting(posting: Posting): Posting {
  return { ...posting, counter: { ...posting.counter, resetsAt: posting.counter.resetsAt } };
}

function postingsOf({ counters, held, spent }: EntryRow, counterOf: (id: number) => CounterRef): readonly Posting[] {
  return (counters ?? []).map((id, i) => ({ counter: counterOf(Number(id)), held: Number(held?.[i]), spent: Number(spent?.[i]) }));
}
