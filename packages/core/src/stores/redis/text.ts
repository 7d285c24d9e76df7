import type { Allotment } from "../../domain/lease.ts";
import {
  type CallDetail,
  type CounterRef,
  type Entry,
  type EntryKind,
  type Grant,
  grantSeries,
  type Posting,
  seriesOf,
} from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";
import { type Counter, keptUntil } from "../../domain/state.ts";
import { restoreDetail, restoreEntry } from "../entry-json.ts";
import { KEEP_CLOSED_MS, KEEP_SLICES_MS } from "../forgetting.ts";

/** How counters, postings and entries are written in Redis: as lines and JSON, so that scripts pass on what they need not understand. */

/** Counters are bound once a window and used by every call in it. */
const texts = new WeakMap<CounterRef, string>();

/** A counter's key, its unit, and the rest of what defines it, with tabs between them, which none of them has. */
export function counterText(ref: CounterRef): string {
  const known = texts.get(ref);
  if (known) return known;
  const { key, unit, startsAt, resetsAt, series } = ref;
  const isSlice = series !== undefined;
  const forgotten = resetsAt === undefined ? "" : isSlice ? resetsAt + KEEP_SLICES_MS : keptUntil(ref, resetsAt) + KEEP_CLOSED_MS;
  const rest = [`${isSlice ? "s" : ""}${forgotten}`, resetsAt ?? "", startsAt, namesText(ref)].join(" ");
  const text = `${keyText(key)}\t${unit}\t${rest}`;
  texts.set(ref, text);
  return text;
}

/** As JSON, after the length of the first: a script that needs only that one takes it from there. */
function namesText({ budget, subject, window, drains }: CounterRef): string {
  const names = drains === undefined ? [budget, subject, window] : [budget, subject, window, drains];
  return `${Buffer.byteLength(JSON.stringify(budget))} ${JSON.stringify(names)}`;
}

/** JSON escapes what would break a line, and what not every client can send. */
export function keyText(key: string): string {
  return JSON.stringify(key).slice(1, -1);
}

export function keyOf(text: string): string {
  return JSON.parse(`"${text}"`) as string;
}

const COUNTER = /^([^\t]*)\t([^\t]*)\t(s?)\d* (\d*) (\d+) (.*)$/s;

export function counterOf(text: string): CounterRef {
  const [, key = "", unit = "", moving, resetsAt = "", startsAt, names = ""] = COUNTER.exec(text) ?? [];
  const span = { startsAt: Number(startsAt), resetsAt: resetsAt === "" ? undefined : Number(resetsAt) };
  return refOf({ key, unit, names, isSlice: moving === "s", ...span });
}

type Names = readonly [budget: string, subject: string, window: string, drains?: number];

interface RefText {
  readonly key: string;
  readonly unit: string;
  /** Budget, subject and window; of a bucket, what drains. */
  readonly names: string;
  readonly startsAt: number;
  readonly resetsAt: number | undefined;
  readonly isSlice: boolean;
}

function refOf({ key: text, unit, names, startsAt, resetsAt, isSlice }: RefText): CounterRef {
  const [budget, subject, window, drains] = JSON.parse(names.slice(names.indexOf(" ") + 1)) as Names;
  const key = keyOf(text);
  const ref = { key, budget, subject, unit: unit as Unit, window, startsAt, resetsAt };
  if (!isSlice) return ref;
  const slice = { ...ref, series: seriesOf(ref) };
  return drains === undefined ? slice : { ...slice, drains };
}

/** A counter as scripts show it: `held spent`, and after a tab what it is. */
export function readCounter(key: string, value: string): Counter {
  const tab = value.indexOf("\t");
  const [held, spent] = value.slice(0, tab).split(" ");
  return { ref: counterOf(`${key}${value.slice(tab)}`), held: Number(held), spent: Number(spent) };
}

/** How much of each counter is allotted, by its key: `amount holders`. Some clients make an object of a hash. */
export function readAllotted(reply: unknown): ReadonlyMap<string, number> {
  const fields = Array.isArray(reply) ? pairsOf(reply.map(String)) : Object.entries(reply as Readonly<Record<string, string>>);
  return new Map(fields.map(([key, text]) => [keyOf(key), Number(text.split(" ")[0])]));
}

function pairsOf(texts: readonly string[]): readonly (readonly [string, string])[] {
  return texts.flatMap((text, i) => (i % 2 === 0 ? [[text, texts[i + 1] ?? ""] as const] : []));
}

/** The slices of a series as the hash of series has them: `unit names`, and on the second line `startsAt resetsAt held spent;` of each. */
export function readSlices(series: string, value: string): readonly Counter[] {
  const end = value.indexOf("\n");
  const space = value.indexOf(" ");
  const [unit, names] = [value.slice(0, space), value.slice(space + 1, end)];
  const slices = value
    .slice(end + 1)
    .split(";")
    .slice(0, -1);
  return slices.map((text) => {
    const [startsAt = 0, resetsAt, held = 0, spent = 0] = text.split(" ").map(Number);
    return { ref: refOf({ key: `${series}|${startsAt}`, unit, names, startsAt, resetsAt, isSlice: true }), held, spent };
  });
}

/** The series of a grant, and the grant on one line. */
export function grantText(grant: Grant): readonly [series: string, line: string] {
  const { id, amount, from, until } = grant;
  return [keyText(grantSeries(grant)), [keyText(id), amount, from, until, JSON.stringify(grant), until + KEEP_CLOSED_MS].join("\t")];
}

export function readGrants(lines: string): readonly Grant[] {
  return lines
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line.split("\t")[4] ?? "") as Grant);
}

export function postingsText(postings: readonly Posting[]): string {
  return postings.map(({ counter, held, spent }) => `${counterText(counter)}\t${held}\t${spent}\n`).join("");
}

/** Allotments are written as postings that hold them. */
export function allotmentsText(allotments: readonly Allotment[]): string {
  return postingsText(allotments.map(({ counter, amount }) => ({ counter, held: amount, spent: 0 })));
}

function readPostings(text: string): readonly Posting[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const spentAt = line.lastIndexOf("\t");
      const heldAt = line.lastIndexOf("\t", spentAt - 1);
      return {
        counter: counterOf(line.slice(0, heldAt)),
        held: Number(line.slice(heldAt + 1, spentAt)),
        spent: Number(line.slice(spentAt + 1)),
      };
    });
}

const IN_OTHER_FIELDS = { seq: undefined, at: undefined, kind: undefined, reservation: undefined, postings: undefined, detail: undefined };

/** What the other fields of an entry do not say, as JSON. */
export function bodyText(entry: object): string {
  return JSON.stringify({ ...entry, ...IN_OTHER_FIELDS });
}

/** A message of the stream. */
export type Message = readonly [id: string, fields: readonly string[]];

export function readEntry([id, fields]: Message): Entry {
  const field = Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? ""]] : [])));
  const { k = "", t, r = "", p = "", d = "", b = "" } = field as Readonly<Record<string, string>>;
  return restoreEntry({
    seq: seqOf(id),
    at: Number(t),
    kind: k as EntryKind,
    reservation: r,
    postings: readPostings(p),
    ...(b !== "" && JSON.parse(b)),
    ...(d !== "" && { detail: JSON.parse(d) }),
  } as Entry);
}

export function seqOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

export function readDetail(text: string): CallDetail {
  return restoreDetail(JSON.parse(text) as CallDetail);
}
