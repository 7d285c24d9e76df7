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
}

/** A chart over time. The numbers behind it are in a table that screen readers find. */
export function Chart({ label, times, series, format, timeZone, height = 200, most: bound = Number.POSITIVE_INFINITY }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLParagraphElement>(null);
  const theme = useTheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: with another theme it is drawn again in other colours.
  useEffect(() => {
    const element = place.current;
    if (!element || times.length === 0) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    // Bars at both ends are shown whole.
    const hasBars = series.some(({ look }) => look === "bars");
    const isOne = times.length === 1;
    const margin = isOne ? HOUR_MS / 2_000 : ((times[1] as number) - (times[0] as number)) / 2_000;
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [8, 18, 0, 0],
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        legend: { show: false },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), timeZone),
        scales: {
          x: { range: (_plot, from, to) => (isOne ? [from - margin, from + margin] : hasBars ? [from - margin, to + margin] : [from, to]) },
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
            values: (plot, ticks) => ticks.map((tick) => ((plot.scales.y?.max ?? 0) <= 1 ? "" : format(tick))),
          },
        ],
        series: [
          {},
          ...series.map(({ name, look, colour: own = "accent" }) => {
            const stroke = own.startsWith("#") ? own : colour(own);
            const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
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
              if (!tip.current) return;
              tip.current.textContent = typeof idx === "number" ? tipText(idx, times, series, format, timeZone) : "";
            },
          ],
        },
      },
      [times.map((time) => time / 1_000), ...series.map(({ values }) => [...values])],
      element,
    );
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [times, series, format, timeZone, height, bound, theme]);
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

function tipText(
  index: number,
  times: readonly number[],
  series: readonly Series[],
  format: (value: number) => string,
  timeZone: string,
): string {
  const values = series.flatMap(({ name, values: all }) => {
    const value = all[index];
    return value === null || value === undefined ? [] : [`${name} ${format(value)}`];
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
