import type { AlertJson } from "../../admin/alert-json.ts";
import type { ChannelJson, DeliveryJson } from "../../admin/channel-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandResult } from "../command.ts";
import { shortInstant } from "../instants.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

const VERBS: readonly string[] = ["test", "log", "alerts", "ack", "snooze"];

export const tell: Command = {
  name: "tell",
  summary: "where people are told, what they were told, and a test of it",
  usage: "[test CHANNEL | log | alerts | ack ALERT | snooze ALERT TIME]",
  help: [
    "  (nothing)            every channel, and how its last delivery ended",
    "  test CHANNEL         tells the channel that this is a test; exit code 1 where that fails",
    "  log                  the latest tries to deliver a notice",
    "  alerts               what people were told, and who looks after it",
    "  ack ALERT            you look after it: nobody else is told",
    "  snooze ALERT TIME    nobody is told of the same thing for so long: 30m, 2h, 3d",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  async run(input, context) {
    const [verb, name, time] = input.positionals;
    if (verb !== undefined && !VERBS.includes(verb)) throw new UsageError(`There is no \`purser tell ${verb}\`.`);
    if (verb === "test" && name === undefined) throw new UsageError("Say which channel: purser tell test slack");
    if (verb === "ack" && name === undefined)
      throw new UsageError("Say which alert: purser tell ack alert_…. `purser tell alerts` lists them.");
    if (verb === "snooze" && time === undefined) throw new UsageError("Say which alert, and for how long: purser tell snooze alert_… 2h");
    const access = await openAdminAccess(input, context);
    try {
      if (verb === "test")
        return tested((await access.ask("POST", `/api/channels/${encodeURIComponent(name ?? "")}/test`)) as DeliveryJson);
      if (verb === "alerts") return alertsText(((await access.ask("GET", "/api/alerts")) as { data: readonly AlertJson[] }).data, context);
      const path = `/api/alerts/${encodeURIComponent(name ?? "")}`;
      if (verb === "ack") return answered((await access.ask("POST", `${path}/acknowledge`, {})) as AlertJson);
      if (verb === "snooze") return answered((await access.ask("POST", `${path}/snooze`, { for: time })) as AlertJson);
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

function answered(alert: AlertJson): CommandResult {
  const { title, snoozed_until: until } = alert;
  const what = until === null ? "Acknowledged" : `Snoozed until ${shortInstant(until)} UTC`;
  return { exit: 0, text: `${what}: ${title}.`, json: alert };
}

function alertsText(alerts: readonly AlertJson[], { style }: CommandContext): CommandResult {
  if (alerts.length === 0) return { exit: 0, text: "There are no alerts.", json: alerts };
  const rows = alerts.map(({ id, at, title, state, by }) => [
    shortInstant(at),
    id,
    style.bold(title),
    by === null ? state : `${state} by ${by}`,
  ]);
  return { exit: 0, text: table(["At (UTC)", "Id", "What", "State"].map(style.dim), rows), json: alerts };
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
