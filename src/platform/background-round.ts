import type { Task } from './background.ts'
import { faultOf } from './fault.ts'
import { withTimeout } from './timeout.ts'

/** What became of one task in a round. */
export interface TaskReport {
  task: string
  /** `unfinished`: the time was up, and the next round goes on with it. */
  result: 'done' | 'unfinished' | 'failed'
  /** How much it did, if it counts that. */
  count?: number
  /** Why it failed; never data. */
  reason?: string
}

export interface RoundOptions {
  /** Milliseconds after which tasks are interrupted. */
  limitMs: number
  /** Milliseconds that an interrupted task has to end. */
  endMs: number
}

/** Runs every task once and reports on each. Callers at the same time share a round. Never rejects. */
export type Round = () => Promise<TaskReport[]>

/** @param stages the tasks of a stage run together, after those of the stage before: what these queue is sent. */
export function createRound(stages: readonly (readonly Task[])[], { limitMs, endMs }: RoundOptions): Round {
  let round: Promise<TaskReport[]> | undefined

  async function runStages(): Promise<TaskReport[]> {
    const until = performance.now() + limitMs
    const reports: TaskReport[] = []
    for (const tasks of stages) {
      // A timer can be early by less than a millisecond: what it has interrupted says that the time is up.
      const isOver = reports.some(({ result }) => result === 'unfinished')
      const leftMs = isOver ? 0 : until - performance.now()
      reports.push(...(await Promise.all(tasks.map((each) => runOne(each, leftMs, endMs)))))
    }
    return reports
  }

  return () => {
    round ??= runStages().finally(() => {
      round = undefined
    })
    return round
  }
}

async function runOne(each: Task, leftMs: number, endMs: number): Promise<TaskReport> {
  const { task } = each
  if (leftMs <= 0) return { task, result: 'unfinished' }
  let isInterrupted = false
  const timer = setTimeout(() => {
    isInterrupted = true
    each.interrupt()
  }, leftMs)
  try {
    const done = await withTimeout(leftMs + endMs, each.runNow(), 'it did not end in time')
    if (isInterrupted) return { task, result: 'unfinished' }
    return { task, result: 'done', ...(typeof done === 'number' ? { count: done } : {}) }
  } catch (error) {
    return { task, result: 'failed', reason: faultOf(error) }
  } finally {
    clearTimeout(timer)
  }
}
