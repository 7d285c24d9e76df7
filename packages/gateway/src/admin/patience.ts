/** What is being made for the first time is not waited for longer than this. */
const PATIENCE_MS = 300;

/** Waits until something is done, or for a moment where that takes long. */
export async function briefly(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
