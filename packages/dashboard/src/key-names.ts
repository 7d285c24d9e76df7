import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { api } from "./api.ts";

/** Says what keys are called, by their ids: where two have the same name, with the id; what has no known name is called by its id. */
export function useKeyNames(isAsked: boolean): (path: string, value: string) => string {
  const { data } = useQuery({ queryKey: ["key-names"], queryFn: api.keyNames, enabled: isAsked, staleTime: 60_000, retry: false });
  const names = useMemo(() => {
    const owners = new Map<string, number>();
    for (const { name } of data ?? []) owners.set(name, (owners.get(name) ?? 0) + 1);
    return new Map((data ?? []).map(({ id, name }) => [id, (owners.get(name) ?? 0) > 1 ? `${name} (${id})` : name]));
  }, [data]);
  return useCallback((path, value) => (path === "key" && names.get(value)) || value, [names]);
}
