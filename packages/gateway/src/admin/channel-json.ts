import type { Delivery } from "../alerts/alert-book.ts";
import type { Alerts } from "../alerts/alerts.ts";
import type { Channel } from "../alerts/channel.ts";
import { instantJson } from "./balances.ts";

/** A try to deliver a notice, as programs read it. */
export interface DeliveryJson {
  readonly notice: string;
  readonly channel: string;
  readonly title: string;
  readonly at: string;
  readonly attempt: number;
  readonly error: string | null;
  readonly is_last: boolean;
}

/** A channel as programs read it: without addresses and keys, which are secrets. */
export interface ChannelJson {
  readonly name: string;
  readonly kind: Channel["kind"];
  readonly waiting: number;
  readonly last: DeliveryJson | null;
}

export function deliveryJson({ notice, channel, title, at, attempt, error, isLast }: Delivery): DeliveryJson {
  return { notice, channel, title, at: instantJson(at), attempt, error: error ?? null, is_last: isLast };
}

export async function channelsJson(alerts: Pick<Alerts, "channels" | "deliveries" | "waiting">): Promise<readonly ChannelJson[]> {
  const { channels } = alerts;
  if (channels.length === 0) return [];
  const deliveries = await alerts.deliveries();
  const waiting = await Promise.all(channels.map(({ name }) => alerts.waiting(name)));
  return channels.map(({ name, kind }, i) => {
    const last = deliveries.findLast(({ channel }) => channel === name);
    return { name, kind, waiting: waiting[i] ?? 0, last: last ? deliveryJson(last) : null };
  });
}
