import { suggestion } from "../../config/nearest-name.ts";
import { readConfig } from "../../config/read-config.ts";
import type { Command } from "../command.ts";
import { activeFolder } from "../demo-folder.ts";
import { PROGRAMS } from "../program-settings.ts";
import { readRunning } from "../running-gateway.ts";
import { UsageError } from "./outcome.ts";

const NAMES = Object.keys(PROGRAMS);
/** What stands for a key that nobody named. */
const NO_KEY = "pk-KEY";

export const env: Command = {
  name: "env",
  summary: "the lines that send a program's calls through the gateway",
  usage: `${NAMES.join("|")} [--key KEY] [--config FILE] [--data DIR]`,
  help: [
    "  --key KEY       the program's key; PURSER_KEY of the environment where it is left out",
    "  --config FILE   the configuration; purser.yaml in this folder where it is left out",
    "  --data DIR      the data folder of the gateway; the configuration's where it is left out",
    "",
    'Example: eval "$(purser env claude)" && claude',
  ].join("\n"),
  options: { key: { type: "string" }, config: { type: "string" }, data: { type: "string" } },
  async run({ positionals, options }, context) {
    const [name = ""] = positionals;
    const lines = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
    if (!lines || positionals.length > 1)
      throw new UsageError(`Say for which program: purser env ${NAMES.join("|")}.${name === "" ? "" : suggestion(name, NAMES)}`);
    const flags = { data: options.data as string | undefined };
    const config = readConfig({ file: options.config as string | undefined, environment: context.env, cwd: context.cwd, flags });
    const { host, port } = config.server;
    const url = readRunning(activeFolder(config.dataDir))?.url ?? `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    const known = (options.key as string | undefined) ?? context.env.PURSER_KEY;
    if (known === undefined) context.say(`No key is named: put one in the place of ${NO_KEY}. purser keys create --name ${name} makes it.`);
    const shell = lines(url, known ?? NO_KEY);
    return { exit: 0, text: shell.join("\n"), json: { program: name, url, lines: shell } };
  },
};
