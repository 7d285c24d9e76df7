import type { ServerResponse } from "node:http";

/** A page behind a link in a message: a title, a sentence, and a form where there is something to answer. */
export interface LinkPage {
  readonly title: string;
  readonly text: string;
  /** HTML; empty where there is nothing to answer. */
  readonly form: string;
}

export function sendLinkPage(response: ServerResponse, status: number, page: LinkPage): void {
  const body = Buffer.from(html(page));
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-length": body.length,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

function html({ title, text, form }: LinkPage): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>body { font: 18px/1.5 system-ui; max-width: 32em; margin: 4em auto; padding: 0 1em } button { font: inherit; padding: .4em 1.2em; margin-right: .6em }</style>
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
${form}
</html>
`;
}

export function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
