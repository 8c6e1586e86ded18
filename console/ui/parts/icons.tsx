// The page's few pictures, drawn with the text's own colour.
const PATHS = {
  overview: 'M3 12h4l3-8 4 16 3-8h4',
  devices: 'M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4',
  tasks: 'M4 6h10M4 12h16M4 18h7M17 5l1.5 1.5L21 4',
  models: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9',
  earnings:
    'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM15 9c-.5-1-1.5-1.5-3-1.5-2 0-3 .9-3 2.2 0 3 6 1.5 6 4.6 0 1.4-1.2 2.2-3 2.2-1.6 0-2.7-.6-3.2-1.7M12 6v1.5M12 16.5V18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  cross: 'M6 6l12 12M18 6L6 18',
  alert: 'M12 4l9 16H3zM12 10v4M12 17v.2',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 2',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  download: 'M12 4v11M7 10.5l5 5 5-5M4 20h16',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3L19 19M19 5l-1.7 1.7M6.7 17.3L5 19',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  plus: 'M12 5v14M5 12h14',
  arrow: 'M4 12h15M13 6l6 6-6 6',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
  offline: 'M3 3l18 18M5 12.5a10 10 0 0 1 5-2.7M14 9.8a10 10 0 0 1 5 2.7M8.5 16a5 5 0 0 1 7 0M12 19.5v.2',
} as const

export type IconName = keyof typeof PATHS

/** Always beside words or inside a named button, so it is hidden from screen readers. */
export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
)

export const Berry = () => (
  <svg class="berry" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path class="berry-leaf" d="M12 7.5C12 4.5 13.5 2.5 16.5 2c.3 3-1.5 5-4.5 5.5z" />
    {[
      [8.2, 10],
      [15.8, 10],
      [6.8, 14.4],
      [17.2, 14.4],
      [9.2, 18.6],
      [14.8, 18.6],
    ].map(([x, y]) => (
      <circle key={`${x} ${y}`} class="berry-outer" cx={x} cy={y} r="3" />
    ))}
    <circle class="berry-inner" cx="12" cy="9" r="3" />
    <circle class="berry-inner" cx="12" cy="14" r="3.3" />
  </svg>
)
