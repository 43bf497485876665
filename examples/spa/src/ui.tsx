import { ClientError } from '@ratchet/client'
import { type FormEvent, type InputHTMLAttributes, type ReactNode, useEffect, useState } from 'react'
import { explain } from './words.ts'

export const Notice = ({ children }: { children: ReactNode }) => (
  <p className="notice" role="alert">
    {children}
  </p>
)

export const Field = ({ label, ...input }: { label: string } & InputHTMLAttributes<HTMLInputElement>) => (
  <label>
    {label}
    <input required {...input} />
  </label>
)

/** What went wrong, in words, and an action that tells it. */
export function useAction() {
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  async function run(action: () => Promise<unknown>): Promise<void> {
    setProblem(undefined)
    setBusy(true)
    try {
      await action()
    } catch (error) {
      setProblem(error instanceof ClientError ? explain(error) : String(error))
    } finally {
      setBusy(false)
    }
  }
  return { problem, isBusy, run }
}

interface FormProps {
  submit: string
  onSubmit(fields: Record<string, string>): Promise<unknown>
  children: ReactNode
}

/** A form that says what went wrong. */
export function Form({ submit, onSubmit, children }: FormProps) {
  const { problem, isBusy, run } = useAction()
  function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = event.currentTarget
    const fields = Object.fromEntries(new FormData(form)) as Record<string, string>
    void run(() => onSubmit(fields))
  }
  return (
    <form onSubmit={send}>
      {problem && <Notice>{problem}</Notice>}
      {children}
      <button type="submit" disabled={isBusy}>
        {submit}
      </button>
    </form>
  )
}

/** What the server says, and a function that asks again. */
export function useAnswer<Answer>(ask: () => Promise<Answer>) {
  const [answer, setAnswer] = useState<Answer>()
  const { problem, run } = useAction()
  const reload = () => run(async () => setAnswer(await ask()))
  // Once, when the page is shown.
  useEffect(() => void reload(), [])
  return { answer, problem, reload }
}

export const time = (iso: string) =>
  new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
