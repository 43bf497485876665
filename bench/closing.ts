export type OnEnd = (close: () => Promise<unknown>) => void

/** Runs a benchmark, and closes what it opened in reverse order: at its end, when it fails, and on a signal. */
export async function closingAll(run: (onEnd: OnEnd) => Promise<void>): Promise<void> {
  const closers: (() => Promise<unknown>)[] = []
  let closing: Promise<void> | undefined
  const closeAll = () => {
    closing ??= (async () => {
      for (const close of closers.reverse()) await close()
    })()
    return closing
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void closeAll().finally(() => process.exit(1)))
  }
  try {
    await run((close) => void closers.push(close))
  } finally {
    await closeAll()
  }
}
