/** Tabs with an address each: links, so that they open beside this page like any other. */
import { Link, useLocation } from 'react-router';

export function LinkTabs({ label, tabs }: { label: string; tabs: readonly (readonly [string, string])[] }) {
  const { pathname } = useLocation();
  return (
    <nav aria-label={label}>
      <ul className="tabs">
        {tabs.map(([path, name]) => (
          <li key={path}>
            <Link to={path} aria-current={path === pathname ? 'page' : undefined}>
              {name}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
