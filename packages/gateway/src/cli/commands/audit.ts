import { AuditLog } from "../../audit-log/audit-log.ts";
import type { AuditLine, Head, Verified } from "../../audit-log/chain.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, dataFolder } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

const SHOWN = 40;

export const audit: Command = {
  name: "audit",
  summary: "who changed what, and whether that was altered since",
  usage: "[--all] | verify [--head N:HASH]",
  help: [
    "Reads the audit log of the data folder, whether a gateway runs or not: changes, grants, refused access, starts and stops.",
    "What was asked for and what became of it are two lines of the log, and are shown in one row.",
    "",
    `  --all             every line; the newest ${SHOWN} where it is left out`,
    "  verify            looks for lines that were changed, taken out, moved or cut off; exit code 1 where there are any",
    "    --head N:HASH     the end of the log as you noted it elsewhere: what `purser audit verify` said before",
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, all: { type: "boolean" }, head: { type: "string" } },
  wordsMost: 1,
  async run(input, context) {
    const [verb] = input.positionals;
    if (verb !== undefined && verb !== "verify")
      throw new UsageError(`There is no \`purser audit ${verb}\`.${suggestion(verb, ["verify"])}`);
    const log = new AuditLog(dataFolder(input, context));
    return verb === "verify" ? verify(log, input.options.head as string | undefined) : show(log, input, context);
  },
};

async function show(log: AuditLog, { options }: CommandInput, { style }: CommandContext): Promise<CommandResult> {
  const lines = await log.lines();
  const shown = options.all === true ? lines : lines.slice(-SHOWN);
  const outcomes = new Map(lines.flatMap((line) => (line.of === undefined ? [] : [[line.of, line]])));
  const rows = shown
    .filter(({ of }) => of === undefined)
    .map((line) => [
      numbersText(line, outcomes.get(line.n)),
      `${line.at.slice(0, 19).replace("T", " ")} UTC`,
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

async function verify(log: AuditLog, noted: string | undefined): Promise<CommandResult> {
  const verified = await log.verify(noted === undefined ? undefined : headOf(noted));
  return { exit: verified.faults.length > 0 ? 1 : 0, text: verifiedText(verified), json: verified };
}

function headOf(text: string): Head {
  const [, n, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (hash === undefined) throw new UsageError("--head is written N:HASH, as `purser audit verify` prints it.");
  return { n: Number(n), hash };
}

function verifiedText({ head, faults, isTorn }: Verified): string {
  const torn = isTorn ? "\nIts last line was cut off by a crash before anybody was told that it is written. The next one repairs it." : "";
  if (faults.length > 0) return `${faults.map(({ line, what }) => `Line ${line} ${what}.`).join("\n")}${torn}`;
  return `${head.n} lines, none of them changed, missing or moved.${torn}\nNote this elsewhere, and a log that is written anew will be noticed too: --head ${head.n}:${head.hash}`;
}
