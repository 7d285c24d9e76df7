import type { HandoverJson, HandoverListJson, OneHandoverJson, WholeHandoverJson } from "../../admin/handover-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandInput, CommandResult } from "../command.ts";
import { shortInstant } from "../instants.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { userName } from "../user-name.ts";
import { UsageError } from "./outcome.ts";

const VERBS = ["show", "take", "answer", "return"] as const;
type Verb = (typeof VERBS)[number];

export const handovers: Command = {
  name: "handovers",
  summary: "conversations that people go on with: who waits, what was said; take one, answer it, give it back",
  usage: "[--all | show ID | take ID [--over] | answer ID TEXT [--return] | return ID] [--by NAME]",
  help: [
    "  (nothing)       those that are open, whoever waits longest first; with --all, those that were given back too",
    "  show ID         what was said, where the ladder says that it is kept, and what was answered",
    "  take ID         you go on with it; from somebody who has it, with --over",
    "  answer ID TEXT  the next call of the conversation gets the text; with --return, those after it go on as before",
    "  return ID       gives it back: its calls go on as before",
    "  --by NAME       who does it; you where it is left out",
    ACCESS_HELP,
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    all: { type: "boolean" },
    over: { type: "boolean" },
    return: { type: "boolean" },
    by: { type: "string" },
  },
  async run(input, context) {
    const [verb, id, ...words] = input.positionals;
    if (verb !== undefined && !isVerb(verb)) throw new UsageError(`There is no \`purser handovers ${verb}\`.`);
    if (verb !== undefined && id === undefined)
      throw new UsageError(`Say which: purser handovers ${verb} handover_…. \`purser handovers\` lists them.`);
    if (verb === "answer" && words.join(" ").trim() === "")
      throw new UsageError('Say what the conversation gets: purser handovers answer handover_… "TEXT"');
    const access = await openAdminAccess(input, context);
    try {
      if (verb === undefined || id === undefined) {
        const query = input.options.all === true ? "?all=true" : "";
        return listed((await access.ask("GET", `/api/handovers${query}`)) as HandoverListJson, context.style);
      }
      const path = `/api/handovers/${encodeURIComponent(id)}`;
      if (verb === "show") return shown((await access.ask("GET", path)) as WholeHandoverJson, context.style);
      return done((await change(access, { verb, path, text: words.join(" ") }, input)) as OneHandoverJson);
    } finally {
      await access.close();
    }
  },
};

function isVerb(word: string): word is Verb {
  return (VERBS as readonly string[]).includes(word);
}

interface Change {
  readonly verb: Exclude<Verb, "show">;
  readonly path: string;
  readonly text: string;
}

function change({ ask }: AdminAccess, { verb, path, text }: Change, { options }: CommandInput): Promise<unknown> {
  const by = options.by ?? userName();
  if (verb === "take") return ask("POST", `${path}/take`, { by, over: options.over === true });
  return verb === "answer"
    ? ask("POST", `${path}/answer`, { by, text, return: options.return === true })
    : ask("POST", `${path}/return`, { by });
}

function done(handover: OneHandoverJson): CommandResult {
  const { id, status, budget, hands_over_again } = handover;
  const again =
    status === "returned" && hands_over_again
      ? `\nIts budget has nothing for it yet: its next call is handed over anew. To let a model go on, give more of "${budget}" (purser grant).`
      : "";
  return { exit: 0, text: `${id}: ${standing(handover)}${again}`, json: handover };
}

function listed(all: HandoverListJson, style: Style): CommandResult {
  const { data, total } = all;
  if (total === 0) return { exit: 0, text: "No conversation is with a person.", json: all };
  const rows = data.map((one) => [one.id, style.bold(whose(one)), one.budget, shortInstant(one.opened_at), standing(one)]);
  const text = table(["Id", "Whose", "Budget", "Since (UTC)", "Stands"].map(style.dim), rows);
  const more = total > data.length ? `\n\nand ${total - data.length} more.` : "";
  return { exit: 0, text: text + more, json: all };
}

function shown(handover: WholeHandoverJson, style: Style): CommandResult {
  const { id, why, conversation, answers, calls, kept_until } = handover;
  const said = (conversation ?? []).map(({ by, text }) => quoted(style.bold(by), text));
  const answered = answers.map(({ by, answered_at, given_at, text }) => {
    const got = given_at === null ? "not read yet" : `read ${shortInstant(given_at)}`;
    return quoted(`${style.bold(printable(by))} ${style.dim(`${shortInstant(answered_at)}, ${got}`)}`, text ?? "(not kept)");
  });
  const kept = kept_until === null ? "What was said is not kept." : `What was said is kept until ${shortInstant(kept_until)} (UTC).`;
  const head = `${id}: ${standing(handover)}\n${printable(whose(handover))}: ${calls} ${calls === 1 ? "call" : "calls"}. ${why}\n${kept}`;
  const parts = [head, ...said, ...(answered.length > 0 ? [style.dim("Answers"), ...answered] : [])];
  return { exit: 0, text: parts.join("\n\n"), json: handover };
}

function quoted(who: string, text: string): string {
  return `${who}\n${printable(text).replace(/^/gm, "  ")}`;
}

/** What people write must not steer a terminal. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, "");
}

/** `session=s-1, user=ann` */
function whose({ subject: { tags, ...attributes }, key }: HandoverJson): string {
  const named = Object.entries({
    ...attributes,
    ...Object.fromEntries(Object.entries(tags ?? {}).map(([name, value]) => [`tag.${name}`, value])),
  }).filter(([name]) => name !== "key");
  if (named.length > 0) return named.map(([name, value]) => `${name}=${value}`).join(", ");
  return key === null ? "the owner" : `key ${key}`;
}

function standing({ status, taken_by, returned_by, returned_at, waiting_since, waiting_answers }: HandoverJson): string {
  if (status === "returned") return printable(`given back by ${returned_by} ${shortInstant(returned_at ?? "")}`);
  const who = status === "taken" ? `with ${taken_by}` : "with nobody";
  const reads = waiting_answers > 0 ? "answered, not read yet" : "answered";
  return printable(`${who}, ${waiting_since === null ? reads : `waits since ${shortInstant(waiting_since)}`}`);
}
