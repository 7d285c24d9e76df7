import { ATTRIBUTES } from "@purser/core";
import type { SwitchJson } from "../../admin/switch-json.ts";
import { selectionPhrase } from "../../config/sentence.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { instantOf } from "../instants.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { userName } from "../user-name.ts";
import { UsageError } from "./outcome.ts";

const SELECTOR_OPTIONS = {
  ...Object.fromEntries(ATTRIBUTES.map((attribute) => [attribute, { type: "string", multiple: true } as const])),
  tag: { type: "string", multiple: true },
  all: { type: "boolean" },
} as const;

const SELECTOR_HELP = [
  "  --feature NAME  what is meant; also --model, --provider, --key, --user, --team, --org,",
  "                  --product, --tier, --session, --task, --endpoint. Several hold together;",
  "                  one that is repeated means any of its values; * stands for anything",
  "  --tag N=VALUE   the same for a tag",
  "  --all           every call",
];

export const off: Command = {
  name: "off",
  summary: "switch a feature, model, key, user or anything else off, at once",
  usage: "--feature NAME … --why TEXT [--until WHEN]",
  help: [
    "New calls are refused, and running streams end within a second, as if their output cap had been reached.",
    "",
    ...SELECTOR_HELP,
    "  --why TEXT      the reason; whoever is refused reads it",
    "  --until WHEN    2h, 18:00 or a date, and then they pass again; until `purser on` where it is left out",
    ACCESS_HELP,
    "",
    'Example: purser off --feature chatbot --why "bug 123" --until 2h',
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...SELECTOR_OPTIONS, why: { type: "string" }, until: { type: "string" } },
  async run(input, context) {
    const { why, until } = input.options;
    if (why === undefined) throw new UsageError('Say why: --why "bug 123". Whoever is refused reads it.');
    const body = {
      for: selectorOf(input.options),
      why,
      by: userName(),
      ...(until !== undefined && { until: new Date(instantOf(String(until), context.now())).toISOString() }),
    };
    return withAccess(input, context, async (ask, isRunning) => {
      const thrown = (await ask("POST", "/api/switches", body)) as SwitchJson;
      const what = capitalized(selectionPhrase(thrown.for));
      const when = isRunning ? "are refused from now on" : "will be refused when the gateway runs";
      return { exit: 0, text: `${what} ${when}${untilText(thrown)}. On again: purser on ${thrown.id}`, json: thrown };
    });
  },
};

export const on: Command = {
  name: "on",
  summary: "let calls pass again that were switched off",
  usage: "ID | --feature NAME … [--why TEXT]",
  help: [
    "  ID              the switch: sw_…, as `purser switches` shows it; or what it was switched off for:",
    ...SELECTOR_HELP,
    "  --why TEXT      the reason, for the record",
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...SELECTOR_OPTIONS, why: { type: "string" } },
  async run(input, context) {
    const { positionals, options } = input;
    return withAccess(input, context, async (ask) => {
      const { data } = (await ask("GET", "/api/switches")) as { data: readonly SwitchJson[] };
      const wanted = positionals.length > 0 ? undefined : JSON.stringify(sorted(selectorOf(options)));
      const ids = wanted === undefined ? positionals : data.filter((one) => JSON.stringify(sorted(one.for)) === wanted).map(({ id }) => id);
      if (ids.length === 0)
        return { exit: 1, text: "Nothing is switched off for exactly that. `purser switches` shows what is.", json: [] };
      const query = new URLSearchParams({ by: userName(), ...(options.why !== undefined && { why: String(options.why) }) });
      const ended: SwitchJson[] = [];
      for (const id of ids) ended.push((await ask("DELETE", `/api/switches/${encodeURIComponent(id)}?${query}`)) as SwitchJson);
      const text = ended.map((one) => `${capitalized(selectionPhrase(one.for))} pass again.`).join("\n");
      return { exit: 0, text, json: ended };
    });
  },
};

export const switches: Command = {
  name: "switches",
  summary: "what is switched off, by whom, why and until when",
  usage: "[--all]",
  help: ["  --all           those too that are over", ACCESS_HELP].join("\n"),
  options: { ...ACCESS_OPTIONS, all: { type: "boolean" } },
  async run(input, context) {
    return withAccess(input, context, async (ask) => {
      const query = input.options.all === true ? "?all=true" : "";
      const { data } = (await ask("GET", `/api/switches${query}`)) as { data: readonly SwitchJson[] };
      if (data.length === 0) return { exit: 0, text: "Nothing is switched off.", json: data };
      return { exit: 0, text: switchesText(data, context.style), json: data };
    });
  },
};

type Ask = (method: "GET" | "POST" | "DELETE", target: string, body?: unknown) => Promise<unknown>;

async function withAccess(
  input: CommandInput,
  context: CommandContext,
  run: (ask: Ask, isRunning: boolean) => Promise<CommandResult>,
): Promise<CommandResult> {
  const access = await openAdminAccess(input, context);
  try {
    return await run(access.ask, access.url !== undefined);
  } finally {
    await access.close();
  }
}

/** What the options name, in the words of a budget's `for:`. */
function selectorOf(options: CommandInput["options"]): Record<string, string | readonly string[]> {
  const selector: Record<string, string | readonly string[]> = {};
  const add = (path: string, values: readonly string[]) => {
    selector[path] = values.length === 1 ? (values[0] as string) : values;
  };
  for (const attribute of ATTRIBUTES) {
    const values = options[attribute] as readonly string[] | undefined;
    if (values) add(attribute, values);
  }
  const tags = new Map<string, string[]>();
  for (const pair of (options.tag ?? []) as readonly string[]) {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`A tag is written NAME=VALUE, not "${pair}".`);
    const name = pair.slice(0, at).trim();
    tags.set(name, [...(tags.get(name) ?? []), pair.slice(at + 1).trim()]);
  }
  for (const [name, values] of tags) add(`tag.${name}`, values);
  const isEmpty = Object.keys(selector).length === 0;
  if (isEmpty && options.all !== true)
    throw new UsageError("Say what is meant: --feature chatbot, --model gpt-4o, or --all for every call.");
  if (!isEmpty && options.all === true) throw new UsageError("--all means every call. Leave it out, or the other options.");
  return selector;
}

function sorted(selector: SwitchJson["for"]): unknown {
  return Object.entries(selector)
    .map(([path, wanted]) => [path, [wanted ?? []].flat().toSorted()])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

function switchesText(all: readonly SwitchJson[], style: Style): string {
  const rows = all.map((one) => {
    const { id, for: selector, at, by, why, until, ended } = one;
    const end = ended
      ? `switched on ${shortInstant(ended.at)} by ${ended.by}${ended.why === "" ? "" : `: ${ended.why}`}`
      : until === null
        ? "until it is switched on"
        : `until ${shortInstant(until)}`;
    return [style.bold(id), selectionPhrase(selector), shortInstant(at), by, why, end];
  });
  return table(["Id", "Off", "Since (UTC)", "By", "Why", "Until (UTC)"].map(style.dim), rows);
}

function untilText({ until }: SwitchJson): string {
  return until === null ? "" : ` until ${shortInstant(until)} UTC`;
}

function shortInstant(text: string): string {
  return text.slice(0, 16).replace("T", " ");
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
