/** A line without axes: the shape of the last minutes. What is not known is a gap. */
export const Spark = (
  { className = "text-accent", height = 28, label, values, width = 120 }: {
    readonly values: ReadonlyArray<number | undefined>
    readonly label: string
    readonly width?: number
    readonly height?: number
    readonly className?: string
  }
) => {
  if (values.length < 2) return <svg width={width} height={height} aria-hidden="true" />
  const most = Math.max(1, ...values.map((value = 0) => value))
  const step = width / (values.length - 1)
  const x = (i: number) => (i * step).toFixed(1)
  const y = (value: number) => (height - 2 - value / most * (height - 4)).toFixed(1)
  const isStart = (i: number) => values[i - 1] === undefined
  const isEnd = (i: number) => values[i + 1] === undefined
  const line = values.map((value, i) =>
    value === undefined ? "" : `${isStart(i) ? "M" : "L"}${x(i)} ${y(value)}${isStart(i) && isEnd(i) ? "h0.01" : ""}`
  )
  const area = values.map((_, i) =>
    line[i] === ""
      ? ""
      : `${isStart(i) ? `M${x(i)} ${height}L${line[i]!.slice(1)}` : line[i]}${isEnd(i) ? `L${x(i)} ${height}Z` : ""}`
  )
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${width} ${height}`}
      width="100%"
      height={height}
      preserveAspectRatio="none"
      className={className}
    >
      <path d={area.join("")} fill="currentColor" opacity="0.12" />
      <path
        d={line.join("")}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.500"
        strokeLinecap="round"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  )
}
