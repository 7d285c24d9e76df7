import { type Channel, mailAddress } from "./channel.ts";
import type { Notice } from "./notice.ts";

const SMTP_TIMEOUT_MS = 15_000;

/** Writes an e-mail to whom the channel names, and else to the owner of the budget. */
export async function sendEmail(channel: Extract<Channel, { kind: "email" }>, notice: Notice): Promise<void> {
  const owner = mailAddress(notice.owner);
  const to = channel.to ?? (owner === undefined ? undefined : [owner]);
  if (!to) throw new Error('nobody to write to: the budget has no owner with an address, and the channel no "to"');
  // Loaded by those only who write e-mails.
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({
    url: channel.server,
    connectionTimeout: SMTP_TIMEOUT_MS,
    greetingTimeout: SMTP_TIMEOUT_MS,
    socketTimeout: SMTP_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  // The same for every try, so that a mail program shows one message where two arrived.
  const messageId = `<${notice.id}@${mailAddress(channel.from)?.split("@")[1]}>`;
  try {
    await transport.sendMail({ from: channel.from, to: [...to], subject: notice.title, text: emailText(notice), messageId });
  } finally {
    transport.close();
  }
}

function emailText({ text, facts, link }: Notice): string {
  const widest = Math.max(0, ...facts.map(([name]) => name.length));
  const answer = link === undefined ? [] : [`Acknowledge or snooze: ${link}`, ""];
  return [text, "", ...facts.map(([name, value]) => `${name.padEnd(widest)}  ${value}`), "", ...answer].join("\n");
}
