import type { WaitingCallJson } from "../../admin/queue-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandInput, CommandResult } from "../command.ts";
import { shortInstant } from "../instants.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { userName } from "../user-name.ts";
import { UsageError } from "./outcome.ts";

interface QueueJson {
  readonly data: readonly WaitingCallJson[];
  readonly total: number;
}

export const queue: Command = {
  name: "queue",
  summary: "calls that wait for their budgets: which, whose, until when; make them now, or call them off",
  usage: "[run ID … | off ID …] [--why TEXT]",
  help: [
    "  (nothing)       what waits, the next one first, and what has ended and was not fetched",
    "  run ID          lets a call ask its budget now; several may be given",
    "  off ID          calls it off: whoever comes for its answer is told why",
    "  --why TEXT      the reason, for the caller and the record",
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, why: { type: "string" } },
  async run(input, context) {
    const [verb, ...ids] = input.positionals;
    if (verb !== undefined && verb !== "run" && verb !== "off") throw new UsageError(`There is no \`purser queue ${verb}\`.`);
    if (verb !== undefined && ids.length === 0)
      throw new UsageError(`Say which: purser queue ${verb} queued_…. \`purser queue\` lists them.`);
    const access = await openAdminAccess(input, context);
    try {
      if (verb === undefined) return listed((await access.ask("GET", "/api/queue")) as QueueJson, context.style);
      return await change(access, verb, ids, input);
    } finally {
      await access.close();
    }
  },
};

async function change(
  { ask }: AdminAccess,
  verb: "run" | "off",
  ids: readonly string[],
  { options }: CommandInput,
): Promise<CommandResult> {
  const query = new URLSearchParams({ by: userName(), ...(options.why !== undefined && { why: String(options.why) }) });
  const changed: WaitingCallJson[] = [];
  for (const id of ids) {
    const path = `/api/queue/${encodeURIComponent(id)}`;
    changed.push((await (verb === "run" ? ask("POST", `${path}/run?${query}`) : ask("DELETE", `${path}?${query}`))) as WaitingCallJson);
  }
  return { exit: 0, text: changed.map((call) => `${call.id}: ${standing(call)}`).join("\n"), json: changed };
}

function listed(queue: QueueJson, style: Style): CommandResult {
  const { data, total } = queue;
  if (total === 0) return { exit: 0, text: "No call waits.", json: queue };
  const rows = data.map((call) => [call.id, style.bold(whose(call)), call.rung, call.path, shortInstant(call.queued_at), standing(call)]);
  const text = table(["Id", "Whose", "Why", "Path", "Since (UTC)", "Stands"].map(style.dim), rows);
  const more = total > data.length ? `\n\nand ${total - data.length} more.` : "";
  return { exit: 0, text: text + more, json: queue };
}

/** `feature=nightly, user=ann` */
function whose({ subject: { tags, ...attributes }, key }: WaitingCallJson): string {
  const named = Object.entries({
    ...attributes,
    ...Object.fromEntries(Object.entries(tags ?? {}).map(([name, value]) => [`tag.${name}`, value])),
  });
  if (named.length > 0) return named.map(([name, value]) => `${name}=${value}`).join(", ");
  return key === null ? "the owner" : `key ${key}`;
}

function standing({ status, runs_at, kept_until, answered, failure }: WaitingCallJson): string {
  if (status === "queued") return `asks at ${shortInstant(runs_at)}`;
  if (status === "done") return `answered ${answered}, kept until ${shortInstant(kept_until)}`;
  return status === "failed" ? `failed: ${failure}` : status;
}
