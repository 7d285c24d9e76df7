/** The models of the demo's own provider. */
export const DEMO_MODELS: readonly string[] = ["demo-1", "demo-mini"];

/** Why nobody serves one of them where no demo is. */
export const DEMO_ELSEWHERE =
  "is a model of the demo, which `purser serve --demo` starts and nothing else serves. Ask in the folder where it runs, without a purser.yaml.";
