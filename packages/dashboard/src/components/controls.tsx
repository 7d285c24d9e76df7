import { type ComponentProps, type ReactNode, useId } from "react";

const BASE =
  "inline-flex items-center justify-center gap-1.5 rounded-md px-3 py-1.5 text-sm font-medium transition-colors disabled:cursor-default disabled:opacity-50";
const KINDS = {
  plain: "border border-line bg-card hover:bg-sunk",
  main: "bg-accent text-accent-ink hover:opacity-90",
  quiet: "text-soft hover:bg-sunk hover:text-ink",
  danger: "border border-over text-over hover:bg-over-wash",
} as const;

/** The look of a button, for links that do what a button would. */
export function buttonClass(kind: keyof typeof KINDS = "plain"): string {
  return `${BASE} ${KINDS[kind]}`;
}

export function Button({
  kind = "plain",
  className = "",
  type = "button",
  ...props
}: ComponentProps<"button"> & { kind?: keyof typeof KINDS }) {
  return <button type={type} className={`${buttonClass(kind)} ${className}`} {...props} />;
}

const INPUT =
  "w-full rounded-md border border-line bg-card px-2.5 py-1.5 text-sm placeholder:text-soft/70 [&[readonly]]:bg-sunk [&[readonly]]:text-soft aria-invalid:border-over";

interface FieldProps {
  readonly label: string;
  readonly hint?: ReactNode;
  /** What is wrong with what stands in it. */
  readonly problems?: readonly string[] | undefined;
}

/** What an input says of itself to whoever does not see what stands beside it. */
interface Described {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": true | undefined;
}

function Field({ label, hint, problems = [], children }: FieldProps & { children: (described: Described) => ReactNode }) {
  const id = useId();
  const isWrong = problems.length > 0;
  const describedBy = [hint === undefined ? [] : `${id}-hint`, isWrong ? `${id}-problem` : []].flat().join(" ");
  return (
    <div className="grid gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children({ id, "aria-describedby": describedBy === "" ? undefined : describedBy, "aria-invalid": isWrong ? true : undefined })}
      {isWrong && (
        <ul id={`${id}-problem`} className="grid gap-0.5 text-xs text-over [overflow-wrap:anywhere]">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {hint !== undefined && (
        <p id={`${id}-hint`} className="text-xs text-soft">
          {hint}
        </p>
      )}
    </div>
  );
}

export function TextField({ label, hint, problems, ...props }: FieldProps & ComponentProps<"input">) {
  return (
    <Field label={label} hint={hint} problems={problems}>
      {(described) => <input {...described} className={INPUT} {...props} />}
    </Field>
  );
}

/** Why somebody changes something; nobody may leave that out. `hint`: where it stays, or who reads it. */
export function WhyField({ value, onChange, hint }: { value: string; onChange: (why: string) => void; hint?: string }) {
  return <TextField label="Why" required value={value} onChange={(event) => onChange(event.target.value)} {...(hint && { hint })} />;
}

/** A text of several lines, each of which says one thing. It grows with them. */
export function LinesField({ label, hint, problems, value, ...props }: FieldProps & { value: string } & ComponentProps<"textarea">) {
  return (
    <Field label={label} hint={hint} problems={problems}>
      {(described) => (
        <textarea
          {...described}
          value={value}
          rows={Math.max(2, value.split("\n").length)}
          spellCheck={false}
          autoCapitalize="off"
          className={`${INPUT} resize-y font-mono`}
          {...props}
        />
      )}
    </Field>
  );
}

/** A text for people, of as many lines as it takes. */
export function ProseField({ label, hint, problems, ...props }: FieldProps & ComponentProps<"textarea">) {
  return (
    <Field label={label} hint={hint} problems={problems}>
      {(described) => <textarea {...described} className={`${INPUT} resize-y`} {...props} />}
    </Field>
  );
}

export function SelectField({
  label,
  options,
  isLabelHidden = false,
  ...props
}: { label: string; options: readonly (readonly [value: string, text: string])[]; isLabelHidden?: boolean } & ComponentProps<"select">) {
  const id = useId();
  return (
    <div className={isLabelHidden ? "" : "grid gap-1"}>
      <label htmlFor={id} className={isLabelHidden ? "sr-only" : "text-sm font-medium"}>
        {label}
      </label>
      <select id={id} className={`${INPUT} pr-8`} {...props}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

/** A few choices beside each other, of which one holds. */
export function Choice<Value extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: Value;
  options: readonly (readonly [value: Value, text: string])[];
  onChange: (value: Value) => void;
}) {
  return (
    <fieldset className="inline-flex flex-wrap rounded-md border border-line bg-card p-0.5">
      <legend className="sr-only">{label}</legend>
      {options.map(([one, text]) => (
        <button
          key={one}
          type="button"
          aria-pressed={one === value}
          onClick={() => onChange(one)}
          className={`rounded px-2.5 py-1 text-sm ${one === value ? "bg-sunk font-medium text-ink" : "text-soft hover:text-ink"}`}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
