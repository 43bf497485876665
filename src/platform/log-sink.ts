import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** Where log lines go. Writing one neither waits nor fails. */
export interface LogSink {
  write(line: string): void
}

export interface LogSinkOptions {
  /** An open file descriptor. */
  fd: number
  /** Called for each line that is lost. */
  dropped(): void
  /** Lines can be written again, after so many were lost. */
  recovered(lost: number): void
}

// A reader that is slow for seconds loses nothing; one that has gone costs no more memory than this.
const MAX_WAITING = 512 * 1024
const FULL_PIPE_MS = 10
const FAILED_MS = 1_000

/**
 * Writes beside the event loop. What cannot be written, because the disk is full or the terminal is closed, waits for
 * the next try up to a bound, beyond which lines are dropped: the server is worth more than its log.
 */
export function openLogSink({ fd, dropped, recovered }: LogSinkOptions): LogSink {
  const target = withoutBlocking(fd)
  let lines: string[] = []
  let size = 0
  /** What is being written, or has to be written first. */
  let chunk: Uint8Array = Buffer.alloc(0)
  /** Between a write and the next. */
  let isBusy = false
  let isWriting = false
  let lost = 0

  function writeNext(): void {
    if (isBusy) return
    if (chunk.length === 0) {
      if (lines.length === 0) return
      chunk = Buffer.from(lines.join(''))
      lines = []
      size = 0
    }
    isBusy = isWriting = true
    write(target, chunk, (error, written) => {
      isWriting = false
      if (error) {
        setTimeout(resume, error.code === 'EAGAIN' ? FULL_PIPE_MS : FAILED_MS).unref()
        return
      }
      chunk = chunk.subarray(written)
      resume()
    })
  }

  function resume(): void {
    isBusy = false
    // Only once there is room: the line that says so must not be lost itself.
    if (lost > 0 && chunk.length === 0 && size < MAX_WAITING / 2) {
      const count = lost
      lost = 0
      recovered(count)
    }
    writeNext()
  }

  process.on('exit', () => {
    // What another thread writes at this moment must not be written twice.
    const rest = Buffer.concat([isWriting ? Buffer.alloc(0) : chunk, Buffer.from(lines.join(''))])
    try {
      for (let at = 0; at < rest.length; ) at += writeSync(target, rest, at)
    } catch {
      // There is nobody left to tell.
    }
  })

  return {
    write(line) {
      if (size + line.length > MAX_WAITING) {
        lost += 1
        dropped()
        return
      }
      lines.push(line)
      size += line.length
      writeNext()
    },
  }
}

/**
 * Opens a pipe or a terminal once more, such that a write does not wait for a reader that has stopped reading. A mode of
 * the descriptor itself would also apply to the processes that share it.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return fd
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY)
  } catch {
    return fd
  }
}

/**
 * Keeps the process alive when nobody reads its output any more, or a disk is full: Node would end it. It then also ends
 * as asked: Node restores the modes of its terminals at the end, and crashes or hangs if one of them is gone.
 */
export function surviveClosedOutput(onError: (error: NodeJS.ErrnoException) => void = () => {}): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onError)
  const terminals = [0, 1, 2].filter((fd) => isatty(fd))
  process.on('exit', () => {
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd)
  })
}
