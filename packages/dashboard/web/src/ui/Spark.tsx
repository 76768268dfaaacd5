/** A line without axes: the shape of the last minutes. */
export const Spark = (
  { className = "text-accent", height = 28, label, values, width = 120 }: {
    readonly values: ReadonlyArray<number>
    readonly label: string
    readonly width?: number
    readonly height?: number
    readonly className?: string
  }
) => {
  if (values.length < 2) return <svg width={width} height={height} aria-hidden="true" />
  const most = Math.max(1, ...values)
  const step = width / (values.length - 1)
  const at = (value: number) => height - 2 - value / most * (height - 4)
  const line = values.map((value, i) => `${i === 0 ? "M" : "L"}${(i * step).toFixed(1)} ${at(value).toFixed(1)}`).join(
    ""
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
      <path d={`${line}L${width} ${height}L0 ${height}Z`} fill="currentColor" opacity="0.12" />
      <path d={line} fill="none" stroke="currentColor" strokeWidth="1.500" vectorEffect="non-scaling-stroke" />
    </svg>
  )
}
