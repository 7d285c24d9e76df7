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

export function channelsJson({
  channels,
  deliveries,
  waiting,
}: Pick<Alerts, "channels" | "deliveries" | "waiting">): readonly ChannelJson[] {
  return channels.map(({ name, kind }) => {
    const last = deliveries.findLast(({ channel }) => channel === name);
    return { name, kind, waiting: waiting.filter(({ channel }) => channel === name).length, last: last ? deliveryJson(last) : null };
  });
}
