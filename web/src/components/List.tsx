/**
 * A list of things with columns. On a phone every row becomes a card, with the column's name before each value;
 * the roles stay those of a table. Long lists draw only what is near the window: a day may have 1,000 backups.
 */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useRef, useState } from 'react';

export interface Column<T> {
  header: string;
  /** Said instead of the header where it is empty. */
  label?: string;
  cell: (item: T) => ReactNode;
  align?: 'end';
  shrink?: boolean;
  /** Stays on one line where there is room for a table. */
  nowrap?: boolean;
}

interface ListProps<T> {
  label: string;
  items: T[];
  columns: Column<T>[];
  itemKey: (item: T) => string;
}

/** Below this, drawing all is cheaper than measuring, and the browser's own search finds everything. */
const DRAW_ALL = 120;

export function List<T>(props: ListProps<T>) {
  return (
    <div className="panel">
      {props.items.length > DRAW_ALL ? <LongList {...props} /> : <ShortList {...props} />}
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
