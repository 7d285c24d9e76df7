import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { SessionJson } from "../../../gateway/src/screen/sign-in.ts";
import { api } from "../api.ts";
import { useLive, useLiveConnection } from "../live.ts";
import { OwnPassword } from "../screens/own-password.tsx";
import { SignIn } from "../screens/sign-in.tsx";
import { seesAll, useSession } from "../session.ts";
import { takeLinkedToken } from "../sign-in-link.ts";
import { toggleTheme, useTheme } from "../theme.ts";
import { Button } from "./controls.tsx";
import { Answer } from "./panel.tsx";

const PLACES = [
  ["/", "Overview"],
  ["/budgets", "Budgets"],
  ["/calls", "Calls"],
  ["/sessions", "Sessions"],
  ["/usage", "Usage"],
  ["/alerts", "Alerts"],
  ["/requests", "Requests"],
  // What begins with /handovers is the gateway's own: the page behind a link, and what programs ask.
  ["/conversations", "Handovers"],
  ["/keys", "Keys"],
  ["/people", "People"],
  ["/prices", "Prices"],
  ["/settings", "Settings"],
  ["/me", "My budget"],
] as const;

/** Where those get who do not see what all do: there the gateway shows them what is theirs. */
const OWN_PLACES: Readonly<Record<string, readonly string[]>> = { member: ["/me", "/calls", "/sessions", "/usage"], caller: ["/me"] };

/** What stands around every screen: who is here, and where one can go. */
export function Shell() {
  const session = useSession();
  return (
    <div className="min-h-dvh">
      {session.data === undefined ? (
        <main className="mx-auto max-w-md p-8">
          <Answer of={session}>{() => null}</Answer>
        </main>
      ) : session.data.role === null ? (
        <SignIn ways={session.data.ways} />
      ) : (
        <Inside session={session.data} role={session.data.role} />
      )}
    </div>
  );
}

function Inside({ session, role }: { session: SessionJson; role: NonNullable<SessionJson["role"]> }) {
  const hasAll = seesAll(role);
  const { pathname } = useLocation();
  const [isMenuOpen, setMenuOpen] = useState(false);
  useLiveConnection(hasAll);
  // Whoever is here already needs no token in the address.
  useEffect(() => void takeLinkedToken(), []);
  const places = PLACES.filter(([path]) => hasAll || OWN_PLACES[role]?.includes(path));
  const here = PLACES.find(([path]) => (path === "/" ? pathname === "/" : pathname.startsWith(path)));
  useEffect(() => {
    document.title = here ? `${here[1]} · Purser` : "Purser";
    setMenuOpen(false);
    window.scrollTo(0, 0);
  }, [here]);
  return (
    <div className="mx-auto max-w-[84rem] lg:grid lg:grid-cols-[13rem_minmax(0,1fr)]">
      <a
        href="#main"
        className="sr-only rounded bg-accent px-3 py-2 text-accent-ink focus:not-sr-only focus:fixed focus:left-3 focus:top-3 focus:z-20"
      >
        Skip to the content
      </a>
      <header className="sticky top-0 z-10 flex items-center justify-between gap-3 border-b border-line bg-page px-4 py-2.5 lg:static lg:h-dvh lg:flex-col lg:items-stretch lg:justify-start lg:gap-6 lg:border-0 lg:px-5 lg:py-6 lg:[position:sticky]">
        <Link to={hasAll ? "/" : "/me"} className="flex items-center gap-2 text-lg font-semibold tracking-tight">
          <img src="/icon.svg" alt="" width="24" height="24" />
          Purser
        </Link>
        <Button
          kind="plain"
          className="lg:hidden"
          aria-expanded={isMenuOpen}
          aria-controls="places"
          onClick={() => setMenuOpen(!isMenuOpen)}
        >
          {here?.[1] ?? "Menu"}
          <span aria-hidden="true">{isMenuOpen ? "▴" : "▾"}</span>
        </Button>
        <div
          id="places"
          className={`${isMenuOpen ? "grid" : "hidden"} absolute inset-x-0 top-full gap-4 border-b border-line bg-page p-4 shadow-lg lg:static lg:flex lg:flex-1 lg:flex-col lg:border-0 lg:p-0 lg:shadow-none`}
        >
          <nav aria-label="Screens" className="grid grid-cols-2 gap-0.5 sm:grid-cols-3 lg:grid-cols-1">
            {places.map(([path, name]) => (
              <Link
                key={path}
                to={path}
                onClick={() => setMenuOpen(false)}
                activeOptions={{ exact: path === "/" }}
                activeProps={{ className: "bg-sunk font-medium text-ink", "aria-current": "page" }}
                inactiveProps={{ className: "text-soft hover:bg-sunk hover:text-ink" }}
                className="rounded-md px-2.5 py-1.5"
              >
                {name}
              </Link>
            ))}
          </nav>
          <div className="mt-auto grid gap-1 text-sm">
            {hasAll && <Connection />}
            <ThemeButton />
            {session.can_change_password && <OwnPassword />}
            {session.can_sign_out && <SignOut name={session.name} />}
          </div>
        </div>
      </header>
      <main id="main" tabIndex={-1} className="min-w-0 px-4 pb-16 pt-5 outline-none lg:px-8 lg:pt-7">
        {here === undefined || places.includes(here) ? <Outlet /> : <NotYours />}
      </main>
    </div>
  );
}

function NotYours() {
  return (
    <p className="text-soft">
      Your key shows what is yours:{" "}
      <Link to="/me" className="link">
        my budget
      </Link>
      .
    </p>
  );
}

function Connection() {
  const { isConnected } = useLive();
  return (
    <p className="flex items-center gap-2 px-2.5 py-1 text-soft" role="status">
      <span aria-hidden="true" className={`size-2 rounded-full ${isConnected ? "bg-accent" : "border border-soft"}`} />
      {isConnected ? "Live" : "Not connected"}
    </p>
  );
}

function ThemeButton() {
  const theme = useTheme();
  return (
    <Button kind="quiet" className="justify-start px-2.5" onClick={toggleTheme}>
      {theme === "dark" ? "Light colours" : "Dark colours"}
    </Button>
  );
}

function SignOut({ name }: { name: string | null }) {
  const client = useQueryClient();
  const leave = async () => {
    await api.signOut();
    client.clear();
    window.location.assign("/");
  };
  return (
    <Button
      kind="quiet"
      className="justify-start px-2.5"
      onClick={() => void leave()}
      title={name === null ? "Signed in as the owner" : `Signed in with the key ${name}`}
    >
      Sign out
    </Button>
  );
}
