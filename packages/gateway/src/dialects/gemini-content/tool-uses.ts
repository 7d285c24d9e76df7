import { chargesEachSearch } from "../gemini/searches.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";

/** How often tools were used that the provider charges for. Nothing where the answer says nothing of it. */
export function toolUses(answer: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> | undefined {
  const grounding = listOf(answer.candidates)
    .map((candidate) => recordOf(candidate).groundingMetadata)
    .filter(isRecord);
  const searches = grounding.reduce((sum, { webSearchQueries }) => sum + listOf(webSearchQueries).length, 0);
  const usesMaps = grounding.some(({ groundingChunks }) => listOf(groundingChunks).some((chunk) => recordOf(chunk).maps !== undefined));
  if (searches === 0 && !usesMaps) return undefined;
  return {
    ...(searches > 0 && { web_search: chargesEachSearch(answer.modelVersion) ? searches : 1 }),
    ...(usesMaps && { maps: 1 }),
  };
}
