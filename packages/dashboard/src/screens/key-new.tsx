import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { KeyJson } from "../../../gateway/src/admin/key-json.ts";
import { api } from "../api.ts";
import { SelectField, TextField } from "../components/controls.tsx";
import { FormDialog } from "../components/dialog.tsx";

export type NewKey = KeyJson & { readonly secret: string };

export function NewKeyDialog({ isOpen, onClose, onMade }: { isOpen: boolean; onClose: () => void; onMade: (key: NewKey) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [team, setTeam] = useState("");
  const [feature, setFeature] = useState("");
  const [user, setUser] = useState("");
  const [maySet, setMaySet] = useState("user, session, task");
  const [role, setRole] = useState("caller");
  const make = useMutation({
    mutationFn: () => {
      const attributes = Object.fromEntries(Object.entries({ team, feature, user }).filter(([, value]) => value.trim() !== ""));
      const may_set = maySet.split(",").flatMap((one) => one.trim() || []);
      return api.createKey({ name, role, attributes, may_set });
    },
    onSuccess: async (key) => {
      onMade(key);
      await client.invalidateQueries({ queryKey: ["keys"] });
      setName("");
      onClose();
    },
  });
  return (
    <FormDialog
      title="New key"
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => make.mutate()}
      submit="Make the key"
      isBusy={make.isPending}
      error={make.error}
    >
      <TextField label="Name" required value={name} onChange={(event) => setName(event.target.value)} placeholder="support chatbot" />
      <div className="grid gap-3 sm:grid-cols-3">
        <TextField label="Team" value={team} onChange={(event) => setTeam(event.target.value)} />
        <TextField label="Feature" value={feature} onChange={(event) => setFeature(event.target.value)} />
        <TextField label="User" value={user} onChange={(event) => setUser(event.target.value)} />
      </div>
      <TextField
        label="Its callers may set"
        value={maySet}
        onChange={(event) => setMaySet(event.target.value)}
        hint="Attributes that headers may add, such as user, session, task or tag.*"
      />
      <SelectField
        label="Role"
        value={role}
        onChange={(event) => setRole(event.target.value)}
        options={[
          ["caller", "makes calls, and sees its own budgets"],
          ["member", "sees its own calls and costs as well"],
          ["viewer", "sees every screen, and changes nothing"],
          ["admin", "uses all of this dashboard and /api as well"],
        ]}
      />
    </FormDialog>
  );
}
