import { useRef, useState } from "react";
import { Button } from "./controls.tsx";

/** A text to be copied, as it is. */
export function Copyable({ label, text }: { label: string; text: string }) {
  const [isCopied, setCopied] = useState(false);
  const pre = useRef<HTMLPreElement>(null);
  const copy = async () => {
    // Browsers have a clipboard on https pages and on this machine only; elsewhere the text is selected to be copied by hand.
    if (!navigator.clipboard) return void (pre.current && getSelection()?.selectAllChildren(pre.current));
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <div className="relative">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard. */}
      <section tabIndex={0} aria-label={label} className="overflow-x-auto rounded-lg bg-sunk p-3 pr-20">
        <pre ref={pre} className="font-mono text-xs leading-relaxed">
          {text}
        </pre>
      </section>
      <Button kind="plain" className="absolute right-2 top-2 px-2 py-0.5 text-xs" onClick={() => void copy()} aria-label={`Copy: ${label}`}>
        {isCopied ? "Copied" : "Copy"}
      </Button>
    </div>
  );
}
