import type { Alert, AlertAnswer, Delivery, Incident } from "./alert-book.ts";
import type { Notice } from "./notice.ts";

/** Every line is acted upon whole or, where a crash cut it off, not at all: so what belongs together stands on one. */
export type Line =
  | {
      readonly event: "claimed";
      readonly keys: readonly string[];
      readonly until: number;
      readonly told?: Told;
      readonly opened?: Incident;
    }
  | ({ readonly event: "told"; readonly attempts?: number; readonly doubt?: string } & Told)
  | { readonly event: "taken"; readonly channel: string; readonly notices: readonly string[]; readonly name: string }
  | { readonly event: "alert"; readonly alert: Alert }
  | { readonly event: "answered"; readonly alert: string; readonly answer: AlertAnswer }
  | { readonly event: "opened"; readonly opened: Incident }
  | { readonly event: "ended"; readonly incident: string; readonly told: Told }
  | { readonly event: "tried"; readonly tries: readonly Try[] };

/** A delivery, when the next one is due, and whether one of them may have told it. */
export type Try = Delivery & { readonly dueAt: number; readonly isInDoubt: boolean };

export interface Told {
  readonly notice: Notice;
  readonly channel: string;
}

/** Whether a line of the file is one that can be acted upon. */
export function isLine(value: unknown): value is Line {
  return isObject(value) && Object.hasOwn(FORMS, value.event as string) && FORMS[value.event as Line["event"]](value);
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const FORMS: Readonly<Record<Line["event"], (line: Fields) => boolean>> = {
  claimed: (line) => has(line, { keys: listOf(isText), until: isNumber, told: optional(isTold), opened: optional(isIncident) }),
  told: (line) => isTold(line) && has(line, { attempts: optional(isNumber), doubt: optional(isText) }),
  taken: (line) => has(line, { channel: isText, notices: listOf(isText), name: isText }),
  alert: (line) => isAlertLine(line.alert),
  answered: (line) => has(line, { alert: isText, answer: isAnswer }),
  opened: (line) => isIncident(line.opened),
  ended: (line) => has(line, { incident: isText, told: isTold }),
  tried: (line) => has(line, { tries: listOf(isTry) }),
};

function isTold(value: unknown): boolean {
  return has(value, { notice: isNotice, channel: isText });
}

function isNotice(value: unknown): boolean {
  const texts = { id: isText, kind: isText, about: isText, severity: isText, title: isText, text: isText };
  const times = { at: isNumber, notBefore: optional(isNumber) };
  const links = {
    owner: optional(isText),
    timeZone: optional(isText),
    after: optional(isText),
    repeats: optional(isText),
    link: optional(isText),
  };
  return has(value, { ...texts, ...times, ...links, facts: listOf(listOf(isText)), data: isObject });
}

function isIncident(value: unknown): boolean {
  return has(value, { notice: isNotice, channel: isText, from: isNumber, until: isNumber });
}

function isAlertLine(value: unknown): boolean {
  return has(value, { notice: isNotice, channels: listOf(isText), until: isNumber, answer: optional(isAnswer) });
}

function isAnswer(value: unknown): boolean {
  return has(value, { kind: isText, at: isNumber, by: isText, until: optional(isNumber) });
}

function isTry(value: unknown): boolean {
  const delivery = {
    notice: isText,
    channel: isText,
    title: isText,
    at: isNumber,
    attempt: isNumber,
    error: optional(isText),
    isLast: isTruth,
  };
  return has(value, { ...delivery, dueAt: isNumber, isInDoubt: isTruth });
}

function has(value: unknown, checks: Readonly<Record<string, Check>>): boolean {
  return isObject(value) && Object.entries(checks).every(([name, check]) => check(value[name]));
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function optional(check: Check): Check {
  return (value) => value === undefined || check(value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

function isTruth(value: unknown): boolean {
  return typeof value === "boolean";
}
