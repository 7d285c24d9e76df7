import { formatInstant, PurserError, type Subject } from "@purser/core";
import { AuditLog } from "../../audit-log/audit-log.ts";
import type { AuditLine, Head, Verified } from "../../audit-log/chain.ts";
import { instantText, type SealedLedger } from "../../audit-log/sealed-ledger.ts";
import { forgetDeed, forgottenOf, isSeal, ledgerName } from "../../audit-log/seals.ts";
import type { Config } from "../../config/config.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { readConfig } from "../../config/read-config.ts";
import { ACCESS_HELP, ACCESS_OPTIONS } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { activeFolder } from "../demo-folder.ts";
import { openLedger } from "../ledger.ts";
import { openArchive, type SealedLedgers, verifyLedgers } from "../sealed-ledgers.ts";
import { table } from "../table.ts";
import { userName } from "../user-name.ts";
import { UsageError } from "./outcome.ts";
import { timeOption } from "./report.ts";

const SHOWN = 40;
const VERBS = ["verify", "refused", "forget"] as const;

export const audit: Command = {
  name: "audit",
  summary: "who changed what, which calls were refused, and whether that was altered since",
  usage: "[--all] | verify [--head N:HASH] | refused [--since WHEN] | forget DAY --why TEXT",
  help: [
    "Reads the audit log of the data folder, whether a gateway runs or not: changes, grants, refused access, starts and stops.",
    "What was asked for and what became of it are two lines of the log, and are shown in one row.",
    "",
    `  --all             every line; the newest ${SHOWN}, and none that seals the ledger, where it is left out`,
    "  verify            looks for lines and entries of the ledger that were changed, taken out or put in; exit code 1 where there are any",
    "    --head N:HASH     the end of the log as you noted it elsewhere: what `purser audit verify` said before",
    `  refused           calls that were refused, the newest last; the newest ${SHOWN} where neither option is there`,
    "    --since WHEN      2026-11-01, an instant, or 30d, 12h ago",
    "  forget DAY        before entries of the ledger are dropped that are older than this day: verifies them, and writes it down",
    "    --why TEXT        why",
    ACCESS_HELP,
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    all: { type: "boolean" },
    head: { type: "string" },
    since: { type: "string" },
    why: { type: "string" },
  },
  wordsMost: 2,
  async run(input, context) {
    const { positionals } = input;
    const [verb, word] = positionals;
    if (verb !== undefined && !VERBS.some((one) => one === verb))
      throw new UsageError(`There is no \`purser audit ${verb}\`.${suggestion(verb, VERBS)}`);
    if (word !== undefined && verb !== "forget") throw new UsageError(`"${word}" is a word too many after \`purser audit ${verb}\`.`);
    const config = configOf(input, context);
    const log = new AuditLog(config.dataDir, { now: context.now });
    if (verb === "verify") return verify(log, config, input, context);
    if (verb === "refused") return showRefused(config, input, context);
    if (verb === "forget") return forget({ log, config, day: word }, input, context);
    return show(log, input, context);
  },
};

function configOf({ options }: CommandInput, { cwd, env }: CommandContext): Config {
  const flags = { data: options.data as string | undefined };
  const config = readConfig({ file: options.config as string | undefined, environment: env, cwd, flags });
  return { ...config, dataDir: activeFolder(config.dataDir) };
}

async function show(log: AuditLog, { options }: CommandInput, { style }: CommandContext): Promise<CommandResult> {
  const lines = await log.lines();
  const shown = options.all === true ? lines : lines.filter((line) => !isSeal(line)).slice(-SHOWN);
  const outcomes = new Map(lines.flatMap((line) => (line.of === undefined ? [] : [[line.of, line]])));
  const rows = shown
    .filter(({ of }) => of === undefined)
    .map((line) => [
      numbersText(line, outcomes.get(line.n)),
      instantText(line.at),
      line.by,
      line.what,
      detailText(line, outcomes.get(line.n)),
    ]);
  if (rows.length === 0) return { exit: 0, text: "Nothing was done yet.", json: lines };
  return { exit: 0, text: table(["Lines", "When", "By", "What", ""].map(style.dim), rows, [0]), json: shown };
}

