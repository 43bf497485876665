/**
 * How far apart two samples are, in standard deviations of pure chance (Mann-Whitney, normal
 * approximation). It compares ranks, so that one slow answer of a busy machine counts no more than any other.
 */
export function apart(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((value) => ({ value, mine: true })),
    ...other.map((value) => ({ value, mine: false })),
  ]
  all.sort((a, b) => a.value - b.value)
  const rankSum = all.reduce((sum, { mine }, index) => sum + (mine ? index + 1 : 0), 0)
  const [n, m] = [one.length, other.length]
  const u = rankSum - (n * (n + 1)) / 2
  return Math.abs(u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12)
}
