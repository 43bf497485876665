/** What a command ends with; `docs/command-line.md` promises these. */
export const EXIT = { done: 0, notDone: 1, wrongUsage: 2, unavailable: 3 } as const
