import type { Counter } from "../../domain/engine.ts";
import type { CallDetail, Charge, CounterRef, Entry, EntryKind, Posting } from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";

/** How counters, postings and entries are written in Redis: as lines and JSON, so that scripts pass on what they need not understand. */

/** A counter's key, its unit, and the rest of what defines it. None of them has a tab or a line break. */
export type CounterText = readonly [key: string, unit: string, rest: string];

/** Counters are bound once a window and used by every call in it. */
const texts = new WeakMap<CounterRef, CounterText>();

export function counterText(ref: CounterRef): CounterText {
  const known = texts.get(ref);
  if (known) return known;
  const { key, budget, subject, unit, window, startsAt, resetsAt } = ref;
  const text: CounterText = [keyText(key), unit, `${resetsAt ?? ""} ${JSON.stringify([budget, subject, window, startsAt])}`];
  texts.set(ref, text);
  return text;
}

/** JSON escapes what would break a line, and what not every client can send. */
export function keyText(key: string): string {
  return JSON.stringify(key).slice(1, -1);
}

export function counterOf([key, unit, rest]: CounterText): CounterRef {
  const space = rest.indexOf(" ");
  const [budget, subject, window, startsAt] = JSON.parse(rest.slice(space + 1)) as [string, string, string, number];
  const resetsAt = space === 0 ? undefined : Number(rest.slice(0, space));
  return { key: JSON.parse(`"${key}"`) as string, budget, subject, unit: unit as Unit, window, startsAt, resetsAt };
}

/** `held spent unit rest`, as the hash of counters has it. */
export function readCounter(key: string, value: string): Counter {
  const [held = "", spent = "", unit = ""] = value.split(" ", 3);
  const rest = value.slice(held.length + spent.length + unit.length + 3);
  return { ref: counterOf([key, unit, rest]), held: Number(held), spent: Number(spent) };
}

export function postingsText(postings: readonly Posting[]): string {
  return postings.map(({ counter, held, spent }) => `${[...counterText(counter), held, spent].join("\t")}\n`).join("");
}

function readPostings(text: string): readonly Posting[] {
  if (text === "") return [];
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => {
      const [key = "", unit = "", rest = "", held, spent] = line.split("\t");
      return { counter: counterOf([key, unit, rest]), held: Number(held), spent: Number(spent) };
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
  const body = (b === "" ? {} : JSON.parse(b)) as { readonly charge?: Charge };
  return {
    seq: seqOf(id),
    at: Number(t),
    kind: k as EntryKind,
    reservation: r,
    postings: readPostings(p),
    ...body,
    ...(d !== "" && { detail: readDetail(d) }),
    ...(body.charge && { charge: readCharge(body.charge) }),
  } as Entry;
}

export function seqOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

/** JSON leaves out what is unknown; here it is said again. */
export function readDetail(text: string): CallDetail {
  const detail = JSON.parse(text) as CallDetail;
  return { ...detail, cost: detail.cost, price: detail.price };
}

function readCharge(charge: Charge): Charge {
  return { ...charge, cost: charge.cost };
}
