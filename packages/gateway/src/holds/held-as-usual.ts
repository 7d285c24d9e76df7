import type { Gateway } from "../gateway.ts";
import type { RoutedCall } from "../rungs/climb.ts";

/**
 * Of a stream, as much is held at first as is usual, where that was learned. Only of one that can be ended before its time, and that shows all
 * that it costs as it flows.
 */
export function heldAsUsual({ config, usualAnswers }: Pick<Gateway, "config" | "usualAnswers">, routed: RoutedCall): RoutedCall {
  if (config.holds !== "learned") return routed;
  const { call, dialect } = routed;
  const shows = !call.hidesReasoning && !call.beyondCapBytes && call.copies === 1 && Object.keys(call.toolCalls).length === 0;
  const firstOutputTokens = call.stream && shows && dialect.writeEnd ? usualAnswers.p95(routed) : undefined;
  return firstOutputTokens === undefined ? routed : { ...routed, firstOutputTokens };
}
