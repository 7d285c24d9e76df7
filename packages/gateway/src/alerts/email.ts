import { type Channel, mailAddress } from "./channel.ts";
import { MAY_REPEAT, type Notice } from "./notice.ts";

const SMTP_TIMEOUT_MS = 15_000;

/** Writes an e-mail to whom the channel names, and else to the owner of the budget. Who gives up waiting for it closes its connection. */
export async function sendEmail(channel: Extract<Channel, { kind: "email" }>, notice: Notice, signal: AbortSignal): Promise<void> {
  const owner = mailAddress(notice.owner);
  const to = channel.to ?? (owner === undefined ? undefined : [owner]);
  if (!to) {
    const message = 'nobody to write to: the budget has no owner with an address, and the channel no "to"';
    // As nodemailer says it.
    throw Object.assign(new Error(message), { code: "EENVELOPE" });
  }
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
    await transport.sendMail({
      from: channel.from,
      to: [...to],
      subject: notice.title,
      text: emailText(notice),
      messageId,
      ...(notice.mayRepeat && { headers: { "X-Purser-Repeat": "possible" } }),
      signal,
    });
  } finally {
    transport.close();
  }
}

function emailText({ text, facts, link, mayRepeat = false }: Notice): string {
  const widest = Math.max(0, ...facts.map(([name]) => name.length));
  const answer = link === undefined ? [] : [`Acknowledge or snooze: ${link}`, ""];
  const repeat = mayRepeat ? [MAY_REPEAT, ""] : [];
  return [text, "", ...facts.map(([name, value]) => `${name.padEnd(widest)}  ${value}`), "", ...answer, ...repeat].join("\n");
}
