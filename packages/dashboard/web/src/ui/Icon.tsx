/** A few lines each: a library of them would be more than all of these. */
const paths = {
  gauge: "M3 12a7 7 0 1 1 14 0M10 12l3.5-3.5M5 15.5h10",
  list: "M7 5h10M7 10h10M7 15h10M3.5 5h.01M3.5 10h.01M3.5 15h.01",
  lanes: "M3 5h9M3 10h14M3 15h6M15 5l2 0M12 15h5",
  dead: "M10 3l7 13H3zM10 8v4M10 14h.01",
  clock: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6v4l2.5 2",
  flow: "M4 4h4v4H4zM12 4h4v4h-4zM8 12h4v4H8zM6 8v2h8V8M10 10v2",
  workers:
    "M4 16v-1.5a3 3 0 0 1 3-3h2a3 3 0 0 1 3 3V16M8 9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM14 11.5a2.6 2.6 0 0 1 2.5 2.6V16M12.5 4.3a2.5 2.5 0 0 1 0 4.6",
  errors: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.5v4M10 13.5h.01",
  jobs: "M4 6h12v10H4zM7.5 6V4h5v2M4 10h12",
  chart: "M3.5 3.5v13h13M6.5 13l3-4 2.500 2.500L16 6.500",
  audit: "M5 3.5h10v13H5zM7.5 7h5M7.5 10h5M7.5 13h3",
  gear:
    "M10 7.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM10 3v2M10 15v2M3 10h2M15 10h2M5 5l1.5 1.5M13.5 13.5L15 15M15 5l-1.5 1.5M6.5 13.5L5 15",
  close: "M5 5l10 10M15 5L5 15",
  check: "M4 10.5l4 4 8-9",
  retry: "M4 10a6 6 0 1 1 2 4.5M4 16v-3.5h3.5",
  pause: "M7 4v12M13 4v12",
  play: "M6 4l10 6-10 6z",
  stop: "M5 5h10v10H5z",
  bin: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6",
  edit: "M4 16l.7-3.3L13 4.4l2.6 2.6-8.3 8.3z",
  eye: "M2.5 10S5 5 10 5s7.5 5 7.5 5-2.500 5-7.5 5-7.5-5-7.5-5zM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  hidden:
    "M3 3l14 14M6 6.200C3.700 7.500 2.500 10 2.500 10S5 15 10 15c1.500 0 2.800-.4 3.900-1M9 5.100C14.500 4.500 17.500 10 17.500 10s-.6 1.200-1.700 2.400",
  sun:
    "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.500 4.500l1 1M14.500 14.500l1 1M15.500 4.500l-1 1M5.500 14.500l-1 1",
  moon: "M16 11.500A6.500 6.500 0 1 1 8.500 4a5 5 0 0 0 7.500 7.500z",
  system: "M3 4h14v9H3zM8 16.500h4M10 13v3.500",
  keyboard: "M2.500 6h15v8.500h-15zM5.500 9h.01M8.500 9h.01M11.500 9h.01M14.500 9h.01M6.500 12h7",
  chevron: "M7 4l6 6-6 6",
  down: "M5 8l5 5 5-5",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4",
  save: "M10 3v9M6.5 8.5L10 12l3.5-3.5M4 16.5h12",
  bookmark: "M6 3.5h8v13l-4-3-4 3z",
  columns: "M3.5 4h13v12h-13zM8 4v12M12.5 4v12",
  copy: "M7 7h9v9H7zM4 13V4h9",
  link: "M8 12l4-4M7 9L5 11a3 3 0 0 0 4 4l2-2M13 11l2-2a3 3 0 0 0-4-4L9 7"
} as const

export type IconName = keyof typeof paths

export const Icon = ({ name, size = 16 }: { readonly name: IconName; readonly size?: number }) => (
  <svg
    aria-hidden="true"
    width={size}
    height={size}
    viewBox="0 0 20 20"
    fill="none"
    stroke="currentColor"
    strokeWidth="1.6"
    strokeLinecap="round"
    strokeLinejoin="round"
    className="shrink-0"
  >
    <path d={paths[name]} />
  </svg>
)
