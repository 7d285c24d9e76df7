import { readLink, signLink } from "../signed-link.ts";

/** What the link in an alert says: which one, to whom it was sent, and for how long it is good. */
export interface AlertLink {
  readonly alert: string;
  readonly title: string;
  readonly channel: string;
  /** Epoch milliseconds. */
  readonly until: number;
}

export function alertLink(baseUrl: string, link: AlertLink, key: Buffer): string {
  return `${baseUrl}/acknowledge?token=${signLink(link, key)}`;
}

/** Nothing where the link was not made with this key. */
export function readAlertLink(token: string, key: Buffer): AlertLink | undefined {
  return readLink(token, key) as AlertLink | undefined;
}
