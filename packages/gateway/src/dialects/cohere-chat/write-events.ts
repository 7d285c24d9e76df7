export interface CohereEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Events as Cohere frames them: the type stands beside the data, and in it. */
export function writeEvents(events: readonly CohereEvent[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}
