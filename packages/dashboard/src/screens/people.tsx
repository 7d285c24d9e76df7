import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { PersonJson } from "../../../gateway/src/admin/person-json.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Copyable } from "../components/copy.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { selectorText } from "../format.ts";
import { Changes, useSession } from "../session.ts";
import { Deeds } from "./deeds.tsx";
import { NewPersonDialog, type WithPassword } from "./person-new.tsx";

/** Who signs in by name. */
export function People() {
  const people = useQuery({ queryKey: ["people"], queryFn: api.people });
  const ways = useSession().data?.ways;
  const [isOpen, setOpen] = useState(false);
  const [made, setMade] = useState<WithPassword>();
  return (
    <Page
      title="People"
      lead={
        ways?.provider
          ? `Who signs in by name. Whoever comes by way of ${ways.provider} is not listed: it says each time who they are, and purser.yaml what they may do.`
          : "Who signs in by name. People make no calls: those need a key."
      }
      actions={
        <Changes>
          <Button kind="main" onClick={() => setOpen(true)}>
            Invite
          </Button>
        </Changes>
      }
    >
      {made && (
        <Card title={`The password of ${made.name}`} aside="Shown once, and kept nowhere: hand it over now.">
          <Copyable label="What to hand over" text={`${window.location.origin}\nName      ${made.name}\nPassword  ${made.password}`} />
        </Card>
      )}
      <Card>
        <Answer of={people}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nobody signs in by name yet.">
                Whoever is invited gets a name and a password for this dashboard. Until then there are the owner’s token, and keys.
              </Empty>
            ) : (
              <Everybody people={list} onPassword={setMade} />
            )
          }
        </Answer>
      </Card>
      <Deeds title="Who came, and who was let in by whom" about="people" empty="Nobody has signed in yet, and nobody was turned away." />
      <NewPersonDialog isOpen={isOpen} isFirst={people.data?.length === 0} onClose={() => setOpen(false)} onMade={setMade} />
    </Page>
  );
}

function Everybody({ people, onPassword }: { people: readonly PersonJson[]; onPassword: (made: WithPassword) => void }) {
  return (
    <Table
      label="People"
      rows={people}
      rowKey={({ name }) => name}
      columns={[
        {
          title: "Name",
          cell: ({ name, configured }) => (
            <>
              <span className="break-all font-medium">{name}</span>
              {configured && <span className="block text-xs text-soft">stands in purser.yaml</span>}
            </>
          ),
        },
        { title: "May", cell: ({ role }) => <Badge kind={role === "admin" ? "warn" : "plain"}>{role}</Badge> },
        {
          title: "Sees the calls and budgets of",
          isWide: true,
          cell: ({ name, role, attributes }) =>
            role === "member" ? selectorText({ user: name, ...attributes } as Record<string, unknown>) : "everybody",
        },
        { title: "Do", isNumber: true, cell: (person) => <Does person={person} onPassword={onPassword} /> },
      ]}
    />
  );
}

/** What can be done about somebody: by the owner, or by an admin about those who are none. */
function Does({ person: { name, role, configured }, onPassword }: { person: PersonJson; onPassword: (made: WithPassword) => void }) {
  const client = useQueryClient();
  const own = useSession().data?.role;
  const onSuccess = () => client.invalidateQueries({ predicate: ({ queryKey: [key] }) => key === "people" || key === "deeds" });
  const reset = useMutation({
    mutationFn: () => api.resetPassword(name),
    onSuccess: async (made) => {
      onPassword(made);
      await onSuccess();
    },
  });
  const remove = useMutation({ mutationFn: () => api.removePerson(name), onSuccess });
  const isBusy = reset.isPending || remove.isPending;
  if (configured) return <span className="text-soft">in the file</span>;
  if (own === "admin" && role === "admin") return <span className="text-soft">the owner only</span>;
  return (
    <Changes>
      <span className="inline-flex flex-wrap justify-end gap-1">
        <Button
          kind="quiet"
          aria-label={`New password for ${name}`}
          disabled={isBusy}
          onClick={() => {
            if (window.confirm(`Make a new password for ${name}? Who signed in with the old one is signed out.`)) reset.mutate();
          }}
        >
          New password
        </Button>
        <Button
          kind="quiet"
          aria-label={`Remove ${name}`}
          disabled={isBusy}
          onClick={() => {
            if (window.confirm(`Remove ${name}? They are signed out at once, and cannot sign in any more.`)) remove.mutate();
          }}
        >
          Remove
        </Button>
      </span>
      {(reset.error ?? remove.error) && (
        <p role="alert" className="mt-1 text-xs text-over">
          {(reset.error ?? remove.error)?.message}
        </p>
      )}
    </Changes>
  );
}
