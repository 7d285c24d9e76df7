import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { PersonJson } from "../../../gateway/src/admin/person-json.ts";
import { api } from "../api.ts";
import { SelectField, TextField } from "../components/controls.tsx";
import { FormDialog } from "../components/dialog.tsx";
import { useSession } from "../session.ts";

/** Somebody, with the password that was made for them. */
export type WithPassword = PersonJson & { readonly password: string };

const ROLES = [
  ["member", "member: sees their own calls and costs"],
  ["viewer", "viewer: sees everything"],
  ["admin", "admin: changes things too"],
] as const;

export function NewPersonDialog({
  isOpen,
  isFirst,
  onClose,
  onMade,
}: {
  isOpen: boolean;
  isFirst: boolean;
  onClose: () => void;
  onMade: (person: WithPassword) => void;
}) {
  const client = useQueryClient();
  const session = useSession().data;
  const [name, setName] = useState("");
  const [role, setRole] = useState<string>("viewer");
  const [user, setUser] = useState("");
  const [team, setTeam] = useState("");
  const make = useMutation({
    mutationFn: () => {
      const attributes =
        role === "member" ? Object.fromEntries(Object.entries({ user, team }).filter(([, value]) => value.trim() !== "")) : {};
      return api.createPerson({ name, role, attributes });
    },
    onSuccess: async (person) => {
      onMade(person);
      await client.invalidateQueries({ predicate: ({ queryKey: [key] }) => key === "people" || key === "deeds" });
      setName("");
      onClose();
    },
  });
  // Only the owner says who may do everything.
  const roles = ROLES.filter(([value]) => value !== "admin" || session?.role === "owner");
  // Whoever needs no token is the owner because nobody has a name or a key yet.
  const endsTheOpenness = isFirst && session?.can_sign_out === false;
  return (
    <FormDialog
      title="Invite somebody"
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => make.mutate()}
      submit="Make a password"
      isBusy={make.isPending}
      error={make.error}
    >
      <TextField
        label="Name"
        required
        value={name}
        autoCapitalize="off"
        onChange={(event) => setName(event.target.value)}
        placeholder="ann"
        hint="What they sign in by; an address such as ann@example.com too."
      />
      <SelectField label="May" value={role} onChange={(event) => setRole(event.target.value)} options={roles} />
      {role === "member" && (
        <div className="grid gap-3 sm:grid-cols-2">
          <TextField label="User" value={user} onChange={(event) => setUser(event.target.value)} hint="As calls name them, if otherwise." />
          <TextField label="Team" value={team} onChange={(event) => setTeam(event.target.value)} hint="Whose budgets they see too." />
        </div>
      )}
      {endsTheOpenness && (
        <p className="rounded-md bg-over-wash px-3 py-2 text-sm">
          Until now everybody on this machine is the owner. That ends with the first person: you will have to sign in too, with the token in{" "}
          <code className="font-mono">admin.token</code> of the data folder.
        </p>
      )}
    </FormDialog>
  );
}
