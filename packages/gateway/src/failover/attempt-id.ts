/** The id under which an attempt is held and charged: the first has that of its request, the second `.2` after it. */
export function attemptId(request: string, attempt: number): string {
  return attempt === 1 ? request : `${request}.${attempt}`;
}

/** The request that an attempt belongs to. */
export function requestOf(attempt: string): string {
  return attempt.replace(/\.\d+$/, "");
}
