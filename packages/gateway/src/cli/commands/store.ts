import { PurserError } from "@purser/core";
import { type Config, sharedLedger } from "../../config/config.ts";
import { readConfig } from "../../config/read-config.ts";
import { hostOf } from "../../redis-client.ts";
import { openRedisStore } from "../../store.ts";
import type { Command, CommandResult } from "../command.ts";
import { UsageError } from "./outcome.ts";

export const store: Command = {
  name: "store",
  summary: "audit the Redis that gateways share, or accept what it has lost",
  usage: "audit | accept-loss",
  help: [
    "  audit           compares every balance with the sum of its entries in the ledger",
    "  accept-loss     goes on with what is left, when Redis has lost entries that it had acknowledged.",
    "                  What was lost stays uncounted, and the ledger says so.",
    "",
    "  --config FILE   the configuration; purser.yaml in this folder where it is left out",
    "  --json          the same for programs",
  ].join("\n"),
  options: { config: { type: "string" } },
  async run({ positionals, options }, { env, cwd, say }) {
    const [work] = positionals;
    if (work !== "audit" && work !== "accept-loss") throw new UsageError("Say what to do: purser store audit, or purser store accept-loss");
    const config = readConfig({ file: options.config as string | undefined, environment: env, cwd });
    const { redis } = config.store;
    if (!redis)
      throw new PurserError(
        "config_invalid",
        "The configuration names no Redis. This command is for the store that several gateways share.",
      );
    const books = await openBooksOf(config);
    const opened = await openRedisStore(config, { archive: books?.archive, onNotice: say });
    try {
      return work === "audit" ? await audit(opened) : await acceptLoss(opened, redis.map(hostOf).join(", "));
    } finally {
      await opened.close();
      await books?.close();
    }
  },
};

/** What Redis has lost may be there. */
async function openBooksOf({ store: { postgres, ...shared }, dataDir }: Config) {
  if (postgres === undefined) return undefined;
  const { openBooks } = await import("../../books.ts");
  return openBooks({ url: postgres, ledger: sharedLedger(shared) ?? "", directory: dataDir, patienceMs: 0 });
}

type Opened = Awaited<ReturnType<typeof openRedisStore>>;

async function audit(opened: Opened): Promise<CommandResult> {
  const mismatches = await opened.audit();
  const lines = mismatches.map(
    ({ key, balance, ledger }) =>
      `${key}: the balance has ${balance.spent} spent and ${balance.held} held, its entries ${ledger.spent} and ${ledger.held}`,
  );
  const text = mismatches.length === 0 ? "Every balance is the sum of its entries." : lines.join("\n");
  return { exit: mismatches.length === 0 ? 0 : 1, text, json: { mismatches } };
}

async function acceptLoss(opened: Opened, where: string): Promise<CommandResult> {
  const loss = await opened.acceptLoss();
  if (!loss) return { exit: 1, text: `Nothing is known to be lost at ${where}. Nothing was changed.`, json: { loss: null } };
  const text = `Of at least ${loss.seen} entries ${loss.left} were left at ${where}. Gateways go on from there, and what was lost stays uncounted.`;
  return { exit: 0, text, json: { loss } };
}
