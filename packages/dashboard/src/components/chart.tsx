import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { useTheme } from "../theme.ts";

export interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** `bars` for what is added up, `line` for a level, `dashed` for what is expected. */
  readonly look: "bars" | "line" | "dashed";
  readonly colour?: string;
}

export interface ChartProps {
  /** What it shows, for whoever cannot see it. */
  readonly label: string;
  /** Epoch milliseconds. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  readonly timeZone: string;
  readonly height?: number;
  /** What is above it is not shown. */
  readonly most?: number;
  /** Whether each of the series stands on those before it. */
  readonly isStacked?: boolean;
}

/** A chart over time. The numbers behind it are in a table that screen readers find. */
export function Chart(props: ChartProps) {
  const { label, times, series, format, timeZone, height = 200, most: bound = Number.POSITIVE_INFINITY, isStacked = false } = props;
  const place = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLParagraphElement>(null);
  const plot = useRef<uPlot>(undefined);
  const shown = useRef(props);
  shown.current = props;
  const theme = useTheme();
  const isOne = times.length === 1;
  const isEmpty = times.length === 0;
  const looks = JSON.stringify(series.map(({ name, look, colour }) => [name, look, colour]));
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is made anew where it is to look another way, and goes on with other numbers.
  useEffect(() => {
    const element = place.current;
    if (!element || isEmpty) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    // Bars at both ends are shown whole.
    const hasBars = series.some(({ look }) => look === "bars");
    const margin = () => (isOne ? HOUR_MS : (shown.current.times[1] as number) - (shown.current.times[0] as number)) / 2_000;
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [8, 18, 0, 0],
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        legend: { show: false },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), timeZone),
        scales: {
          x: { range: (_plot, from, to) => (isOne || hasBars ? [from - margin(), to + margin()] : [from, to]) },
          y: { range: (_plot, _least, most) => [0, most > 0 ? Math.min(most * 1.08, bound) : 1] },
        },
        axes: [
          {
            stroke: colour("soft"),
            grid: { show: false },
            ticks: { show: false },
            font: "11px Inter, system-ui",
            size: 26,
            space: 56,
            values: (_plot, ticks) => axisTexts(ticks, timeZone),
          },
          {
            stroke: colour("soft"),
            grid: { stroke: colour("line"), width: 1 },
            ticks: { show: false },
            font: "11px Inter, system-ui",
            size: 58,
            values: (drawn, ticks) => ticks.map((tick) => ((drawn.scales.y?.max ?? 0) <= 1 ? "" : format(tick))),
          },
        ],
        series: [
          {},
          // What stands on others is drawn before them, from the bottom, so that they cover its lower part.
          ...inDrawnOrder(series, isStacked).map(({ name, look, colour: own = "accent" }) => {
            const stroke = own.startsWith("#") ? own : colour(own);
            const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: isStacked ? 0 : 0.15 });
            return {
              label: name,
              stroke,
              width: look === "bars" ? 0 : 2,
              // A line from one time to none is a point.
              points: { show: isOne },
              ...(look === "bars" && { fill: stroke, ...(bars && { paths: bars }) }),
              ...(look === "dashed" && { dash: [5, 5] }),
            };
          }),
        ],
        hooks: {
          setCursor: [
            ({ cursor: { idx } }) => {
              if (tip.current) tip.current.textContent = typeof idx === "number" ? tipText(idx, shown.current) : "";
            },
          ],
        },
      },
      plotted(shown.current),
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [looks, isOne, isEmpty, isStacked, format, timeZone, height, bound, theme]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: other numbers in the same look.
  useEffect(() => {
    const drawn = plot.current?.data;
    const next = plotted(shown.current);
    // It was made with them already, or is about to be.
    if (drawn && JSON.stringify(drawn) !== JSON.stringify(next)) plot.current?.setData(next);
  }, [times, series]);
  return (
    <figure className="m-0">
      <p ref={tip} aria-hidden="true" className="figure h-5 truncate text-right text-xs text-soft" />
      <div ref={place} aria-hidden="true" style={{ height }} className={`chart ${theme}`} />
      <figcaption className="sr-only">{label}</figcaption>
      {/* A table keeps its height however small it is told to be, and a box around it does not. */}
      <div className="sr-only">
        <table>
          <caption>{label}</caption>
          <thead>
            <tr>
              <th>Time</th>
              {series.map(({ name }) => (
                <th key={name}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {times.map((time, i) => (
              <tr key={time}>
                <td>{timeText(time, times, timeZone)}</td>
                {series.map(({ name, values }) => (
                  <td key={name}>{values[i] === null || values[i] === undefined ? "" : format(values[i])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

const HOUR_MS = 3_600_000;

/** What is drawn last covers what is drawn before it. */
function inDrawnOrder<One>(series: readonly One[], isStacked: boolean): readonly One[] {
  return isStacked ? series.toReversed() : series;
}

/** Times and values as they are drawn: seconds, and what stands on others up to its upper edge. */
function plotted({ times, series, isStacked = false }: ChartProps): uPlot.AlignedData {
  const edges = times.map(() => 0);
  const values = series.map(({ values: own }) =>
    isStacked ? own.map((value, i) => (edges[i] = (edges[i] ?? 0) + (value ?? 0))) : [...own],
  );
  return [times.map((time) => time / 1_000), ...inDrawnOrder(values, isStacked)];
}

/** Days by their date, and what lies within a day by the clock. */
function axisTexts(ticks: readonly number[], timeZone: string): string[] {
  const isWithinDays = ticks.length > 1 && (ticks[1] as number) - (ticks[0] as number) < 86_400;
  const date = new Intl.DateTimeFormat("en-GB", { timeZone, day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
  return ticks.map((tick) => {
    const time = clock.format(tick * 1_000);
    return isWithinDays && time !== "00:00" ? time : date.format(tick * 1_000);
  });
}

function timeText(time: number, times: readonly number[], timeZone: string): string {
  const isHourly = times.length > 1 && (times[1] as number) - (times[0] as number) < 20 * HOUR_MS;
  return new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    day: "numeric",
    month: "short",
    ...(isHourly && { hour: "2-digit", minute: "2-digit" }),
  }).format(time);
}

function tipText(index: number, { times, series, format, timeZone, isStacked = false }: ChartProps): string {
  const values = series.flatMap(({ name, values: all }) => {
    const value = all[index];
    return value === null || value === undefined || (isStacked && value === 0) ? [] : [`${name} ${format(value)}`];
  });
  return [timeText(times[index] as number, times, timeZone), ...values].join(" · ");
}

/** Times without gaps, with nothing where nothing was. */
export function filled<Point extends { readonly from: string }>(
  points: readonly Point[],
  { from, to, stepMs }: { readonly from: number; readonly to: number; readonly stepMs: number },
  value: (point: Point) => number,
): { readonly times: number[]; readonly values: number[] } {
  const byTime = new Map(points.map((point) => [Date.parse(point.from), value(point)]));
  const times: number[] = [];
  for (let time = from; time <= to; time += stepMs) times.push(time);
  // Days have 23 or 25 hours where clocks change: each point goes to the step that it is nearest to.
  const values = times.map((time) => byTime.get(time) ?? nearest(byTime, time, stepMs) ?? 0);
  return { times, values };
}

function nearest(byTime: ReadonlyMap<number, number>, time: number, stepMs: number): number | undefined {
  if (stepMs < 20 * HOUR_MS) return undefined;
  return byTime.get(time - HOUR_MS) ?? byTime.get(time + HOUR_MS);
}
