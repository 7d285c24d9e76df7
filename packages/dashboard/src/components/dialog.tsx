import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "./controls.tsx";

interface DialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly isWide?: boolean;
  readonly children: ReactNode;
}

interface DialogFormProps {
  readonly onClose: () => void;
  readonly onSubmit: () => void;
  readonly submit: string;
  readonly isBusy?: boolean;
  readonly isDangerous?: boolean;
  readonly error?: Error | null;
  readonly children: ReactNode;
}

/** Asks for something before it is done. */
export function FormDialog({ title, isOpen, ...form }: Omit<DialogProps, "isWide"> & DialogFormProps) {
  return (
    <Dialog title={title} isOpen={isOpen} onClose={form.onClose}>
      <DialogForm {...form} />
    </Dialog>
  );
}

/** The browser's own dialog keeps the focus and closes with Escape. What is in it begins anew whenever it opens. */
export function Dialog({ title, isOpen, onClose, isWide = false, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      className={`m-auto ${isWide ? "w-[min(46rem,calc(100vw-2rem))]" : "w-[min(30rem,calc(100vw-2rem))]"} rounded-xl border border-line bg-card p-0 text-ink shadow-xl`}
    >
      {isOpen && (
        <div className="grid gap-4 p-5">
          <h2 id={id} className="text-lg">
            {title}
          </h2>
          {children}
        </div>
      )}
    </dialog>
  );
}

/** What a dialog asks for, and the two ways out of it. */
export function DialogForm({ onClose, onSubmit, submit, isBusy = false, isDangerous = false, error, children }: DialogFormProps) {
  const send = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form onSubmit={send} className="grid min-w-0 gap-4">
      {children}
      {error && (
        <p role="alert" className="rounded-md bg-over-wash px-3 py-2 text-sm [overflow-wrap:anywhere]">
          {error.message}
        </p>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" kind={isDangerous ? "danger" : "main"} disabled={isBusy}>
          {submit}
        </Button>
      </div>
    </form>
  );
}
