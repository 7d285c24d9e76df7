/** A tool that runs at the provider may be used as often as the model likes; this many uses are held where the call names no number. */
export const HOSTED_TOOL_USES = 5;

/** What one use of such a tool adds to what the model reads: a page of search results, some pieces of a file. */
export const HOSTED_RESULT_TOKENS = 8_000;
