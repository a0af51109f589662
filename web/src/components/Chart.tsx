/**
 * Values over time, as an area and a line. Small enough to be our own; the same numbers stand in a table below it
 * for those whom a drawing does not serve.
 */
import { useRef, useState } from 'react';
import { dateTime, dayOf, shortDay } from '../format/time';
import { useWidth } from './useWidth';

export interface Point {
  at: string;
  value: number;
}

interface ChartProps {
  label: string;
  points: Point[];
  say: (value: number) => string;
}

const HEIGHT = 180;
const EDGE = { top: 12, right: 12, bottom: 24, left: 72 };

export function Chart({ label, points, say }: ChartProps) {
  const ref = useRef<HTMLElement>(null);
  const width = useWidth(ref);
  const [hovered, setHovered] = useState<number>();
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return null;

  const from = Date.parse(first.at);
  const span = Math.max(1, Date.parse(last.at) - from);
  const top = niceCeiling(Math.max(...points.map((point) => point.value), 1));
  const inner = {
    width: Math.max(0, width - EDGE.left - EDGE.right),
    height: HEIGHT - EDGE.top - EDGE.bottom,
  };
  const x = (point: Point) => EDGE.left + ((Date.parse(point.at) - from) / span) * inner.width;
  const y = (value: number) => EDGE.top + (1 - value / top) * inner.height;
  const line = points.map((point) => `${x(point).toFixed(1)},${y(point.value).toFixed(1)}`).join('L');
  const base = y(0);
  const shown = hovered === undefined ? undefined : points[hovered];

  const hover = (clientX: number, left: number) => {
    const at = clientX - left;
    let nearest = 0;
    points.forEach((point, index) => {
      const best = points[nearest];
      if (best && Math.abs(x(point) - at) < Math.abs(x(best) - at)) nearest = index;
    });
    setHovered(nearest);
  };
  return (
    <figure ref={ref} style={{ margin: 0 }}>
      {width > 0 && (
        <svg
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={`${label}: from ${say(first.value)} on ${shortDay(dayOf(first.at))} to ${say(last.value)} on ${shortDay(dayOf(last.at))}`}
          onPointerMove={(event) => hover(event.clientX, event.currentTarget.getBoundingClientRect().left)}
          onPointerLeave={() => setHovered(undefined)}
        >
          {[0, 0.5, 1].map((part) => (
            <g key={part}>
              <line
                x1={EDGE.left}
                x2={width - EDGE.right}
                y1={y(top * part)}
                y2={y(top * part)}
                stroke="var(--line)"
              />
              <text x={EDGE.left - 8} y={y(top * part) + 4} textAnchor="end" className="chart-text">
                {say(top * part)}
              </text>
            </g>
          ))}
          <path
            d={`M${line}L${x(last).toFixed(1)},${base}L${x(first).toFixed(1)},${base}Z`}
            className="chart-area"
          />
          <path d={`M${line}`} className="chart-line" />
          <text x={EDGE.left} y={HEIGHT - 6} className="chart-text">
            {shortDay(dayOf(first.at))}
          </text>
          <text x={width - EDGE.right} y={HEIGHT - 6} textAnchor="end" className="chart-text">
            {shortDay(dayOf(last.at))}
          </text>
          {shown && <circle cx={x(shown)} cy={y(shown.value)} r={4} className="chart-point" />}
        </svg>
      )}
      <figcaption className="chart-caption">
        {shown ? `${dateTime(shown.at)} UTC: ${say(shown.value)}` : `Now: ${say(last.value)}`}
      </figcaption>
      <details className="chart-table">
        <summary>As a table</summary>
        <table className="list" style={{ maxWidth: 480 }}>
          <thead>
            <tr>
              <th scope="col">Time (UTC)</th>
              <th scope="col" data-align="end">
                {label}
              </th>
            </tr>
          </thead>
          <tbody>
            {thinned(points).map((point) => (
              <tr key={point.at}>
                <td>{dateTime(point.at)}</td>
                <td data-align="end">{say(point.value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

/** A round number above: 1, 2 or 5 times a power of ten, in binary units, so that the axis reads well. */
function niceCeiling(value: number): number {
  const unit = 1024 ** Math.floor(Math.log(Math.max(value, 1)) / Math.log(1024));
  const scaled = value / unit;
  const power = 10 ** Math.floor(Math.log10(scaled));
  const step = [1, 2, 5, 10].find((one) => one * power >= scaled) ?? 10;
  return step * power * unit;
}

/** At most one point of each day, the last one: hourly values would make a table of hundreds of rows. */
function thinned(points: Point[]): Point[] {
  const byDay = new Map(points.map((point) => [dayOf(point.at), point]));
  return [...byDay.values()].reverse();
}
