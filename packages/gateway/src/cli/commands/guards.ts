import { PurserError } from "@purser/core";
import type { GuardJson } from "../../admin/guard-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandInput, CommandResult } from "../command.ts";
import { shortInstant } from "../instants.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { userName } from "../user-name.ts";
import { UsageError } from "./outcome.ts";

export const guards: Command = {
  name: "guards",
  summary: "which guards stand against calls now, against whose and why; and let go of them",
  usage: "[reset ID … | reset --all] [--why TEXT]",
  help: [
    "  (nothing)       what stands: since when, until when, and what callers are told",
    "  reset ID        lets calls pass before the time: trip_…; several may be given",
    "  reset --all     the same for all that stand",
    "  --why TEXT      the reason, for the record",
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, all: { type: "boolean" }, why: { type: "string" } },
  async run(input, context) {
    const [verb, ...ids] = input.positionals;
    const isAll = input.options.all === true;
    if (verb !== undefined && verb !== "reset") throw new UsageError(`There is no \`purser guards ${verb}\`.`);
    if (verb === "reset" && isAll === ids.length > 0)
      throw new UsageError("Say which: purser guards reset trip_…, or --all. `purser guards` lists them.");
    const access = await openAdminAccess(input, context);
    try {
      const standing = async () => ((await access.ask("GET", "/api/guards")) as { data: readonly GuardJson[] }).data;
      if (verb === undefined) return listed(await standing(), context.style);
      return await reset(access, isAll ? (await standing()).map(({ id }) => id) : ids, input);
    } finally {
      await access.close();
    }
  },
};

async function reset({ ask }: AdminAccess, ids: readonly string[], { options }: CommandInput): Promise<CommandResult> {
  const query = new URLSearchParams({ by: userName(), ...(options.why !== undefined && { why: String(options.why) }) });
  const ended: GuardJson[] = [];
  for (const id of ids) {
    try {
      ended.push((await ask("DELETE", `/api/guards/${encodeURIComponent(id)}?${query}`)) as GuardJson);
    } catch (error) {
      // Of all that stood, one may have let go by itself meanwhile.
      const isOver = options.all === true && error instanceof PurserError && error.code === "guard_unknown";
      if (!isOver) throw error;
    }
  }
  if (ended.length === 0) return { exit: 0, text: NOTHING, json: ended };
  return { exit: 0, text: ended.map((one) => `${nameOf(one)}: ${one.guard} let go.`).join("\n"), json: ended };
}

const NOTHING = "No guard stands against anything.";

function listed(guards: readonly GuardJson[], style: Style): CommandResult {
  if (guards.length === 0) return { exit: 0, text: NOTHING, json: guards };
  const rows = guards.map((one) => [
    one.id,
    style.bold(nameOf(one)),
    one.guard,
    one.does.length === 0 ? "nothing" : one.does.join(", "),
    shortInstant(one.at),
    shortInstant(one.until),
  ]);
  const messages = guards.map(({ id, message }) => `${id}: ${message}`);
  const text = table(["Id", "Budget", "Guard", "Does", "Since (UTC)", "Until (UTC)"].map(style.dim), rows);
  return { exit: 0, text: `${text}\n\n${messages.join("\n")}`, json: guards };
}

/** `agents (session=42)` */
function nameOf({ budget, subject }: GuardJson): string {
  return subject === "" ? budget : `${budget} (${subject})`;
}
