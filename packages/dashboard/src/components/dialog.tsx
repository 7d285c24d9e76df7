import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "./controls.tsx";

/** Asks for something before it is done. The browser's own dialog keeps the focus and closes with Escape. */
export function FormDialog({
  title,
  isOpen,
  onClose,
  onSubmit,
  submit,
  isBusy = false,
  isDangerous = false,
  error,
  children,
}: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  onSubmit: () => void;
  submit: string;
  isBusy?: boolean;
  isDangerous?: boolean;
  error?: Error | null;
  children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      className="m-auto w-[min(30rem,calc(100vw-2rem))] rounded-xl border border-line bg-card p-0 text-ink shadow-xl"
    >
      {isOpen && (
        <form onSubmit={send} className="grid gap-4 p-5">
          <h2 id={id} className="text-lg">
            {title}
          </h2>
          {children}
          {error && (
            <p role="alert" className="rounded-md bg-over-wash px-3 py-2 text-sm">
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
      )}
    </dialog>
  );
}
