import type { ReactNode } from "react";

export interface Column<Row> {
  readonly title: string;
  /** Numbers stand below each other by their places. */
  readonly isNumber?: boolean;
  /** Left out on narrow screens. */
  readonly isWide?: boolean;
  readonly cell: (row: Row) => ReactNode;
}

/** A table that becomes narrower by leaving out what matters less. */
export function Table<Row>({
  label,
  columns,
  rows,
  rowKey,
  rowClass,
}: {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  rowClass?: (row: Row) => string;
}) {
  const place = ({ isNumber, isWide }: Column<Row>) => `${isNumber ? "text-right" : "text-left"} ${isWide ? "hidden md:table-cell" : ""}`;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard.
    <section className="-mx-1 overflow-x-auto px-1" tabIndex={0} aria-label={label}>
      <table className="w-full border-collapse text-sm">
        <caption className="sr-only">{label}</caption>
        <thead>
          <tr className="border-b border-line text-xs text-soft">
            {columns.map((column) => (
              <th key={column.title} scope="col" className={`py-1.5 pr-4 font-medium last:pr-0 ${place(column)}`}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} className={`border-b border-line/60 last:border-0 ${rowClass?.(row) ?? ""}`}>
              {columns.map((column) => (
                <td key={column.title} className={`py-2 pr-4 align-top last:pr-0 ${place(column)}`}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
