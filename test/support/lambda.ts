import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { BuiltServer } from './built-server.ts'
import { deferred } from './deferred.ts'

/** What API Gateway takes as an answer of a function; what a schedule gets is the answer's own JSON. */
interface Answered {
  statusCode: number
  headers: Record<string, string>
  cookies?: string[]
  body: string
  tasks?: { task: string; result: string }[]
}

/** What a function answered, or how it failed. */
export interface Invocation {
  result: 'response' | 'error'
  body: Answered
}

/** An environment of a function: the adapter and a server, frozen whenever no event is being handled. */
export interface LambdaEnvironment {
  invoke(event: object): Promise<Invocation>
}

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

const RUNTIME = '/2018-06-01/runtime'
const EXTENSION = '/2020-01-01/extension'

/**
 * A double of the Runtime API and the Extensions API of AWS Lambda, with the real Lambda Web Adapter in front of a built
 * server. Once the adapter asks for the next event, both processes are stopped until there is one.
 */
export async function startLambda(
  t: Teardown,
  adapter: string,
  server: Pick<BuiltServer, 'signal'>,
  env: Record<string, string>,
): Promise<LambdaEnvironment> {
  const answers = new Map<string, (invocation: Invocation) => void>()
  let idle = deferred<ServerResponse>()

  const api = createServer(async (request, response) => {
    const { method, url = '' } = request
    const [, id = '', what] =
      /^\/2018-06-01\/runtime\/invocation\/([\w-]+)\/(response|error)$/.exec(url) ?? []
    if (url === `${EXTENSION}/register`)
      response.setHeader('lambda-extension-identifier', randomUUID()).end('{}')
    // The only event of an extension is its end.
    else if (url === `${EXTENSION}/event/next`) return
    else if (url === `${RUNTIME}/invocation/next`) idle.resolve(response)
    else if (method === 'POST' && what) {
      const body = JSON.parse(await text(request))
      answers.get(id)?.({ result: what as Invocation['result'], body })
      response.writeHead(202).end('{}')
    } else response.writeHead(404).end('{}')
  }).listen(0, '127.0.0.1')
  await once(api, 'listening')

  const child = spawn(adapter, {
    env: {
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(api.address() as AddressInfo).port}`,
      AWS_LAMBDA_FUNCTION_NAME: 'ratchet',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1769',
      AWS_LAMBDA_LOG_GROUP_NAME: 'ratchet',
      AWS_LAMBDA_LOG_STREAM_NAME: 'ratchet',
      AWS_LWA_HOST: '127.0.0.1',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    server.signal('SIGCONT')
    child.kill('SIGKILL')
    await ended
    api.closeAllConnections()
    api.close()
  })
  const gone = ended.then(([code]) => Promise.reject(new Error(`the adapter ended with ${code}`)))
  gone.catch(() => {})

  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    server.signal(name)
    child.kill(name)
  }

  /** Waits until an event can be sent, and freezes the environment. */
  async function freeze(): Promise<ServerResponse> {
    const next = await Promise.race([idle.promise, gone])
    idle = deferred()
    signal('SIGSTOP')
    return next
  }
  let frozen = await freeze()

  return {
    async invoke(event) {
      const id = randomUUID()
      const answered = deferred<Invocation>()
      answers.set(id, answered.resolve)
      signal('SIGCONT')
      frozen
        .writeHead(200, {
          'content-type': 'application/json',
          'lambda-runtime-aws-request-id': id,
          'lambda-runtime-deadline-ms': `${Date.now() + 30_000}`,
          'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-central-1:123456789012:function:ratchet',
          'lambda-runtime-trace-id': 'Root=1-5759e988-bd862e3fe1be46a994272793',
        })
        .end(JSON.stringify(event))
      const invocation = await Promise.race([answered.promise, gone])
      frozen = await freeze()
      return invocation
    },
  }
}

export interface HttpEventOptions {
  body?: unknown
  headers?: Record<string, string>
  /** As `name=value`. */
  cookies?: readonly string[]
  /** The address from which the gateway was called. */
  sourceIp?: string
}

/** An event of an HTTP API of API Gateway, payload format 2.0: it adds the caller's address to what the caller claims. */
export function httpEvent(method: string, target: string, options: HttpEventOptions = {}): object {
  const { body, headers = {}, cookies, sourceIp = '198.51.100.7' } = options
  const { pathname, searchParams } = new URL(target, 'https://auth.example.com')
  const claimed = headers['x-forwarded-for']
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: pathname,
    rawQueryString: searchParams.toString(),
    ...(cookies ? { cookies } : {}),
    headers: {
      host: 'auth.example.com',
      'content-length': `${body === undefined ? 0 : Buffer.byteLength(JSON.stringify(body))}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
      ...headers,
      'x-forwarded-for': claimed ? `${claimed}, ${sourceIp}` : sourceIp,
    },
    requestContext: {
      accountId: '123456789012',
      apiId: 'a1b2c3d4e5',
      domainName: 'auth.example.com',
      domainPrefix: 'auth',
      http: { method, path: pathname, protocol: 'HTTP/1.1', sourceIp, userAgent: 'a browser' },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: '29/Nov/2026:12:00:00 +0000',
      timeEpoch: 1_795_953_600_000,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    isBase64Encoded: false,
  }
}

/** What the scheduler of EventBridge sends if nothing else is set. */
export const scheduledEvent = (): object => ({
  version: '0',
  id: randomUUID(),
  'detail-type': 'Scheduled Event',
  source: 'aws.scheduler',
  account: '123456789012',
  time: '2026-11-29T12:00:00Z',
  region: 'eu-central-1',
  resources: ['arn:aws:scheduler:eu-central-1:123456789012:schedule/default/ratchet'],
  detail: '{}',
})
