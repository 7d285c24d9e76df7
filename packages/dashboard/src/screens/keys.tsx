import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { instant, relative, selectorText } from "../format.ts";
import { Changes } from "../session.ts";
import { type NewKey, NewKeyDialog } from "./key-new.tsx";
import { Snippets } from "./key-snippets.tsx";

export function Keys() {
  const client = useQueryClient();
  const keys = useQuery({ queryKey: ["keys"], queryFn: api.keys });
  const [isOpen, setOpen] = useState(false);
  const [made, setMade] = useState<NewKey>();
  const revoke = useMutation({ mutationFn: api.revokeKey, onSuccess: () => client.invalidateQueries({ queryKey: ["keys"] }) });
  return (
    <Page
      title="Keys"
      lead="A key says who its calls are charged to. What a caller may add in headers, such as the user, is up to the key."
      actions={
        <Changes>
          <Button kind="main" onClick={() => setOpen(true)}>
            New key
          </Button>
        </Changes>
      }
    >
      {made && (
        <Card title={`The key ${made.name}`} aside="Shown once, and kept nowhere: copy it now.">
          <Snippets secret={made.secret} />
        </Card>
      )}
      <Card>
        <Answer of={keys}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="There are no keys yet.">
                While there is none, every program on this machine is the owner. The first key ends that: from then on calls need one.
              </Empty>
            ) : (
              <Table
                label="Keys"
                rows={list}
                rowKey={({ id }) => id}
                columns={[
                  {
                    title: "Name",
                    cell: ({ id, name, role }) => (
                      <>
                        <span className="font-medium">{name}</span> {role !== "caller" && <Badge>{role}</Badge>}
                        <span className="block font-mono text-xs text-soft">{id}</span>
                      </>
                    ),
                  },
                  { title: "Charged to", cell: ({ attributes }) => selectorText(attributes as Record<string, unknown>) || "–" },
                  { title: "May set", isWide: true, cell: ({ may_set }) => may_set.join(", ") || "–" },
                  {
                    title: "Made",
                    isWide: true,
                    cell: ({ created_at }) => <span title={instant(created_at)}>{relative(created_at)}</span>,
                  },
                  { title: "Ends", isWide: true, cell: ({ expires_at }) => (expires_at === null ? "never" : relative(expires_at)) },
                  {
                    title: "Do",
                    isNumber: true,
                    cell: ({ id, name }) => (
                      <span className="inline-flex flex-wrap justify-end gap-1">
                        <Link to="/calls" search={{ filter: `key=${id}` }} className="link px-1 py-1.5">
                          Calls
                        </Link>
                        <Changes>
                          <Button
                            kind="quiet"
                            aria-label={`Revoke ${name}`}
                            disabled={revoke.isPending}
                            onClick={() => {
                              if (window.confirm(`Revoke the key ${name}? Programs that use it are refused at once.`)) revoke.mutate(id);
                            }}
                          >
                            Revoke
                          </Button>
                        </Changes>
                      </span>
                    ),
                  },
                ]}
              />
            )
          }
        </Answer>
        {revoke.error && (
          <p role="alert" className="mt-3 text-sm text-over">
            {revoke.error.message}
          </p>
        )}
      </Card>
      {!made && (
        <Card title="Use a key in your tool">
          <Snippets secret="pk-…" />
        </Card>
      )}
      <NewKeyDialog isOpen={isOpen} onClose={() => setOpen(false)} onMade={setMade} />
    </Page>
  );
}
