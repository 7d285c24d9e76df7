import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api.ts";
import { Button, TextField } from "../components/controls.tsx";
import { Dialog, DialogForm } from "../components/dialog.tsx";
import { useSession } from "../session.ts";

/** Lets somebody who signed in by name take another password. */
export function OwnPassword() {
  const [isOpen, setOpen] = useState(false);
  const [isDone, setDone] = useState(false);
  const open = () => {
    setDone(false);
    setOpen(true);
  };
  return (
    <>
      <Button kind="quiet" className="justify-start px-2.5" onClick={open}>
        Change password
      </Button>
      <Dialog title="Change your password" isOpen={isOpen} onClose={() => setOpen(false)}>
        {isDone ? (
          <Changed onClose={() => setOpen(false)} />
        ) : (
          <PasswordForm onClose={() => setOpen(false)} onChanged={() => setDone(true)} />
        )}
      </Dialog>
    </>
  );
}

function PasswordForm({ onClose, onChanged }: { onClose: () => void; onChanged: () => void }) {
  const client = useQueryClient();
  const name = useSession().data?.name ?? "";
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const change = useMutation({
    mutationFn: async () => {
      if (next !== again) throw new Error("The new password was typed in two ways.");
      return api.changePassword({ current, next });
    },
    onSuccess: (session) => {
      client.setQueryData(["session"], session);
      onChanged();
    },
  });
  return (
    <DialogForm onClose={onClose} onSubmit={() => change.mutate()} submit="Change it" isBusy={change.isPending} error={change.error}>
      <input type="text" autoComplete="username" value={name} readOnly hidden />
      <PasswordField label="Current password" autoComplete="current-password" value={current} onChange={setCurrent} />
      <PasswordField
        label="New password"
        autoComplete="new-password"
        value={next}
        onChange={setNext}
        hint="10 characters or more: some words that nobody guesses."
      />
      <PasswordField label="New password again" autoComplete="new-password" value={again} onChange={setAgain} />
      <p className="text-sm text-soft">Wherever else you are signed in with the old one, that ends.</p>
    </DialogForm>
  );
}

function PasswordField({
  label,
  value,
  autoComplete,
  hint,
  onChange,
}: {
  label: string;
  value: string;
  autoComplete: string;
  hint?: string;
  onChange: (value: string) => void;
}) {
  return (
    <TextField
      label={label}
      type="password"
      autoComplete={autoComplete}
      required
      value={value}
      onChange={(event) => onChange(event.target.value)}
      {...(hint !== undefined && { hint })}
    />
  );
}

function Changed({ onClose }: { onClose: () => void }) {
  return (
    <>
      <p role="status">Your password is changed. Other sessions of yours have ended; this one goes on.</p>
      <div className="flex justify-end">
        <Button kind="main" onClick={onClose}>
          Done
        </Button>
      </div>
    </>
  );
}