/** What was asked and what became of it are two lines of the log, and one here. */
function numbersText({ n }: AuditLine, outcome: AuditLine | undefined): string {
  if (outcome === undefined) return String(n);
  return outcome.n === n + 1 ? `${n}–${outcome.n}` : `${n}, ${outcome.n}`;
}

function detailText({ details = {}, from, what }: AuditLine, outcome: AuditLine | undefined): string {
  const { path, body, query, ...rest } = details as Readonly<Record<string, unknown>>;
  const asked = [path, query, body && JSON.stringify(body), Object.keys(rest).length > 0 && JSON.stringify(rest)].filter(Boolean).join(" ");
  const isRequest = /^[A-Z]+ \//.test(what);
  const became = outcome ? ` → ${Object.values(outcome.details ?? {}).join(" ")}` : isRequest ? " → unknown" : "";
  return `${asked}${became}${from === undefined ? "" : ` from ${from}`}`;
}

async function verify(log: AuditLog, config: Config, { options }: CommandInput, { now }: CommandContext): Promise<CommandResult> {
  const verified = await log.verify(options.head === undefined ? undefined : headOf(String(options.head)));
  const sealed = await verifyLedgers(config, await log.lines(), now);
  const isRight = verified.faults.length === 0 && areRight(sealed);
  return {
    exit: isRight ? 0 : 1,
    text: `${logText(verified)}\n${ledgersText(sealed)}${noteText(verified)}`,
    json: { ...verified, ...sealed },
  };
}

function areRight({ ledgers, unread }: SealedLedgers): boolean {
  return unread.length === 0 && ledgers.every(({ faults }) => faults.length === 0);
}

