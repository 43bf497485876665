import { DEVICE_CODE, GRANT_TYPES } from '../../src/core/clients/clients.ts'
import type { Answer, Caller } from './caller.ts'
import { post, type registrations } from './oauth.ts'
import type { TestServer } from './server.ts'
import { createVisitor, hidden, titleOf } from './visitor.ts'

/** What a device gets. */
export interface Codes {
  device_code: string
  user_code: string
  verification_uri_complete: string
}

/** A client without a browser of its own, and what it does. */
export async function createDevice(
  server: TestServer,
  { client }: ReturnType<typeof registrations>,
  permissions: Record<string, string>,
  options: Parameters<ReturnType<typeof registrations>['client']>[1] = {},
) {
  const device = await client(permissions, {
    name: 'Example CLI',
    uri: 'https://cli.example.com/',
    authMethod: 'none',
    grantTypes: GRANT_TYPES.filter((each) => each === DEVICE_CODE || each === 'refresh_token'),
    ...options,
  })
  const isPublic = (options.authMethod ?? 'none') === 'none'
  return { ...device, ...actionsOfDevice(server, device.id, isPublic ? undefined : device) }
}

/** What a client does without a browser of its own; a public one without credentials. */
export function actionsOfDevice(
  server: Pick<Caller, 'call'>,
  id: string,
  credentials?: Parameters<typeof post>[3],
) {
  const call = (path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) =>
    post(server, path, { ...(credentials ? {} : { client_id: id }), ...parameters }, credentials, headers)
  const ask = (parameters: Record<string, string> = {}, headers: Record<string, string> = {}) =>
    call('/oauth/device_authorization', parameters, headers)

  /** @throws if the request is refused. */
  async function begin(parameters: Record<string, string> = {}): Promise<Codes> {
    const { status, body, text } = await ask(parameters)
    if (status !== 200) throw new Error(text)
    return body
  }
  const poll = (
    { device_code }: Pick<Codes, 'device_code'>,
    more: Record<string, string> = {},
    headers = {},
  ) => call('/oauth/token', { grant_type: DEVICE_CODE, device_code, ...more }, headers)

  return { ask, begin, poll, call }
}

/** A person at `/device`, without scripts. */
export function createDeviceVisitor(server: Pick<Caller, 'call'>) {
  const visitor = createVisitor(server)

  /** The page for the code, after a sign-in if that is needed. */
  async function open(account: { email: string; password: string }, path = '/device'): Promise<Answer> {
    const page = await visitor.open(path)
    return titleOf(page)?.startsWith('Sign in') ? visitor.signIn(page, account) : page
  }
  const enter = (userCode: string) => visitor.submit('/device', { user_code: userCode })
  const decide = (page: Answer, decision: 'allow' | 'deny') =>
    visitor.submit('/device/decide', { ticket: hidden(page, 'ticket'), decision })

  return { ...visitor, visit: visitor.open, open, enter, decide }
}
