import type { ChannelJson, DeliveryJson } from "../../admin/channel-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandResult } from "../command.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

export const tell: Command = {
  name: "tell",
  summary: "where people are told, what they were told, and a test of it",
  usage: "[test CHANNEL | log]",
  help: [
    "  (nothing)       every channel, and how its last delivery ended",
    "  test CHANNEL    tells the channel that this is a test; exit code 1 where that fails",
    "  log             the latest tries to deliver a notice",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  async run(input, context) {
    const [verb, name] = input.positionals;
    if (verb !== undefined && verb !== "test" && verb !== "log") throw new UsageError(`There is no \`purser tell ${verb}\`.`);
    if (verb === "test" && name === undefined) throw new UsageError("Say which channel: purser tell test slack");
    const access = await openAdminAccess(input, context);
    try {
      if (verb === "test")
        return tested((await access.ask("POST", `/api/channels/${encodeURIComponent(name ?? "")}/test`)) as DeliveryJson);
      if (verb === "log")
        return deliveriesText(((await access.ask("GET", "/api/deliveries")) as { data: readonly DeliveryJson[] }).data, context);
      return channelsText(((await access.ask("GET", "/api/channels")) as { data: readonly ChannelJson[] }).data, context);
    } finally {
      await access.close();
    }
  },
};

function tested(delivery: DeliveryJson): CommandResult {
  const { channel, error } = delivery;
  const text = error === null ? `Told ${channel} that this is a test.` : `${channel} could not be told: ${error}.`;
  return { exit: error === null ? 0 : 1, text, json: delivery };
}

function channelsText(channels: readonly ChannelJson[], { style }: CommandContext): CommandResult {
  if (channels.length === 0) return { exit: 0, text: "There are no channels. They stand in purser.yaml under `channels`.", json: channels };
  const rows = channels.map(({ name, kind, waiting, last }) => [
    style.bold(name),
    kind,
    String(waiting),
    last === null ? "" : shortInstant(last.at),
    last === null ? "nothing yet" : `${last.title}: ${outcomeText(last)}`,
  ]);
  return { exit: 0, text: table(["Channel", "Kind", "Waiting", "Last (UTC)", "What"].map(style.dim), rows, [2]), json: channels };
}

function deliveriesText(deliveries: readonly DeliveryJson[], { style }: CommandContext): CommandResult {
  if (deliveries.length === 0) return { exit: 0, text: "Nobody was told anything yet.", json: deliveries };
  const rows = deliveries.map((delivery) => {
    const { at, channel, title, attempt } = delivery;
    return [shortInstant(at), style.bold(channel), title, String(attempt), outcomeText(delivery)];
  });
  return { exit: 0, text: table(["At (UTC)", "Channel", "What", "Try", "Outcome"].map(style.dim), rows, [3]), json: deliveries };
}

function outcomeText({ error, is_last: isLast }: DeliveryJson): string {
  if (error === null) return "delivered";
  return isLast ? `given up: ${error}` : `to be tried again: ${error}`;
}

function shortInstant(text: string): string {
  return text.slice(0, 19).replace("T", " ");
}
