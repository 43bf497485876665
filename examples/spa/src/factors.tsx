import { useAuthClient } from '@ratchet/client/react'
import { useState } from 'react'
import { Field, Form, Notice, time, useAnswer } from './ui.tsx'

const Password = () => (
  <Field label="Your password" name="password" type="password" autoComplete="current-password" />
)

const Codes = ({ codes }: { codes: readonly string[] }) => (
  <section>
    <h2>Recovery codes</h2>
    <p>Each works once, when your device is lost. They are shown only now.</p>
    <pre>{codes.join('\n')}</pre>
  </section>
)

export function Factors() {
  const auth = useAuthClient()
  const factors = useAnswer(auth.getFactors)
  const passkeys = useAnswer(auth.listPasskeys)
  const [enrolment, setEnrolment] = useState<{ qr_svg: string; secret: string }>()
  const [codes, setCodes] = useState<readonly string[]>()
  const reload = () => Promise.all([factors.reload(), passkeys.reload()])
  const problem = factors.problem ?? passkeys.problem

  return (
    <>
      {problem && <Notice>{problem}</Notice>}
      {codes && <Codes codes={codes} />}
      <section>
        <h2>Authenticator app</h2>
        {factors.answer?.totp && (
          <Form
            submit="Remove the app"
            onSubmit={async ({ password = '', code = '' }) => {
              await auth.removeTotp({ password, code })
              await reload()
            }}
          >
            <Password />
            <Field label="A code of the app" name="code" inputMode="numeric" autoComplete="one-time-code" />
          </Form>
        )}
        {factors.answer && !factors.answer.totp && !enrolment && (
          <Form
            submit="Add an app"
            onSubmit={async ({ password = '' }) => setEnrolment(await auth.startTotp({ password }))}
          >
            <Password />
          </Form>
        )}
        {enrolment && (
          <Form
            submit="Confirm"
            onSubmit={async ({ code = '' }) => {
              const { recovery_codes } = await auth.confirmTotp(code)
              setCodes(recovery_codes)
              setEnrolment(undefined)
              await reload()
            }}
          >
            <img
              className="qr"
              alt={`The secret ${enrolment.secret}`}
              src={`data:image/svg+xml,${encodeURIComponent(enrolment.qr_svg)}`}
            />
            <Field label="The code that the app shows" name="code" inputMode="numeric" autoFocus />
          </Form>
        )}
      </section>
      <section>
        <h2>Passkeys</h2>
        <ul className="cards">
          {passkeys.answer?.map((passkey) => (
            <li key={passkey.id}>
              <div>
                <b>{passkey.name}</b>
                <p className="quiet">since {time(passkey.created_at)}</p>
              </div>
            </li>
          ))}
        </ul>
        <Form
          submit="Add a passkey"
          onSubmit={async ({ password = '', name = '' }) => {
            const { recovery_codes } = await auth.addPasskey({ password }, name)
            setCodes(recovery_codes)
            await reload()
          }}
        >
          <Field label="Its name" name="name" placeholder="This laptop" />
          <Password />
        </Form>
      </section>
    </>
  )
}
