import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { MinutesAmountsJson, MinutesJson } from "../../../gateway/src/admin/minutes.ts";
import { api } from "../api.ts";
import { Chart, filled, type Series } from "../components/chart.tsx";
import { Choice } from "../components/controls.tsx";
import { COLOURS, Legend } from "../components/legend.tsx";
import { Answer, Empty } from "../components/panel.tsx";
import { useKeyNames } from "../key-names.ts";
import { MEASURES, type Measure, measureName, measureOf, measureText } from "./measure.ts";
import { MINUTES_BY, type OverviewQuestion } from "./overview-question.ts";

const MINUTE_MS = 60_000;
const MINUTES = 60;
const SHOWN = 5;
/** The chart goes on with the time, also where no call comes. */
const MOVES_EVERY_MS = 10_000;

/** What is used now: the last hour by minute, each value on those before it. It moves by itself. */
export function LastHour({
  by,
  show,
  timeZone,
  onAsk,
}: {
  by: NonNullable<OverviewQuestion["by"]>;
  show: Measure;
  timeZone: string;
  onAsk: (change: OverviewQuestion) => void;
}) {
  const minutes = useQuery({
    queryKey: ["minutes", by],
    queryFn: () => api.minutes(by),
    refetchInterval: ({ state }) => (state.data?.is_complete === false ? 1_000 : MOVES_EVERY_MS),
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <div className="mb-3 mt-3 flex flex-wrap items-center justify-between gap-2">
        <Choice label="By" value={by} options={MINUTES_BY.map((one) => [one, one] as const)} onChange={(next) => onAsk({ by: next })} />
        <Choice label="Show" value={show} options={MEASURES} onChange={(next) => onAsk({ show: next })} />
      </div>
      <Answer of={minutes} rows={4}>
        {(hour) => (
          <>
            {!hour.is_complete && (
              <p role="status" className="mb-2 text-sm text-soft">
                The last hour is being read. The chart grows until that is done.
              </p>
            )}
            {hour.data.length === 0 ? (
              <Empty title="Nothing was used in the last hour.">What comes is shown here by itself.</Empty>
            ) : (
              <Stacked hour={hour} show={show} timeZone={timeZone} />
            )}
          </>
        )}
      </Answer>
    </>
  );
}

function Stacked({ hour, show, timeZone }: { hour: MinutesJson; show: Measure; timeZone: string }) {
  const nameIn = useKeyNames(hour.by === "key");
  const { times, series } = useMemo(() => {
    const nameOf = (value: string | null) => (value === null ? `no ${hour.by}` : nameIn(hour.by, value));
    return seriesOf(hour, show, nameOf);
  }, [hour, show, nameIn]);
  const format = useMemo(() => (value: number) => measureText(value, show), [show]);
  const legend = series.map((one) => ({ ...one, note: format(one.values.reduce<number>((sum, value) => sum + (value ?? 0), 0)) }));
  return (
    <>
      <Legend items={legend} />
      <Chart
        label={`${measureName(show)} of each of the last 60 minutes by ${hour.by}`}
        times={times}
        series={series}
        format={format}
        timeZone={timeZone}
        height={180}
        isStacked
      />
    </>
  );
}

/** Those of which most is shown each for itself, and the others together. */
function seriesOf({ since, data, others }: MinutesJson, show: Measure, nameOf: (value: string | null) => string) {
  const from = Date.parse(since);
  const span = { from, to: from + (MINUTES - 1) * MINUTE_MS, stepMs: MINUTE_MS };
  const pointsOf = ({ minutes }: MinutesAmountsJson) => filled(minutes, span, (point) => Math.max(0, measureOf(point, show)));
  const ranked = data.toSorted((a, b) => measureOf(b, show) - measureOf(a, show));
  const isOneMore = others === null && ranked.length === SHOWN + 1;
  const largest = ranked.slice(0, isOneMore ? SHOWN + 1 : SHOWN);
  const rest = [...ranked.slice(largest.length), ...(others ? [others] : [])].map((row) => pointsOf(row).values);
  const series: Series[] = largest.map((row, i) => ({
    name: nameOf(row.value),
    look: "bars",
    colour: COLOURS[i] ?? "soft",
    values: pointsOf(row).values,
  }));
  const { times } = filled([], span, () => 0);
  if (rest.length > 0)
    series.push({
      name: "others",
      look: "bars",
      colour: "soft",
      values: times.map((_, i) => rest.reduce((sum, values) => sum + (values[i] ?? 0), 0)),
    });
  return { times, series };
}
