import { PurserError } from "@purser/core";
import { AuditLog } from "../../audit-log/audit-log.ts";
import { nearestName, suggestion } from "../../config/nearest-name.ts";
import { readConfig } from "../../config/read-config.ts";
import { hashPassword, passwordProblem } from "../../people/password.ts";
import { People } from "../../people/people.ts";
import { attributesProblem, nameProblem, PERSON_ATTRIBUTES, PERSON_ROLES, type PersonRole } from "../../people/person.ts";
import { ACCESS_HELP, ACCESS_OPTIONS } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { activeFolder } from "../demo-folder.ts";
import { table } from "../table.ts";
import { readSecret, type SecretInput } from "../typed-secret.ts";
import { UsageError } from "./outcome.ts";

export const users: Command = {
  name: "users",
  summary: "people who sign in to the dashboard by name and password",
  usage: "create NAME --role ROLE | password NAME | remove NAME | list | hash",
  help: [
    "  create NAME       asks for a password, which is not shown; or takes the first line of what is piped in",
    "    --role ROLE       member: sees their own calls and costs; viewer: everything; admin: changes things too",
    "    --user NAME       whose calls a member sees; those of their own name where it is left out",
    "    --team TEAM       also --org, --product, --feature, --tier: which budgets a member sees besides",
    "  password NAME     asks for a new password, and ends the sessions that began with the old one",
    "  remove NAME       ends the sessions of a person, and lets them sign in no more",
    "  list              everybody, without passwords",
    "  hash              asks for a password and prints its hash, for login.people in purser.yaml",
    "",
    ACCESS_HELP,
    "",
    "Example: purser users create ann --role viewer",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    role: { type: "string" },
    ...Object.fromEntries(PERSON_ATTRIBUTES.map((attribute) => [attribute, { type: "string" } as const])),
  },
  wordsMost: 2,
  run: (input, context) => runUsers(input, context),
};

/** The same, with another place from which passwords come. */
export async function runUsers(input: CommandInput, context: CommandContext, stdin: SecretInput = process.stdin): Promise<CommandResult> {
  const [verb = "list", name] = input.positionals;
  const run = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (!run) throw new UsageError(`There is no \`purser users ${verb}\`.${suggestion(verb, Object.keys(VERBS))}`);
  const { cwd, env } = context;
  const flags = { data: input.options.data as string | undefined };
  const config = readConfig({ file: input.options.config as string | undefined, environment: env, cwd, flags });
  const directory = activeFolder(config.dataDir);
  const log = new AuditLog(directory, { now: context.now });
  return run({
    name,
    input,
    context,
    people: new People(directory, { configured: () => config.login.people, onError: (error) => context.say((error as Error).message) }),
    isConfigured: (one) => config.login.people.some((person) => person.name === one),
    note: async (what, details) => {
      await log.write({ by: `${env.USER ?? env.USERNAME ?? "somebody"} on this machine`, what, details });
    },
    password: async () => {
      const password = await readSecret(stdin, (text) => process.stderr.write(text));
      const problem = passwordProblem(password);
      if (problem !== undefined) throw new PurserError("body_invalid", `This password will not do. ${problem}`);
      return hashPassword(password);
    },
  });
}

interface UsersParts {
  readonly name: string | undefined;
  readonly input: CommandInput;
  readonly context: CommandContext;
  readonly people: People;
  isConfigured(name: string): boolean;
  note(what: string, details: Readonly<Record<string, unknown>>): Promise<void>;
  /** The hash of the password that is typed. */
  password(): Promise<string>;
}

const VERBS: Readonly<Record<string, (parts: UsersParts) => Promise<CommandResult>>> = { create, password, remove, list, hash };

async function create(parts: UsersParts): Promise<CommandResult> {
  const { people, input, note } = parts;
  const name = namedIn(parts, "create");
  const problem = nameProblem(name);
  if (problem !== undefined) throw new UsageError(problem);
  if (people.find(name)) throw new UsageError(`There is a person named "${name}" already. Another password: purser users password ${name}`);
  const role = roleIn(input);
  const attributes = Object.fromEntries(
    PERSON_ATTRIBUTES.flatMap((one) => (input.options[one] === undefined ? [] : [[one, String(input.options[one])]])),
  );
  const pattern = attributesProblem(attributes);
  if (pattern !== undefined) throw new UsageError(pattern);
  await people.put({ name, role, attributes, password: await parts.password() });
  await note("person.created", { name, role, attributes });
  const text = `${name} signs in as ${role} with this password from now on. While there was nobody and no key, everybody on this machine was the owner: that is over.`;
  return { exit: 0, text, json: { name, role, attributes } };
}

async function password(parts: UsersParts): Promise<CommandResult> {
  const { people, note } = parts;
  const name = namedIn(parts, "password");
  const person = knownIn(parts, name);
  await people.put({ ...person, password: await parts.password() });
  await note("person.password_changed", { name });
  return { exit: 0, text: `${name} has a new password, and has to sign in with it.`, json: { name } };
}

async function remove(parts: UsersParts): Promise<CommandResult> {
  const { people, note } = parts;
  const name = namedIn(parts, "remove");
  knownIn(parts, name);
  await people.remove(name);
  await note("person.removed", { name });
  return { exit: 0, text: `${name} cannot sign in any more, and is signed out.`, json: { name } };
}

async function list({ people, isConfigured, context: { style } }: UsersParts): Promise<CommandResult> {
  const all = people.list().map(({ name, role, attributes }) => ({ name, role, attributes, configured: isConfigured(name) }));
  if (all.length === 0)
    return { exit: 0, text: "Nobody signs in by name. Make somebody: purser users create NAME --role viewer", json: all };
  const rows = all.map(({ name, role, attributes, configured }) => [
    style.bold(name),
    role,
    Object.entries(attributes)
      .map(([path, value]) => `${path}=${value}`)
      .join(" "),
    configured ? "purser.yaml" : "purser users",
  ]);
  return { exit: 0, text: table(["Name", "Role", "Attributes", "From"].map(style.dim), rows), json: all };
}

async function hash(parts: UsersParts): Promise<CommandResult> {
  const hashed = await parts.password();
  return { exit: 0, text: hashed, json: { password: hashed } };
}

function namedIn({ name }: UsersParts, verb: string): string {
  if (name !== undefined) return name;
  throw new UsageError(`Say who: purser users ${verb} NAME`);
}

function knownIn({ people, isConfigured }: UsersParts, name: string) {
  if (isConfigured(name)) throw new UsageError(`${name} stands in login.people of purser.yaml: change it there.`);
  const person = people.find(name);
  if (person) return person;
  const nearest = nearestName(
    name,
    people.list().map((one) => one.name),
  );
  throw new UsageError(`There is no person "${name}".${nearest === undefined ? "" : ` Did you mean "${nearest}"?`}`);
}

function roleIn({ options: { role } }: CommandInput): PersonRole {
  const known = PERSON_ROLES.find((one) => one === role);
  if (known) return known;
  const list = PERSON_ROLES.join(", ");
  throw new UsageError(
    role === undefined ? `Say what they may do: --role ${list}` : `There is no role "${String(role)}". Roles are ${list}.`,
  );
}