function headOf(text: string): Head {
  const [, n, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (hash === undefined) throw new UsageError("--head is written N:HASH, as `purser audit verify` prints it.");
  return { n: Number(n), hash };
}

function logText({ head, faults, isTorn }: Verified): string {
  const torn = isTorn ? "\nIts last line was cut off by a crash before anybody was told that it is written. The next one repairs it." : "";
  if (faults.length > 0) return `${faults.map(({ line, what }) => `Line ${line} ${what}.`).join("\n")}${torn}`;
  return `${head.n} lines, none of them changed, missing or moved.${torn}`;
}

function noteText({ head, faults }: Verified): string {
  if (faults.length > 0) return "";
  return `\nNote this elsewhere, and a log that is written anew will be noticed too: --head ${head.n}:${head.hash}`;
}

function ledgersText({ ledgers, unread }: SealedLedgers): string {
  return [...ledgers.map(ledgerText), ...unread.map((why) => `The ledger could not be compared: ${why}`)].join("\n");
}

function ledgerText({ where, sealed, unsealed, forgotten, faults }: SealedLedgers["ledgers"][number]): string {
  const place = where === "" ? "" : ` ${where}`;
  const since = unsealed === 0 ? "" : ` ${countText(unsealed, "entry", "entries")} came since, and will be sealed next.`;
  const gone = forgotten?.isMissed
    ? `\nOf those up to ${countOf(forgotten.upTo)} some are gone: ${forgotten.by} let go of them ${instantText(forgotten.at)} (${forgotten.why}).`
    : "";
  if (faults.length > 0) return `${faults.map((fault) => faultText(fault, place)).join("\n")}${gone}`;
  if (sealed === 0) return `No entry of the ledger${place} is sealed yet.${since}`;
  return `${countText(sealed, "entry", "entries")} of the ledger${place} as sealed, none changed, taken out or put in.${since}${gone}`;
}

function faultText({ from, to, what }: SealedLedger["faults"][number], place: string): string {
  const entries = from === to ? `Entry ${countOf(from)}` : `Entries ${countOf(from)}–${countOf(to)}`;
  return `${entries} of the ledger${place}: ${from === to ? what.replace("they were", "it was") : what}.`;
}

const countOf = (count: number) => count.toLocaleString("en-US");

function countText(count: number, one: string, many: string): string {
  return `${countOf(count)} ${count === 1 ? one : many}`;
}

async function showRefused(config: Config, { options }: CommandInput, { now, style, say }: CommandContext): Promise<CommandResult> {
  const since = options.since === undefined ? undefined : Date.parse(timeOption("since", String(options.since), now()));
  if (Number.isNaN(since)) throw new UsageError(`--since is "${options.since}", which is no day or instant.`);
  const books = await openArchive(config).catch((error: unknown) => {
    if (!(error instanceof PurserError)) throw error;
    say(`${error.message} Only what this gateway has itself is shown.`);
    return undefined;
  });
  const { store, close } = await openLedger(config, now, { archive: books?.archive });
  try {
    const most = since === undefined && options.all !== true ? SHOWN : Number.MAX_SAFE_INTEGER;
    const entries = await store.entries({ kinds: ["denied"], newest: true, most, ...(since !== undefined && { since }) });
    const refusals = entries.flatMap((entry) => (entry.kind === "denied" ? [entry] : []));
    const rows = refusals.map(({ seq, at, reservation, detail, reason, message, times = 1 }) => [
      `#${seq}`,
      formatInstant(at, "UTC"),
      reservation,
      whoseText(detail.subject),
      `${times === 1 ? "" : `${countOf(times)} times `}${reason}: ${message}`,
    ]);
    const json = refusals.map(({ seq, at, reservation, detail, reason, message, times = 1 }) => ({
      entry: seq,
      at: new Date(at).toISOString(),
      id: reservation,
      subject: detail.subject,
      reason,
      message,
      times,
    }));
    if (rows.length === 0) return { exit: 0, text: "No call was refused.", json };
    return { exit: 0, text: table(["Entry", "When", "Call", "Whose", "Why"].map(style.dim), rows, [0]), json };
  } finally {
    await close();
    await books?.close();
  }
}

function whoseText({ tags, ...attributes }: Subject): string {
  const pairs = Object.entries({ ...attributes, ...tags }).filter(([name]) => name !== "endpoint");
  return pairs.map(([name, value]) => `${name}=${value}`).join(" ");
}

interface Forgetting {
  readonly log: AuditLog;
  readonly config: Config;
  readonly day: string | undefined;
}

/** What is let go of was right until then: it is compared once more, and that it goes stays written. */
async function forget({ log, config, day = "" }: Forgetting, { options }: CommandInput, { now }: CommandContext): Promise<CommandResult> {
  if (!/^\d{4}-\d{2}(-\d{2})?$/.test(day) || Number.isNaN(Date.parse(day)))
    throw new UsageError("Say before which day, in UTC: purser audit forget 2025-11-01 --why TEXT");
  if (options.why === undefined) throw new UsageError("Say why: --why TEXT. It is kept in the audit log.");
  const books = await openArchive(config);
  if (!books) throw new PurserError("config_invalid", "Entries are let go of in PostgreSQL, and the configuration names none.");
  try {
    const [first] = await books.archive.entries({ since: Date.parse(day), most: 1 });
    const upTo = first ? first.seq - 1 : await books.archive.lastSeq();
    const sealed = await verifyLedgers(config, await log.lines(), now);
    if (!areRight(sealed)) return { exit: 1, text: `${ledgersText(sealed)}\nNothing may go before that is explained.`, json: sealed };
    if (sealed.ledgers.some((one) => one.sealed < upTo))
      return { exit: 1, text: `Entries up to ${countOf(upTo)} are not sealed yet: the gateway does so every five minutes.`, json: sealed };
    const ledger = ledgerName(config);
    if (upTo <= (forgottenOf(await log.lines(), ledger)?.upTo ?? 0)) return { exit: 0, text: "They may be missing already.", json: sealed };
    await log.write(forgetDeed({ ledger, upTo, by: `${userName()} on this machine`, why: String(options.why) }));
    const text = `Entries up to ${countOf(upTo)} are as they were sealed. They may be dropped in PostgreSQL, and the audit log says so.`;
    return { exit: 0, text, json: { ...sealed, forgotten_up_to: upTo } };
  } finally {
    await books.close();
  }
}
