/**
 * How far apart two samples are, in standard deviations of pure chance (Mann-Whitney, normal
 * approximation). It compares ranks, so that one slow answer of a busy machine counts no more than any other.
 */
export const apart = (one: readonly number[], other: readonly number[]): number => Math.abs(ahead(one, other))

/** The same, where a sample may be longer than the other by a share of itself. */
export function apartBeyond(share: number, one: readonly number[], other: readonly number[]): number {
  const shortened = (sample: readonly number[]) => sample.map((value) => value * (1 - share))
  return Math.max(0, ahead(shortened(one), other), ahead(shortened(other), one))
}

/** How far the first sample lies above the other. */
function ahead(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((value) => ({ value, mine: true })),
    ...other.map((value) => ({ value, mine: false })),
  ]
  all.sort((a, b) => a.value - b.value)
  const rankSum = all.reduce((sum, { mine }, index) => sum + (mine ? index + 1 : 0), 0)
  const [n, m] = [one.length, other.length]
  const u = rankSum - (n * (n + 1)) / 2
  return (u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12)
}
