import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import type { SignInWays } from "../../../gateway/src/screen/sign-in.ts";
import { api } from "../api.ts";
import { Button, Choice, TextField } from "../components/controls.tsx";
import { takeLinkedToken } from "../sign-in-link.ts";

type Way = "name" | "token";

export function SignIn({ ways }: { readonly ways: SignInWays }) {
  const client = useQueryClient();
  const [way, setWay] = useState<Way>(ways.by_name ? "name" : "token");
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const signIn = useMutation({ mutationFn: api.signIn, onSuccess: (session) => client.setQueryData(["session"], session) });
  const { mutate } = signIn;
  useEffect(() => {
    const follow = () => {
      const linked = takeLinkedToken();
      if (linked !== undefined) mutate({ token: linked });
    };
    follow();
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, [mutate]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    mutate(way === "name" ? { name, password: secret } : { token: secret });
  };
  const choose = (next: Way) => {
    setWay(next);
    setSecret("");
    signIn.reset();
  };
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="grid w-full max-w-sm gap-5 rounded-xl border border-line bg-card p-6">
        <div>
          <p className="mb-5 flex items-center gap-2 text-lg font-semibold tracking-tight">
            <img src="/icon.svg" alt="" width="24" height="24" />
            Purser
          </p>
          <h1 className="text-xl">Sign in</h1>
        </div>
        {ways.provider !== null && <Elsewhere provider={ways.provider} />}
        {ways.by_name && (
          <div>
            <Choice
              label="Sign in with"
              value={way}
              options={[
                ["name", "Name"],
                ["token", "Token or key"],
              ]}
              onChange={choose}
            />
          </div>
        )}
        <form onSubmit={send} className="grid gap-5">
          {way === "name" && (
            <TextField
              label="Name"
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              required
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
          <TextField
            label={way === "name" ? "Password" : "Token or key"}
            type="password"
            autoComplete="current-password"
            required
            value={secret}
            onChange={(event) => setSecret(event.target.value)}
            hint={way === "token" ? <TokenHint /> : undefined}
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
      </div>
    </main>
  );
}

/** A way to the provider of identities, which leads back to where one is. */
function Elsewhere({ provider }: { readonly provider: string }) {
  const here = window.location.pathname + window.location.search;
  return (
    <a
      href={`/session/oidc?return_to=${encodeURIComponent(here)}`}
      className="rounded-md border border-line bg-card px-3 py-1.5 text-center text-sm font-medium hover:bg-sunk"
    >
      Sign in with {provider}
    </a>
  );
}

function TokenHint() {
  return (
    <>
      The owner’s token is in <code className="font-mono">admin.token</code> in the data folder. With a key of your own you see what its
      role lets you see: at least what you may use.
    </>
  );
}
