import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { api } from "../api.ts";
import { Button, TextField } from "../components/controls.tsx";
import { takeLinkedToken } from "../sign-in-link.ts";

export function SignIn() {
  const client = useQueryClient();
  const [token, setToken] = useState("");
  const signIn = useMutation({ mutationFn: api.signIn, onSuccess: (session) => client.setQueryData(["session"], session) });
  const { mutate } = signIn;
  useEffect(() => {
    const follow = () => {
      const linked = takeLinkedToken();
      if (linked !== undefined) mutate(linked);
    };
    follow();
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, [mutate]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    mutate(token);
  };
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <form onSubmit={send} className="grid w-full max-w-sm gap-5 rounded-xl border border-line bg-card p-6">
        <div>
          <p className="mb-5 flex items-center gap-2 text-lg font-semibold tracking-tight">
            <img src="/icon.svg" alt="" width="24" height="24" />
            Purser
          </p>
          <h1 className="text-xl">Sign in</h1>
        </div>
        <TextField
          label="Token or key"
          type="password"
          autoComplete="current-password"
          required
          value={token}
          onChange={(event) => setToken(event.target.value)}
          hint={
            <>
              The owner’s token is in <code className="font-mono">admin.token</code> in the data folder. With a key of your own you see what
              its role lets you see: at least what you may use.
            </>
          }
        />
        {signIn.error && (
          <p role="alert" className="rounded-md bg-over-wash px-3 py-2 text-sm">
            {signIn.error.message}
          </p>
        )}
        <Button kind="main" type="submit" disabled={signIn.isPending}>
          Sign in
        </Button>
      </form>
    </main>
  );
}
