import { KEY_ATTRIBUTES, type KeyJson } from "../../admin/key-json.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { instantOf } from "../instants.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

export const keys: Command = {
  name: "keys",
  summary: "make, list and revoke the keys of your callers",
  usage: "create --name NAME [options] | list | revoke ID",
  help: [
    "  create            makes a key and shows its secret, once",
    "    --name NAME       what it is for",
    "    --team TEAM       what all its calls are charged to; also --org, --product,",
    "                      --feature, --user, --tier, --session, --task",
    "    --tag NAME=VALUE  the same for a tag; may be repeated",
    "    --may-set LIST    what its holder may add by headers: user,session,tag.*",
    "    --expires WHEN    30d, 12h, 18:00 or a date; never where it is left out",
    "    --role ROLE       caller (where it is left out): makes calls; member: also sees its own calls and costs on /api;",
    "                      viewer: sees all of /api and makes no calls; admin: changes things there too",
    "    --admin           the same as --role admin",
    "  list              every key, without its secret",
    "  revoke ID         ends a key at once",
    "",
    ACCESS_HELP,
    "",
    "Example: purser keys create --name chatbot --feature chatbot --may-set user,session",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    name: { type: "string" },
    ...Object.fromEntries(KEY_ATTRIBUTES.map((attribute) => [attribute, { type: "string" } as const])),
    tag: { type: "string", multiple: true },
    "may-set": { type: "string", multiple: true },
    expires: { type: "string" },
    role: { type: "string" },
    admin: { type: "boolean" },
  },
  wordsMost: 2,
  async run(input, context) {
    const [verb = "list", ...rest] = input.positionals;
    const run = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
    if (!run) throw new UsageError(`There is no \`purser keys ${verb}\`.${suggestion(verb, Object.keys(VERBS))}`);
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      return await run(access, rest, input, context);
    } finally {
      await access.close();
    }
  },
};

type Verb = (access: AdminAccess, rest: readonly string[], input: CommandInput, context: CommandContext) => Promise<CommandResult>;
const VERBS: Readonly<Record<string, Verb>> = { create, list, revoke };

async function create(
  access: AdminAccess,
  _rest: readonly string[],
  { options }: CommandInput,
  { style, now }: CommandContext,
): Promise<CommandResult> {
  if (options.name === undefined) throw new UsageError("Give the key a name: purser keys create --name chatbot");
  const wasOpen = ((await access.ask("GET", "/api/keys")) as { data: readonly KeyJson[] }).data.length === 0;
  const body = {
    name: options.name,
    attributes: attributesOf(options),
    may_set: listOf(options["may-set"]),
    role: options.role ?? (options.admin === true ? "admin" : "caller"),
    ...(options.expires !== undefined && { expires_at: new Date(instantOf(String(options.expires), now())).toISOString() }),
  };
  const key = (await access.ask("POST", "/api/keys", body)) as KeyJson & { secret: string };
  const text = [
    `${style.bold(key.secret)}`,
    "",
    `Key "${key.name}" (${key.id}). The secret above is shown this once; Purser keeps only its hash.`,
    `Charged to: ${attributesText(key) || "nobody in particular"}.${key.may_set.length > 0 ? ` May set: ${key.may_set.join(", ")}.` : ""} ${expiryText(key, now())}`,
    ...(wasOpen ? ["From now on every call needs a key: until the first one, everybody on this machine was the owner."] : []),
  ].join("\n");
  return { exit: 0, text, json: key };
}

async function list(
  access: AdminAccess,
  _rest: readonly string[],
  _input: CommandInput,
  { style, now }: CommandContext,
): Promise<CommandResult> {
  const { data } = (await access.ask("GET", "/api/keys")) as { data: readonly KeyJson[] };
  if (data.length === 0) return { exit: 0, text: "There are no keys. Make one: purser keys create --name NAME", json: data };
  const rows = data.map((key) => [
    style.bold(key.id),
    key.name,
    key.role,
    attributesText(key),
    key.may_set.join(", "),
    expiryText(key, now()),
  ]);
  return { exit: 0, text: table(["Id", "Name", "Role", "Charged to", "May set", "Ends"].map(style.dim), rows), json: data };
}

async function revoke(access: AdminAccess, rest: readonly string[]): Promise<CommandResult> {
  const [id] = rest;
  if (id === undefined) throw new UsageError("Say which key: purser keys revoke key_… (`purser keys list` shows them)");
  const json = await access.ask("DELETE", `/api/keys/${encodeURIComponent(id)}`);
  return { exit: 0, text: `Revoked ${id}. It is refused from now on.`, json };
}

function attributesOf(options: CommandInput["options"]): Record<string, unknown> {
  const attributes = KEY_ATTRIBUTES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]] as const]));
  const tags = ((options.tag ?? []) as readonly string[]).map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`A tag is written NAME=VALUE, not "${pair}".`);
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  return { ...Object.fromEntries(attributes), ...(tags.length > 0 && { tags: Object.fromEntries(tags) }) };
}

function listOf(option: CommandInput["options"][string]): readonly string[] {
  return ((option ?? []) as readonly string[]).flatMap((text) => text.split(",")).flatMap((part) => part.trim() || []);
}

function attributesText({ attributes }: KeyJson): string {
  const { tags = {}, ...own } = attributes;
  return [...Object.entries(own), ...Object.entries(tags).map(([name, value]) => [`tag.${name}`, value])]
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function expiryText({ expires_at }: KeyJson, now: number): string {
  if (expires_at === null) return "Never ends.";
  return `${Date.parse(expires_at) <= now ? "Ended" : "Ends"} ${expires_at.slice(0, 16).replace("T", " ")} UTC.`;
}
