/** The fragment of a link that signs in: browsers send it nowhere, so it stays in no log. */
const LINK = /^#token=(.+)$/;

/** The token of the link that led here, which is taken out of the address at once. */
export function takeLinkedToken(): string | undefined {
  const token = LINK.exec(window.location.hash)?.[1];
  if (token === undefined) return undefined;
  history.replaceState(history.state, "", window.location.pathname + window.location.search);
  return decodeURIComponent(token);
}
