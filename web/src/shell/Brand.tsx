/** The sign: the wheel of a safe's door. */
export function Brand({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="#124f47" />
      <circle cx="16" cy="16" r="8" fill="none" stroke="#fff" strokeWidth="2.5" />
      <circle cx="16" cy="16" r="2.25" fill="#e8b04b" />
      <path
        d="M16 4.5v4M16 23.5v4M4.5 16h4M23.5 16h4"
        stroke="#fff"
        strokeWidth="2.5"
        strokeLinecap="round"
      />
    </svg>
  );
}
