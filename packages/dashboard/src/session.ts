import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { SessionJson } from "../../gateway/src/screen/sign-in.ts";
import { api } from "./api.ts";

type Role = NonNullable<SessionJson["role"]>;

/** Who looks at the screen; asked once, and again now and then. */
export function useSession() {
  return useQuery({ queryKey: ["session"], queryFn: api.session, staleTime: 60_000 });
}

/** Whether a role sees what all do. */
export function seesAll(role: Role): boolean {
  return role === "owner" || role === "admin" || role === "viewer";
}

/** What changes something, for those only who may: the gateway refuses the others. */
export function Changes({ children }: { readonly children: ReactNode }) {
  const role = useSession().data?.role;
  return role === "owner" || role === "admin" ? children : null;
}
