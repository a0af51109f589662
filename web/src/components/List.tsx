/**
 * A list of things with columns. Where the columns have no room, every row becomes a card, with the column's name
 * before each value; the roles stay those of a table. It is the list's own width that decides, since the navigation
 * takes its part of the window. Long lists draw only what is near the window: a day may have 1,000 backups.
 */
import { Text } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useWidth } from './useWidth';

export interface Column<T> {
  header: string;
  /** Said instead of the header where it is empty. */
  label?: string;
  cell: (item: T) => ReactNode;
  align?: 'end';
  shrink?: boolean;
  /** Stays on one line where there is room for a table. */
  nowrap?: boolean;
  /** Text of any length: it breaks anywhere before the list becomes too wide. */
  long?: boolean;
  /** On a card its name stands above it: it has more than one line to say. */
  stack?: boolean;
}

interface ListProps<T> {
  label: string;
  items: T[];
  columns: Column<T>[];
  itemKey: (item: T) => string;
  /** How much room the columns need to stand side by side. */
  room?: keyof typeof ROOM;
  /** Says that the times in the list are UTC, where no header does. */
  utc?: boolean;
}

/** Below so many pixels, columns become cards: few short ones, some, and many or long ones. */
const ROOM = { little: 480, some: 690, much: 960 } as const;

/** Cards at least this wide have their values side by side. */
const WIDE_CARD = 520;

/** Below this, drawing all is cheaper than measuring, and the browser's own search finds everything. */
const DRAW_ALL = 120;

export function List<T>(props: ListProps<T>) {
  const { room = 'some' } = props;
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  // Names may be longer than anybody thought of: what turns out to be too wide becomes cards, too.
  const [needed, setNeeded] = useState(0);
  const cards = width > 0 && width < Math.max(ROOM[room], needed);
  useLayoutEffect(() => {
    const { scrollWidth = 0, clientWidth = 0 } = box.current ?? {};
    if (!cards && scrollWidth > clientWidth) setNeeded(scrollWidth);
  });
  return (
    <div>
      {props.utc && (
        <Text c="dimmed" size="xs" mb={6}>
          Times are in UTC.
        </Text>
      )}
      <div
        ref={box}
        className="panel list-box"
        data-room={room}
        data-cards={cards ? (width < WIDE_CARD ? 'narrow' : 'wide') : undefined}
      >
        {props.items.length > DRAW_ALL ? <LongList {...props} /> : <ShortList {...props} />}
      </div>
    </div>
  );
}

function ShortList<T>({ label, items, columns, itemKey }: ListProps<T>) {
  return (
    <table className="list" role="table" aria-label={label}>
      <Head columns={columns} />
      <tbody role="rowgroup">
        {items.map((item) => (
          <tr key={itemKey(item)} className="list-row" role="row">
            <Cells item={item} columns={columns} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function LongList<T>({ label, items, columns, itemKey }: ListProps<T>) {
  const table = useRef<HTMLTableElement>(null);
  const [top, setTop] = useState(0);
  useEffect(() => {
    const measure = () => {
      if (table.current) setTop(table.current.getBoundingClientRect().top + window.scrollY);
    };
    measure();
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, []);
  const window_ = useWindowVirtualizer({
    count: items.length,
    estimateSize: () => 48,
    overscan: 12,
    scrollMargin: top,
    getItemKey: (index) => {
      const item = items[index];
      return item === undefined ? index : itemKey(item);
    },
  });
  const drawn = window_.getVirtualItems();
  const before = (drawn[0]?.start ?? top) - top;
  const after = window_.getTotalSize() + top - (drawn.at(-1)?.end ?? top);
  return (
    <table ref={table} className="list" role="table" aria-label={label} aria-rowcount={items.length + 1}>
      <Head columns={columns} />
      <tbody role="rowgroup">
        <Space height={before} columns={columns.length} />
        {drawn.map((row) => {
          const item = items[row.index];
          return item === undefined ? null : (
            <tr
              key={row.key}
              ref={window_.measureElement}
              data-index={row.index}
              className="list-row"
              role="row"
              aria-rowindex={row.index + 2}
            >
              <Cells item={item} columns={columns} />
            </tr>
          );
        })}
        <Space height={after} columns={columns.length} />
      </tbody>
    </table>
  );
}

function Head<T>({ columns }: { columns: Column<T>[] }) {
  return (
    <thead role="rowgroup">
      <tr role="row">
        {columns.map((column) => (
          <th
            key={column.header || column.label}
            role="columnheader"
            scope="col"
            data-align={column.align}
            data-shrink={column.shrink || undefined}
          >
            {column.header || <span className="visually-hidden">{column.label}</span>}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Cells<T>({ item, columns }: { item: T; columns: Column<T>[] }) {
  return columns.map((column) => (
    <td
      key={column.header || column.label}
      role="cell"
      data-label={column.header}
      data-align={column.align}
      data-shrink={column.shrink || undefined}
      data-nowrap={column.nowrap || undefined}
      data-long={column.long || undefined}
      data-stack={column.stack || undefined}
    >
      {column.cell(item)}
    </td>
  ));
}

/** Stands for the rows that are not drawn. */
function Space({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    <tr aria-hidden className="list-space">
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}
